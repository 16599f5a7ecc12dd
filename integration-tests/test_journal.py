"""A journal that is damaged while the service is down: what is good serves on without anybody's help, what is convicted stays convicted, and it is told."""
import sqlite3
import subprocess

import pytest

from harness import BUILD, MODULES

CHARGE, POKE = "com.example.pay.PayService/Charge", "com.example.faulty.FaultyService/Poke"


def spoil(g, how):
    """Damages the closed database; the log is empty then."""
    path = g.state / "journal.db"
    data = bytearray(path.read_bytes())
    if how == "header":
        data[:64] = b"\xaa" * 64
    elif how == "middle":
        data[len(data) // 2:len(data) // 2 + 4096] = b"\x5a" * 4096
    elif how == "half":
        del data[len(data) // 2:]
    elif how == "empty":
        data.clear()
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["header", "middle", "half", "empty"])
def test_a_damaged_journal(make, etcd, how):
    g = make(etcd).start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    g.deploy("faulty", MODULES / "faulty-1.0.0.so")
    bad = g.document(MODULES / "faulty-1.1.0.so", config={"mode": "handle-crash"}, strategy={"bake": "10m"})
    g.want({"faulty": bad})
    g.wait_phase("faulty", "Baking")
    g.call(POKE)
    g.wait_phase("faulty", "RolledBack")
    assert g.stop() == 0
    etcd.stop()  # nobody helps
    spoil(g, how)
    g.start()
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.0.0" and g.call(POKE)[1]["x-grayling-version"] == "1.0.0"
    told = g.wait_event(lambda e: e["phase"] == "Degraded" and "From its copy came back: 2 modules in force" in e["message"], after=0)
    assert g.status()["phase"] == "Degraded" and g.status()["message"] == told["message"]
    assert "grayling_journal_damaged 1" in g.metrics()
    aside = [p.name for p in g.state.glob("journal.db.corrupt-*")]
    assert len(aside) == (0 if how == "empty" else 1), aside
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "status"], capture_output=True, text=True)
    assert "copy" in r.stdout, r.stdout + r.stderr
    etcd.start()
    refused = g.wait_event(lambda e: e["module"] == "faulty" and e["phase"] == "Rejected", after=0)
    assert refused["reason"] == "Quarantined" and g.call(POKE)[1]["x-grayling-version"] == "1.0.0"
    assert g.stop() == 0
    g.start()
    assert g.status()["message"] in ("", None) and g.call(CHARGE)[0] == 200


def test_the_journal_of_a_newer_release(make, etcd):
    """A downgrade serves what is good, and says what it left aside."""
    g = make(etcd).start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    assert g.stop() == 0
    etcd.stop()
    with sqlite3.connect(g.state / "journal.db") as db:
        db.execute("CREATE TABLE novelty(x)")
        db.execute("PRAGMA user_version = 999")
    db.close()
    g.start()
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.0.0"
    status = g.status()
    assert status["phase"] == "Degraded" and "schema 999" in status["message"] and "1 modules in force" in status["message"], status
    aside, = g.state.glob("journal.db.newer-*")
    with sqlite3.connect(aside) as db:
        assert db.execute("SELECT count(*) FROM rollouts").fetchone()[0] > 0  # history is there to be looked at
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "doctor"], capture_output=True, text=True)
    assert "schema 999" in r.stdout, r.stdout + r.stderr
    etcd.start()
    assert g.stop() == 0
    g.start()
    assert g.status()["message"] in ("", None) and g.call(CHARGE)[0] == 200
