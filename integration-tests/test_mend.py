"""The store loses an artifact that is in force, or its disk flips a bit: it is fetched again by itself, verified, and taken into service.
Until then the module is Degraded and says why, and whatever good version there is serves."""
import json
import os
import signal

import pytest

from harness import MODULES, Traffic, sha256

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250})
OLD, NEW = MODULES / "pay-1.0.0.so", MODULES / "pay-1.1.0.so"
ways = pytest.mark.parametrize("way", ["deleted", "one bit"])
reach = pytest.mark.parametrize("reachable", [True, False], ids=["reachable", "unreachable"])


def stored(g, version):
    path, = (g.state / "store").glob(f"pay-{version}-*.so")
    return path


def spoil(g, version, way):
    """What disks do. A new inode, so that what is mapped stays what it is."""
    path = stored(g, version)
    good = path.read_bytes()
    path.unlink()
    if way == "one bit":
        path.write_bytes(good[:4000] + bytes([good[4000] ^ 1]) + good[4001:])


def version(g):
    return g.call(CHARGE, BODY)[1].get("x-grayling-version")


def mended(g, number):
    """Until a worker that has it serves. One without it may have begun to serve after the fetch, and takes connections until it is told
    that it drains."""
    g.wait_event(lambda e: "was fetched again and verified" in e["message"])
    g.until(lambda: g.module("pay")["phase"] != "Degraded", lambda: g.module("pay"))
    g.until(lambda: version(g) == number, lambda: f"{version(g)} serves, expected {number}")


def is_whole(g):
    m = g.module("pay")
    assert m["phase"] == "Healthy" and not m["message"] or "baked" in (m["message"] or ""), m
    assert g.status()["phase"] == "Serving"


@ways
@reach
def test_lost_while_down(grayling, way, reachable):
    g = grayling
    g.deploy("pay", NEW)
    source = g.incoming / NEW.name
    assert g.stop() == 0
    spoil(g, "1.1.0", way)
    if not reachable:
        source.rename(g.root / "away.so")
    g.start()
    if not reachable:
        g.wait_event(lambda e: e["phase"] == "Degraded" and e["reason"] == "FetchFailed")
        m = g.module("pay")
        assert m["phase"] == "Degraded" and m["reason"] == "FetchFailed", m
        assert "lost pay 1.1.0" in m["message"] and "tried again in" in m["message"] and source.name in m["message"], m
        assert g.call(CHARGE, BODY)[0] == 404 and g.status()["phase"] == "Degraded"
        (g.root / "away.so").rename(source)
    mended(g, "1.1.0")
    is_whole(g)
    assert stored(g, "1.1.0").read_bytes() == NEW.read_bytes()
    # evidence stays for whoever looks after the disk
    assert len(list((g.state / "store").glob("*.damaged"))) == (way == "one bit")


@ways
def test_until_then_the_last_good_version_serves(grayling, way):
    g = grayling
    g.deploy("pay", OLD)
    g.want({"pay": g.document(NEW, strategy={"bake": "5m"})})
    g.wait_phase("pay", "Baking")
    assert g.stop() == 0
    spoil(g, "1.1.0", way)
    source = g.incoming / NEW.name
    source.rename(g.root / "away.so")
    g.start()
    g.wait_event(lambda e: e["phase"] == "Degraded" and e["reason"] == "FetchFailed")
    assert version(g) == "1.0.0"
    with Traffic(g, CHARGE, BODY) as t:
        (g.root / "away.so").rename(source)
        mended(g, "1.1.0")
    assert t.lost == [] and set(t.codes) == {200}


@ways
def test_an_older_kept_version_serves_when_the_last_good_one_cannot_be_had(grayling, way):
    """Its bake is over, so that nothing names the one before any more; the store and the history have it."""
    g = grayling
    g.deploy("pay", OLD)
    g.deploy("pay", NEW)
    assert g.stop() == 0
    spoil(g, "1.1.0", way)
    source = g.incoming / NEW.name
    source.rename(g.root / "away.so")
    g.start()
    g.wait_event(lambda e: e["phase"] == "Degraded" and e["reason"] == "FetchFailed")
    assert version(g) == "1.0.0"
    m = g.module("pay")
    assert m["phase"] == "Degraded" and "lost pay 1.1.0" in m["message"] and m["message"].endswith("pay 1.0.0 serves meanwhile"), m
    assert any(e["phase"] == "Degraded" and "pay 1.0.0 serves meanwhile" in e["message"] for e in g.events())
    with Traffic(g, CHARGE, BODY) as t:
        (g.root / "away.so").rename(source)
        mended(g, "1.1.0")
    assert t.lost == [] and set(t.codes) == {200}
    is_whole(g)


@ways
def test_a_convicted_version_does_not_come_back_instead(grayling, way):
    """Of the older ones the newest that is not convicted: 1.1.0 served well until it was found out."""
    g = grayling
    g.deploy("pay", OLD)
    g.deploy("pay", NEW)
    third = MODULES / "pay-1.3.0.so"
    g.deploy("pay", third)
    key = f"/grayling/v1/{g.service}/quarantine/{sha256(NEW)[7:]}"
    g.etcd.put(key, {"module": "pay", "version": "1.1.0", "reason": "ResourceLeak", "instance": "host-9"})
    g.until(lambda: g.control("/v1/quarantine")[1]["quarantine"])
    assert g.stop() == 0
    spoil(g, "1.3.0", way)
    (g.incoming / third.name).unlink()
    g.start()
    assert version(g) == "1.0.0"


@ways
@reach
def test_lost_before_the_worker_is_replaced(grayling, way, reachable):
    """The worker that has the version mapped is not given up for one that cannot have it."""
    g = grayling
    g.deploy("pay", NEW)
    source = g.incoming / NEW.name
    pid = g.status()["worker"]["pid"]
    with Traffic(g, CHARGE, BODY) as t:
        spoil(g, "1.1.0", way)
        if not reachable:
            source.rename(g.root / "away.so")
        g.process.send_signal(signal.SIGUSR2)
        if not reachable:
            g.wait_event(lambda e: e["phase"] == "Degraded" and e["reason"] == "FetchFailed")
            m = g.module("pay")
            assert m["phase"] == "Degraded" and "lost pay 1.1.0" in m["message"], m
            assert g.status()["worker"]["pid"] == pid and version(g) == "1.1.0"
            (g.root / "away.so").rename(source)
        mended(g, "1.1.0")
        assert g.status()["worker"]["pid"] != pid
    assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.1.0"}
    is_whole(g)


@reach
def test_a_way_back_to_what_was_lost(grayling, reachable):
    """Lost in the bake, from the disk and with the worker that had it in memory: the newer version serves until it can be had again."""
    g = grayling
    g.deploy("pay", OLD)
    g.want({"pay": g.document(NEW, strategy={"bake": "10m"})})
    g.wait_phase("pay", "Baking")
    source = g.incoming / OLD.name
    source.rename(g.root / "away.so")
    spoil(g, "1.0.0", "deleted")
    worker = g.status()["worker"]["pid"]
    os.kill(worker, signal.SIGKILL)
    g.until(lambda: (g.status()["worker"] or {}).get("pid") not in (None, worker))
    if reachable:
        (g.root / "away.so").rename(source)
    with Traffic(g, CHARGE, BODY) as t:
        status, answer = g.control("/v1/modules/pay/undo", "POST", {"reason": "drill"})
        assert status == 200, answer
        assert g.wait_phase("pay", "RolledBack")["reason"] == "OperatorAbort"
        if not reachable:
            t.assert_served("1.1.0")
            assert g.module("pay")["phase"] == "Degraded", g.module("pay")
            (g.root / "away.so").rename(source)
        g.until(lambda: version(g) == "1.0.0", lambda: g.module("pay"))
        codes, by, lost = t.take()
        assert lost == [] and set(codes) == {200} and set(by) <= {"1.0.0", "1.1.0"}, (codes, by, lost)
        t.assert_served("1.0.0")
    assert sorted(p.name.rsplit("-", 1)[0] for p in (g.state / "store").iterdir()) == ["pay-1.0.0", "pay-1.1.0"]


def test_a_release_is_not_held_up(grayling):
    """While the bytes of one module cannot be had, another module is released as ever, and so is a new version of this one."""
    g = grayling
    g.deploy("pay", OLD)
    spoil(g, "1.0.0", "deleted")
    (g.incoming / OLD.name).unlink()
    g.process.send_signal(signal.SIGUSR2)
    g.wait_event(lambda e: e["phase"] == "Degraded" and e["reason"] == "FetchFailed")
    g.deploy("auth", MODULES / "auth-1.0.0.so")
    assert g.module("pay")["phase"] == "Degraded"
    g.deploy("pay", NEW)
    assert version(g) == "1.1.0"
    is_whole(g)  # nothing names the lost bytes any more


def test_lost_before_the_worker_dies(grayling):
    g = grayling
    g.deploy("pay", NEW)
    spoil(g, "1.1.0", "one bit")
    os.kill(g.status()["worker"]["pid"], signal.SIGKILL)
    mended(g, "1.1.0")
    is_whole(g)
