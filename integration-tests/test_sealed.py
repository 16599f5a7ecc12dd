"""[Trust] SealedModules=yes: the worker maps the sealed memory that was hashed, and no file of the store, through the whole life of a release."""
import json
import os
import pathlib
import signal

import pytest

from harness import MODULES, Traffic

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250})


def maps(g):
    pid = g.status()["worker"]["pid"]
    lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    text = [line for line in lines if line.split()[1][2] == "x"]
    assert not [line for line in lines if "/store/" in line], "a file of the store is mapped"
    return [line for line in text if "/memfd:grayling-artifact" in line]


def descriptors(g):
    return len(os.listdir(f"/proc/{g.status()['worker']['pid']}/fd"))


def serves(g):
    g.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])


@pytest.fixture
def sealed(make, etcd):
    return make(etcd, sets=["Trust.SealedModules=yes"]).start()


def test_release_replacement_rollback_and_restart(sealed):
    g = sealed
    g.deploy("pay", MODULES / "pay-1.0.0.so", config={"currency": "CHF"})
    assert len(maps(g)) == 1
    with Traffic(g, CHARGE, BODY) as t:
        g.deploy("pay", MODULES / "pay-1.1.0.so", config={"currency": "CHF"})
        g.process.send_signal(signal.SIGUSR2)
        serves(g)
        assert g.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.1.0"
        # the way back, out of the bake and across a supervisor that dies in it
        g.want({"pay": g.document(MODULES / "pay-1.0.0.so", strategy={"bake": "5m"})})
        g.wait_phase("pay", "Baking")
        assert len(maps(g)) == 2
        g.process.kill()
        g.process.wait()
        g.start()
        assert g.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.0.0"
        assert g.control("/v1/modules/pay/undo", "POST", {"reason": "drill"})[0] == 200
        g.wait_phase("pay", "RolledBack")
        _, headers, body = g.call(CHARGE, BODY)
        assert headers["x-grayling-version"] == "1.1.0" and json.loads(body)["currency"] == "CHF"
    assert t.lost == [] and set(t.codes) == {200}, (t.codes, t.lost[:3])
    g.want({"pay": g.document(MODULES / "pay-1.1.0.so", config={"currency": "CHF"})})  # what serves already, as `grayctl undo` writes it
    assert g.stop() == 0
    # the next start needs neither the source nor the network
    (g.incoming / "pay-1.1.0.so").unlink()
    g.start()
    assert g.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.1.0" and len(maps(g)) == 1


def test_changes_leave_no_descriptor_and_reuse_no_number(sealed):
    """The same bytes, other bytes and other configurations in turn: each is what answers, and what left is gone with its descriptor."""
    g = sealed
    g.deploy("pay", MODULES / "pay-1.0.0.so", config={"currency": "EUR"})
    before = None
    with Traffic(g, CHARGE, BODY, clients=2) as t:
        for i in range(40):
            version, currency = ("1.1.0", "1.0.0")[i // 2 % 2], ("CHF", "USD", "EUR")[i % 3]
            g.want({"pay": g.document(MODULES / f"pay-{version}.so", config={"currency": currency}, strategy={"bake": "1ms"})})
            g.wait_phase("pay", "Healthy")
            _, headers, body = g.call(CHARGE, BODY)
            assert (headers["x-grayling-version"], json.loads(body)["currency"]) == (version, currency)
            before = before or descriptors(g)
    assert t.lost == [] and set(t.codes) == {200}
    g.wait_loaded(1)
    assert descriptors(g) <= before + 4 and g.status()["worker"]["pinned"] == 0


def test_a_crashing_version_is_taken_back(sealed):
    g = sealed
    g.deploy("pay", MODULES / "pay-1.1.0.so")
    with Traffic(g, CHARGE, BODY):
        g.want({"pay": g.document(MODULES / "pay-1.2.0.so", strategy={"bake": "5m"})})
        assert g.wait_phase("pay", "RolledBack")["reason"] == "Crashed"
    assert g.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.1.0"


def test_the_store_serves_no_other_bytes_to_a_running_service(sealed):
    """What is mapped is memory: a file that is overwritten in place changes nothing that runs."""
    g = sealed
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    with Traffic(g, CHARGE, BODY) as t:
        stored, = (g.state / "store").iterdir()
        os.chmod(stored, 0o644)
        stored.write_bytes(b"")
        for _ in range(50):
            assert g.call(CHARGE, BODY)[0] == 200
    assert t.lost == [] and set(t.codes) == {200}
