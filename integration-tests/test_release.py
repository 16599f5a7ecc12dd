"""The main job: an operator writes a key, and a running service changes its code without losing a request."""
import json
import re

from harness import MODULES, Traffic

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})


def test_first_release_serves(grayling):
    status, _, _ = grayling.call(CHARGE, BODY)
    assert status == 404
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    status, headers, body = grayling.call(CHARGE, BODY)
    assert status == 200, body
    assert headers["x-grayling-version"] == "1.0.0" and headers["x-grayling-module"] == "pay"
    assert headers["x-grayling-role"] == "stable"
    assert json.loads(body)["amount_cents"] == 1250
    metrics = grayling.metrics()
    assert "grayling_artifact_fetch_duration_seconds_count 1" in metrics
    for station in ("fetch", "check", "store", "preflight", "load"):
        assert f'grayling_release_station_duration_seconds_count{{station="{station}"}} 1' in metrics


def test_replacement_under_traffic_loses_nothing(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    with Traffic(grayling, CHARGE, BODY) as t:
        grayling.deploy("pay", MODULES / "pay-1.1.0.so")
    assert t.lost == [] and set(t.codes) == {200}
    assert set(t.versions) <= {"1.0.0", "1.1.0"}
    status, headers, body = grayling.call(CHARGE, BODY)
    assert headers["x-grayling-version"] == "1.1.0" and "fee_cents" in json.loads(body)


def test_many_replacements_leave_nothing_loaded(grayling):
    """Many more than one worker may map copies of a file (GR_STORE_COPIES_MAX)."""
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    with Traffic(grayling, CHARGE, BODY) as t:
        for i in range(40):
            grayling.deploy("pay", MODULES / f"pay-1.{(i + 1) % 2}.0.so", strategy={"bake": "1ms"})
    assert t.lost == [] and set(t.codes) == {200}
    grayling.wait_loaded(1)
    assert re.search(r"^grayling_pinned_versions 0$", grayling.metrics(), re.MULTILINE)


def test_slow_calls_do_not_keep_what_was_replaced(grayling):
    """Each call takes much longer than the freeze budget; when the bake ends the version before leaves all the same."""
    grayling.deploy("faulty", MODULES / "faulty-1.0.0.so", config={"mode": "none"})
    with Traffic(grayling, "com.example.faulty.FaultyService/Poke", clients=4) as t:
        grayling.deploy("faulty", MODULES / "faulty-1.0.0.so", config={"mode": "handle-slow", "usec": 1000000}, strategy={"bake": "300ms"})
        grayling.wait_loaded(1)
    assert t.lost == [] and set(t.codes) == {200}


def test_a_crashing_version_is_taken_back(grayling):
    grayling.deploy("pay", MODULES / "pay-1.1.0.so")
    with Traffic(grayling, CHARGE, BODY) as t:
        bad = grayling.document(MODULES / "pay-1.2.0.so", strategy={"bake": "5m"})
        grayling.want({"pay": bad})
        ev = grayling.wait_phase("pay", "RolledBack")
        assert ev["reason"] == "Crashed" and "quarantine" in ev["message"]
    assert t.lost == [] and set(t.codes) == {200}, (t.codes, t.lost[:3])
    _, headers, _ = grayling.call(CHARGE, BODY)
    assert headers["x-grayling-version"] == "1.1.0"
    m = grayling.module("pay")
    assert m["phase"] == "Degraded" and m["reason"] == "Crashed"
    # the digest stays convicted when it is asked for again
    grayling.want({"pay": {**bad, "reason": "again"}})
    ev = grayling.wait_phase("pay", "Rejected")
    assert ev["reason"] == "Quarantined"
    assert 'grayling_rollbacks_total{module="pay",reason="Crashed"} 1' in grayling.metrics()


def test_an_error_rate_is_taken_back(grayling):
    grayling.deploy("pay", MODULES / "pay-1.1.0.so")
    with Traffic(grayling, CHARGE, BODY):
        grayling.want({"pay": grayling.document(MODULES / "pay-1.3.0.so", strategy={"bake": "5m"})})
        ev = grayling.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "ErrorRateRegressed"
    assert grayling.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.1.0"


def test_deletion_drains_and_removes(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    grayling.want({"pay": None})
    grayling.wait_phase("pay", "Healthy")
    assert grayling.call(CHARGE, BODY)[0] == 404
    assert grayling.module("pay") is None


def test_two_keys_in_one_transaction_are_one_rollout(grayling):
    grayling.want({"pay": grayling.document(MODULES / "pay-1.1.0.so"), "auth": grayling.document(MODULES / "auth-1.0.0.so")})
    a = grayling.wait_phase("auth", "Healthy")
    p = grayling.wait_event(lambda e: e.get("module") == "pay" and e.get("phase") == "Healthy", after=0)
    assert a["rollout"] == p["rollout"]


def test_one_bad_member_keeps_both_old(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    bad = grayling.document(MODULES / "auth-1.0.0.so")
    bad["version_hash"] = "sha256:" + "0" * 64
    grayling.want({"pay": grayling.document(MODULES / "pay-1.1.0.so"), "auth": bad})
    ev = grayling.wait_phase("auth", "Rejected")
    assert ev["reason"] == "DigestMismatch" and "0000" in ev["message"]
    assert grayling.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.0.0"


def test_status_keys_are_written(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    key = "/grayling/v1/order/instances/host-1/modules/pay"
    import subprocess
    w = subprocess.Popen(["etcdctl", "--endpoints", grayling.etcd.url, "watch", "--rev", "1", key], stdout=subprocess.PIPE, text=True,
                         env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"})
    try:
        for line in w.stdout:
            if line.startswith("{") and json.loads(line)["phase"] == "Healthy":
                doc = json.loads(line)
                break
    finally:
        w.kill()
        w.wait()
        w.stdout.close()
    assert doc["stable"]["version"] == "1.0.0" and doc["last_good"] == "1.0.0"
    assert json.loads(grayling.etcd.get("/grayling/v1/order/instances/host-1"))["pid"] == grayling.process.pid


def test_directory_source(make):
    g = make().start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    g.deploy("pay", MODULES / "pay-1.1.0.so")
    assert g.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.1.0"


def test_sigterm_drains_and_exits_0(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    assert grayling.stop() == 0
