"""One quarantine for the service: what one host convicts none runs, and an operator's lift, with who and why, is followed by all, also by those
that were down. With etcd away each host's own knowledge counts."""
import json
import os
import subprocess

import pytest

from harness import BUILD, MODULES, PATIENCE, sha256

POKE = "com.example.faulty.FaultyService/Poke"
OLD, NEW = MODULES / "faulty-1.0.0.so", MODULES / "faulty-1.1.0.so"
DIGEST = sha256(NEW)
REASON = "it was the host's memory"


def grayctl(g, *words):
    return subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *words], capture_output=True, text=True, timeout=PATIENCE,
                          env=dict(os.environ, NO_COLOR="1"))


@pytest.fixture
def fleet(make, etcd):
    one, two = (make(etcd, sets=[f"Service.Instance=host-{n}"]) for n in (1, 2))  # which share what a document names
    two.sets = [s if not s.startswith("Artifacts.FileRoots=") else f"Artifacts.FileRoots={one.incoming}" for s in two.sets]
    one.start(), two.start()
    one.deploy("faulty", OLD)
    two.wait_phase("faulty", "Healthy")
    return one, two


def bad(g, **more):
    return g.document(NEW, config={"mode": "handle-crash"}, strategy={"bake": "1h"}, **more)


def key(g):
    return f"/grayling/v1/{g.service}/quarantine/{DIGEST[7:]}"


def in_etcd(g):
    return json.loads(g.etcd.get(key(g)) or "{}")


def convicted(g):
    return [c["hash"] for c in g.control("/v1/quarantine")[1]["quarantine"]]


def wait_for(g, *digests):
    g.until(lambda: convicted(g) == list(digests), lambda: g.control("/v1/quarantine"))


def convict(one):
    """The new version crashes in the first call, which host-1 gets."""
    one.want({"faulty": bad(one)})
    one.wait_phase("faulty", "Baking")
    one.call(POKE)
    one.wait_phase("faulty", "RolledBack")


def test_a_digest_that_one_host_convicts_is_refused_by_all(fleet):
    one, two = fleet
    one.want({"faulty": bad(one)})
    one.wait_phase("faulty", "Baking")
    two.wait_phase("faulty", "Baking")
    one.call(POKE)
    one.wait_phase("faulty", "RolledBack")
    # where nobody called it, it is taken back by what the other host found
    ev = two.wait_phase("faulty", "RolledBack")
    assert ev["reason"] == "Quarantined" and "convicted by host-1 (Crashed:" in ev["message"] and "SIGSEGV" in ev["message"], ev
    assert two.call(POKE)[1]["x-grayling-version"] == "1.0.0"
    c, = two.control("/v1/quarantine")[1]["quarantine"]
    assert c["hash"] == DIGEST and c["instance"] == "host-1" and "SIGSEGV" in c["evidence"], c
    listed = grayctl(two, "quarantine", "list").stdout
    assert "host-1" in listed and DIGEST in listed
    # and refused from then on
    one.want({"faulty": bad(one, reason="again")})
    for g in fleet:
        ev = g.wait_phase("faulty", "Rejected")
        assert ev["reason"] == "Quarantined" and "by host-1 (Crashed:" in ev["message"] and f"lift {DIGEST}" in ev["message"], ev
    assert in_etcd(one)["instance"] == "host-1"


def test_a_lift_is_followed_by_all(fleet):
    one, two = fleet
    convict(one)
    wait_for(two, DIGEST)
    assert grayctl(two, "quarantine", "lift", DIGEST).returncode == 2  # without a reason
    assert grayctl(two, "quarantine", "lift", DIGEST, "--reason", REASON, "--dry-run").returncode == 0
    assert convicted(one) == convicted(two) == [DIGEST]
    r = grayctl(two, "quarantine", "lift", DIGEST, "--reason", REASON)
    assert r.returncode == 0 and "every host" in r.stderr, r
    assert convicted(two) == []
    wait_for(one)
    for g in fleet:
        ev, = [e for e in g.events() if "lifted the quarantine" in e["message"]]
        assert DIGEST in ev["message"] and REASON in ev["message"], ev
    lifted = in_etcd(one)["lifted"]
    assert lifted["reason"] == REASON and lifted["actor"] and lifted["actor"] in ev["message"]
    again = grayctl(one, "quarantine", "lift", DIGEST, "--reason", "x")
    assert again.returncode == 3 and "lifted already" in again.stderr and REASON in again.stderr, again
    # it may run, and may be convicted again
    one.want({"faulty": bad(one, reason="once more")})
    one.wait_phase("faulty", "Baking")
    one.call(POKE)
    one.wait_phase("faulty", "RolledBack")
    wait_for(two, DIGEST)
    assert "lifted" not in in_etcd(one)


@pytest.mark.parametrize("who", [0, 1], ids=["the one that convicted", "another"])
def test_a_lift_while_a_host_was_down(fleet, who):
    down, up = fleet[who], fleet[1 - who]
    convict(fleet[0])
    wait_for(fleet[1], DIGEST)
    fleet[0].until(lambda: in_etcd(up))
    assert down.stop() == 0
    assert grayctl(up, "quarantine", "lift", DIGEST, "--reason", REASON).returncode == 0
    down.start()
    wait_for(down)
    assert in_etcd(up)["lifted"]["reason"] == REASON and convicted(up) == []
    assert [e for e in down.events() if REASON in e["message"]]


def test_with_etcd_away_what_is_known_counts(fleet, etcd):
    one, two = fleet
    one.want({"faulty": bad(one)})
    one.wait_phase("faulty", "Baking")
    etcd.stop()
    one.call(POKE)
    one.wait_phase("faulty", "RolledBack")
    assert one.stop() == 0
    one.start()
    assert convicted(one) == [DIGEST] and one.call(POKE)[1]["x-grayling-version"] == "1.0.0"
    assert convicted(two) == []
    etcd.start()
    wait_for(two, DIGEST)  # written when etcd was back
    # what came from another host stays known without etcd, too
    etcd.stop()
    assert two.stop() == 0
    two.start()
    assert convicted(two) == [DIGEST]
    # a lift that etcd could not be told
    r = grayctl(one, "quarantine", "lift", DIGEST, "--reason", REASON)
    assert r.returncode == 7 and convicted(one) == [DIGEST], r
    assert grayctl(one, "quarantine", "lift", DIGEST, "--reason", REASON, "--local").returncode == 0
    assert convicted(one) == [] and convicted(two) == [DIGEST]
    assert one.stop() == 0
    one.start()
    assert convicted(one) == []
    etcd.start()
    wait_for(two)
    assert in_etcd(one)["lifted"]["reason"] == REASON and convicted(one) == []


def test_what_nobody_lifted_comes_back(fleet):
    """A key that was deleted, or overwritten with what is no conviction, is no lift: there was no reason."""
    one, two = fleet
    convict(one)
    wait_for(two, DIGEST)
    for value in (None, "not JSON", {"module": "faulty"}):
        one.etcd.put(key(one), value)
        one.until(lambda: in_etcd_or_none(one).get("instance") == "host-1")
        assert convicted(one) == convicted(two) == [DIGEST]


def in_etcd_or_none(g):
    try:
        value = json.loads(g.etcd.get(key(g)) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def test_a_directory_has_a_quarantine_of_its_own(make):
    g = make().start()
    g.deploy("faulty", OLD)
    convict(g)
    assert convicted(g) == [DIGEST]
    r = grayctl(g, "quarantine", "lift", DIGEST, "--reason", REASON)
    assert r.returncode == 0 and "this host" in r.stderr and convicted(g) == [], r
    assert [e for e in g.events() if REASON in e["message"]]
