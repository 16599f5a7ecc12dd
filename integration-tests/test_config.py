"""A change of `config` alone is a release: the same bytes serve twice side by side, the new configuration is tried, swapped in and baked."""
import json
import os
import pathlib
import signal

import pytest

from harness import MODULES, Traffic

CHARGE = "com.example.pay.PayService/Charge"
POKE = "com.example.faulty.FaultyService/Poke"
PAY = MODULES / "pay-1.1.0.so"
FAULTY = MODULES / "faulty-1.0.0.so"
BODY = json.dumps({"amount_cents": 1250})  # without a currency: the answer shows the configured one


def currency(g):
    status, _, body = g.call(CHARGE, BODY)
    assert status == 200, body
    return json.loads(body)["currency"]


def configure(g, config, **more):
    g.want({"pay": g.document(PAY, config={"currency": config}, **more)})


def stored(g):
    return sorted(p.name for p in (g.state / "store").iterdir())


def mapped(pid):
    """The files of the store that the process has mapped."""
    return {line.split(maxsplit=5)[5].strip() for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines() if "/store/" in line}


@pytest.mark.parametrize("source", ["etcd", "directory"])
def test_a_configuration_is_exchanged_under_traffic(make, source, request):
    g = make(request.getfixturevalue("etcd") if source == "etcd" else None).start()
    g.deploy("pay", PAY, config={"currency": "EUR"})
    assert currency(g) == "EUR"
    with Traffic(g, CHARGE, BODY) as t:
        configure(g, "CHF")
        g.wait_phase("pay", "Healthy")
        assert currency(g) == "CHF"
    assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.1.0"}
    # two files of the same bytes under two inodes, both as the verifier left them
    files = [g.state / "store" / name for name in stored(g)]
    assert [f.name.count(".1.so") for f in files] == [1, 0] or [f.name.count(".1.so") for f in files] == [0, 1], files
    assert len({f.stat().st_ino for f in files}) == 2 and len({f.read_bytes() for f in files}) == 1
    assert {f.stat().st_mode & 0o7777 for f in files} == {0o444}
    history = g.control("/v1/modules/pay/history")[1]
    assert g.module("pay")["stable"]["version"] == "1.1.0", history


def test_a_hundred_changes_grow_nothing(grayling):
    """Back and forth: two files in the store, one mapped, no slot lost, nothing pinned, no request lost."""
    g = grayling
    g.deploy("pay", PAY, config={"currency": "EUR"})
    pid = g.status()["worker"]["pid"]
    descriptors = None
    with Traffic(g, CHARGE, BODY, clients=2) as t:
        for i in range(100):
            configure(g, "CHF" if i % 2 == 0 else "EUR", strategy={"bake": "1ms"})
            g.wait_phase("pay", "Healthy")
            g.wait_loaded(1)  # whoever is faster than that gets a third file
            if i == 9:
                descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    assert t.lost == [] and set(t.codes) == {200}
    assert currency(g) == "EUR"
    status = g.status()
    assert status["worker"]["pid"] == pid and status["worker"]["pinned"] == 0
    assert len(stored(g)) == 2, stored(g)
    assert len(os.listdir(f"/proc/{pid}/fd")) <= descriptors + 8
    assert len(mapped(pid)) == 1


def test_a_configuration_that_init_refuses_is_rejected(grayling):
    g = grayling
    g.deploy("pay", PAY, config={"currency": "EUR"})
    with Traffic(g, CHARGE, BODY) as t:
        configure(g, "euro")
        ev = g.wait_phase("pay", "Rejected")
    assert ev["reason"] == "InitFailed" and "euro" in ev["message"], ev
    assert t.lost == [] and set(t.codes) == {200} and currency(g) == "EUR"
    # what did not pass says nothing against the bytes: the next configuration is welcome
    configure(g, "CHF")
    g.wait_phase("pay", "Healthy")
    assert currency(g) == "CHF"


def test_a_configuration_that_self_test_refuses_is_rejected(grayling):
    g = grayling
    g.deploy("faulty", FAULTY, config={"mode": "none"})
    g.want({"faulty": g.document(FAULTY, config={"mode": "self-test-fail"})})
    assert g.wait_phase("faulty", "Rejected")["reason"] == "SelfTestFailed"
    assert g.call(POKE)[0] == 200


def test_a_configuration_that_misbehaves_is_taken_back_and_quarantined_alone(grayling):
    """The bytes served well before and serve on: it is the configuration with them that is convicted, also across a restart."""
    g = grayling
    g.deploy("faulty", FAULTY, config={"mode": "none"})
    bad = g.document(FAULTY, config={"mode": "handle-error", "every": 2}, strategy={"bake": "5m"})
    with Traffic(g, POKE, clients=2) as t:
        g.want({"faulty": bad})
        assert g.wait_phase("faulty", "RolledBack")["reason"] == "ErrorRateRegressed"
    assert t.lost == []
    assert g.call(POKE)[0] == 200 and g.module("faulty")["stable"]["version"] == "1.0.0"
    g.want({"faulty": {**bad, "reason": "again"}})
    ev = g.wait_phase("faulty", "Rejected")
    assert ev["reason"] == "Quarantined" and "with this configuration" in ev["message"]
    g.stop()
    g.start()
    assert g.wait_phase("faulty", "Rejected")["reason"] == "Quarantined"
    assert g.call(POKE)[0] == 200
    # another configuration of the same bytes is a release like any other
    g.deploy("faulty", FAULTY, config={"mode": "none", "every": 3})
    # and an operator may forgive
    convicted = g.control("/v1/quarantine")[1]["quarantine"][0]["hash"]
    assert convicted != bad["version_hash"]
    assert g.control(f"/v1/quarantine/{convicted}/lift", "POST", {"reason": "drill"})[0] == 200
    g.want({"faulty": {**bad, "reason": "forgiven", "strategy": {"bake": "1ms"}}})
    g.wait_phase("faulty", "Healthy")


@pytest.mark.parametrize("way", ["undo", "worker", "supervisor", "both"])
def test_in_the_bake_both_configurations_live_on(grayling, way):
    """A restart of either process in the middle of the bake, and the way back after it, to the configuration before."""
    g = grayling
    g.deploy("pay", PAY, config={"currency": "EUR"})
    with Traffic(g, CHARGE, BODY) as t:
        configure(g, "CHF", strategy={"bake": "5m"})
        g.wait_phase("pay", "Baking")
        if way in ("supervisor", "both"):
            g.process.kill()
            g.process.wait()
            g.start()
        if way in ("worker", "both"):
            g.process.send_signal(signal.SIGUSR2)
            g.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])
        assert currency(g) == "CHF"
        assert len(mapped(g.status()["worker"]["pid"])) == 2
        code, undone = g.control("/v1/modules/pay/undo", "POST", {"reason": "drill", "actor": "alice"})
        assert code == 200 and undone["document"]["config"] == {"currency": "EUR"}, undone
        assert g.wait_phase("pay", "RolledBack")["reason"] == "OperatorAbort"
        assert currency(g) == "EUR"
    assert t.lost == [] and set(t.codes) == {200}


def test_a_batch_changes_code_of_one_and_configuration_of_another(grayling):
    g = grayling
    g.want({"pay": g.document(PAY, config={"currency": "EUR"}), "auth": g.document(MODULES / "auth-1.0.0.so")})
    g.wait_phase("pay", "Healthy")
    g.want({"pay": g.document(PAY, config={"currency": "CHF"}), "echo": g.document(MODULES / "echo-1.0.0.so")})
    g.wait_phase("echo", "Healthy")
    assert currency(g) == "CHF"


def test_a_damaged_copy_is_written_anew(grayling):
    """The copy is hashed before each load like every file of the store."""
    g = grayling
    g.deploy("pay", PAY, config={"currency": "EUR"})
    for currency_ in ("CHF", "EUR"):
        configure(g, currency_)
        g.wait_phase("pay", "Healthy")
        g.wait_loaded(1)  # a file that is still mapped is not loaded once more: the next one would be
    copy, = [p for p in (g.state / "store").iterdir() if p.name.endswith(".1.so")]
    good = copy.read_bytes()
    rotten = g.root / "rotten"
    rotten.write_bytes(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
    rotten.rename(copy)
    configure(g, "CHF")
    g.wait_phase("pay", "Healthy")
    assert currency(g) == "CHF" and copy.read_bytes() == good
    assert [n for n in stored(g) if n.endswith(".1.so.damaged")]
