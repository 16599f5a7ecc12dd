"""Whatever etcd does, the version in force serves: away, dying, compacted, restored, foreign, with errors in its stream, byte by byte."""
import json
import subprocess

import pytest

from etcd_proxy import Proxy
from harness import BUILD, MODULES, PATIENCE, Etcd, Footprint, Traffic

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
OLD, NEW = MODULES / "pay-1.0.0.so", MODULES / "pay-1.1.0.so"


@pytest.fixture
def proxy(etcd):
    with Proxy(("127.0.0.1", etcd.port)) as p:
        yield p


@pytest.fixture
def behind(make, etcd, proxy):
    """A supervisor that reaches etcd through the proxy only, with pay 1.0.0 in force."""
    g = make(etcd)
    g.sets = [s if not s.startswith("Source.Etcd=") else f"Source.Etcd={proxy.url}" for s in g.sets]
    g.start().deploy("pay", OLD)
    return g


def grayctl(g, *words):
    return subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *words], capture_output=True, text=True)


def is_about(reason):
    return lambda e: e["module"] in ("", None) and e["reason"] == reason


def await_away(g, *words):
    """The source is told to be away: in the events, in the status with a whole sentence, in the metrics, by the doctor."""
    ev = g.wait_event(is_about("SourceUnreachable"))
    source = g.status()["source"]
    assert (source["up"], source["reason"]) == (False, "SourceUnreachable"), source
    for text in (ev["message"], source["message"]):
        assert len(text.split()) >= 8 and all(w in text for w in words), text
    assert "grayling_etcd_up 0" in g.metrics()
    doctor = grayctl(g, "doctor")
    assert doctor.returncode == 4 and any(w in doctor.stdout for w in words), (doctor.stdout, doctor.stderr)


def await_back(g):
    g.wait_event(lambda e: e["message"] == "the source of desired state answers")
    assert "grayling_etcd_up 1" in g.metrics() and g.status()["source"]["reason"] is None


def release(g, so, t, *versions):
    g.deploy("pay", so, reason=str(g.etcd.revision()))
    t.assert_served(*versions)
    assert g.call(CHARGE, BODY)[1]["x-grayling-version"] == versions[-1]


def test_down_at_the_start_serves_the_last_good_table(make, etcd):
    g = make(etcd).start()
    g.deploy("pay", OLD)
    assert g.stop() == 0
    etcd.stop()
    g.start()
    with Traffic(g, CHARGE, BODY, clients=2) as t:
        await_away(g, "127.0.0.1")
        t.assert_served("1.0.0")
        m = g.module("pay")
        assert (m["phase"], m["stable"]["version"]) == ("Healthy", "1.0.0")
        etcd.start()
        await_back(g)
        release(g, NEW, t, "1.0.0", "1.1.0")


def test_down_at_the_very_first_start(make, etcd):
    """Nothing was ever released: ready all the same, nothing is served, and the key is taken up when etcd comes."""
    etcd.stop()
    g = make(etcd).start()
    await_away(g, "127.0.0.1")
    assert g.call(CHARGE, BODY)[0] == 404
    etcd.start()
    await_back(g)
    g.deploy("pay", OLD)
    assert g.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.0.0"


def test_dies_while_it_is_watched(grayling):
    grayling.deploy("pay", OLD)
    left = Footprint(grayling)
    with Traffic(grayling, CHARGE, BODY, clients=2) as t:
        grayling.etcd.stop()
        await_away(grayling, "127.0.0.1")
        t.assert_served("1.0.0")
        grayling.etcd.start()
        await_back(grayling)
        t.assert_served("1.0.0")
        left.assert_left()
        release(grayling, NEW, t, "1.0.0", "1.1.0")


def test_a_release_under_way_needs_no_etcd(grayling):
    """etcd dies in the bake: the release ends as it would have."""
    grayling.deploy("pay", OLD)
    with Traffic(grayling, CHARGE, BODY, clients=2) as t:
        grayling.want({"pay": grayling.document(NEW, strategy={"bake": "2s"})})
        grayling.wait_event(lambda e: e["phase"] == "Baking")
        grayling.etcd.stop()
        grayling.wait_phase("pay", "Healthy")
        t.assert_served("1.0.0", "1.1.0")
        assert grayling.module("pay")["last_good"] == "1.1.0"
        grayling.etcd.start()


def test_compacts_past_our_revision(behind, proxy, etcd):
    with Traffic(behind, CHARGE, BODY, clients=2) as t:
        proxy.become("away")
        await_away(behind, "127.0.0.1")
        for i in range(3):
            behind.want({"pay": behind.document(NEW, reason=str(i))})
        etcd.compact()
        proxy.become("honest")
        behind.wait_phase("pay", "Healthy")
        t.assert_served("1.0.0", "1.1.0")
        assert behind.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.1.0"
        assert 'grayling_etcd_watch_restarts_total{reason="compacted"} 1' in behind.metrics()
        assert 'grayling_etcd_resyncs_total{reason="compacted"} 1' in behind.metrics()
        release(behind, OLD, t, "1.1.0", "1.0.0")


def hold_at(g, t, *words):
    """What etcd holds now is older or foreign: it is told, in whole sentences, and not followed."""
    ev = g.wait_event(is_about("DesiredStateRewound"))
    source = g.status()["source"]
    assert source["held"] and source["reason"] == "DesiredStateRewound", source
    for text in (ev["message"], source["message"]):
        assert all(w in text for w in (*words, "grayctl source accept-rewind", "stays in force")), text
    assert "grayling_source_held 1" in g.metrics()
    m = g.module("pay")
    assert (m["phase"], m["stable"]["version"]) == ("Healthy", "1.1.0"), m
    t.assert_served("1.1.0")


def test_restored_from_an_older_snapshot_is_held_until_it_is_accepted(grayling):
    etcd = grayling.etcd
    grayling.deploy("pay", OLD)
    etcd.snapshot(grayling.root / "backup.db")
    grayling.deploy("pay", NEW)
    with Traffic(grayling, CHARGE, BODY, clients=2) as t:
        t.take()
        etcd.stop()
        etcd.restore(grayling.root / "backup.db", "restored")
        etcd.start("restored")
        hold_at(grayling, t, "restored from an older state")
        # what is written meanwhile is not followed either, and a restart of the supervisor forgets nothing
        grayling.want({"pay": grayling.document(OLD, reason="meanwhile")})
        grayling.process.kill()
        grayling.process.wait()
        grayling.start()
        hold_at(grayling, t, "restored from a state older", "which nobody has accepted")
        r = grayctl(grayling, "source", "accept-rewind", "--reason", "restored the backup")
        assert r.returncode == 0, r.stderr
        grayling.wait_phase("pay", "Healthy")
        assert grayling.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.0.0" and not grayling.status()["source"]["held"]
        t.assert_served("1.0.0", "1.1.0")
        release(grayling, NEW, t, "1.0.0", "1.1.0")
        r = grayctl(grayling, "source", "accept-rewind", "--reason", "again")
        assert r.returncode == 5 and "nothing is held" in r.stderr, (r.returncode, r.stderr)


def test_a_foreign_cluster_is_held_and_left_when_the_own_one_is_back(behind, proxy, etcd, root):
    (root / "foreign").mkdir()
    foreign = Etcd(root / "foreign")
    try:
        behind.deploy("pay", NEW)
        for _ in range(50):
            foreign.put(behind.key("pay"), behind.document(OLD))
        with Traffic(behind, CHARGE, BODY, clients=2) as t:
            t.take()
            proxy.become("honest", ("127.0.0.1", foreign.port))
            hold_at(behind, t, "is cluster")
            proxy.become("honest", ("127.0.0.1", etcd.port))
            release(behind, OLD, t, "1.1.0", "1.0.0")
            assert not behind.status()["source"]["held"]
    finally:
        foreign.stop()


def test_errors_inside_a_good_answer(behind, proxy):
    """Every watch is answered 200 and then with an error: it is opened again and again, told, and nothing of it reaches the clients."""
    with Traffic(behind, CHARGE, BODY, clients=2) as t:
        proxy.become("watch-error")
        await_away(behind, "127.0.0.1")
        proxy.await_spoilt(2, PATIENCE)
        behind.until(lambda: "no leader" in behind.status()["source"]["message"])
        t.assert_served("1.0.0")
        assert 'grayling_etcd_watch_restarts_total{reason="error"} 0' not in behind.metrics()
        proxy.become("honest")
        release(behind, NEW, t, "1.0.0", "1.1.0")


def test_one_byte_at_a_time(behind, proxy):
    with Traffic(behind, CHARGE, BODY, clients=2) as t:
        proxy.become("bytes")
        release(behind, NEW, t, "1.0.0", "1.1.0")
        release(behind, OLD, t, "1.1.0", "1.0.0")
        assert proxy.spoilt > 10
        behind.want({"pay": behind.document(NEW), "echo": {**behind.document(MODULES / "echo-1.0.0.so"), "size": -1}})
        behind.wait_phase("echo", "Rejected")
        t.assert_served("1.0.0")
