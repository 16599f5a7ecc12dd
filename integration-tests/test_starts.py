"""What a start that dies costs. With a candidate in play and by a fault of our own: a try, and the third convicts. By a kill from outside or a
power cut: nothing. Again and again without a culprit: safe mode, until a person leaves it."""
import json
import os
import signal
import subprocess
import urllib.request

import pytest

from harness import BUILD, MODULES, PATIENCE, Traffic

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250})
OLD, NEW = MODULES / "pay-1.0.0.so", MODULES / "pay-1.1.0.so"
GRAY = {"steps": [{"weight": 50}, {"pause": {}}, {"weight": 100}]}


def grayctl(g, *words):
    return subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *words], capture_output=True, text=True, timeout=PATIENCE,
                          env=dict(os.environ, NO_COLOR="1"))


def version(g):
    return g.call(CHARGE, BODY)[1].get("x-grayling-version")


def paused(g):
    """pay 1.1.0 beside 1.0.0, and a person is waited for."""
    g.deploy("pay", OLD)
    g.want({"pay": g.document(NEW, strategy=GRAY)})
    g.wait_phase("pay", "Paused")
    return g


def die(g, fault, expected, **env):
    """One start that ends as the fault says. The one before, if it lives, is killed from outside, as young as it is."""
    g.stop(signal.SIGKILL)
    g.start(wait=False, env={"GRAYLING_FAULT": fault, **env})
    assert g.process.wait(PATIENCE) == -expected, g.log()


def tries(g):
    return [e for e in g.events() if "that is try" in e["message"]]


def assert_convicted(g, how):
    """1.1.0 is taken back and convicted, with how the starts ended as evidence; 1.0.0 serves."""
    row = [r for r in g.control("/v1/history?module=pay")[1]["rollouts"] if r["phase"] == "RolledBack"][0]
    assert row["reason"] == "Crashed" and "3 starts died" in row["message"] and how in row["message"], row
    assert g.module("pay")["phase"] == "Degraded" and g.module("pay")["stable"]["version"] == "1.0.0"
    convicted, = g.status()["quarantine"]
    assert (convicted["version"], convicted["reason"], convicted["instance"]) == ("1.1.0", "Crashed", "host-1")
    assert "3 starts died with pay 1.1.0" in convicted["evidence"] and how in convicted["evidence"], convicted
    assert {version(g) for _ in range(20)} == {"1.0.0"}
    assert [e["message"].rsplit("that is ", 1)[1] for e in tries(g)] == [f"try {n} of 3" for n in (1, 2, 3)]
    assert all(e["reason"] == "Crashed" and how in e["message"] for e in tries(g))


def assert_paused_still(g):
    assert g.module("pay")["rollout"]["phase"] == "Paused" and g.status()["quarantine"] == [] and tries(g) == [], g.log()


def test_a_supervisor_that_faults_at_its_start_convicts_the_candidate(grayling):
    g = paused(grayling)
    with Traffic(g, CHARGE, BODY, clients=2) as t:
        for _ in range(3):
            die(g, "crew.load:2:crash", signal.SIGABRT)
        t.await_turns(2)  # the workers that are left answer
        g.start()
        assert_convicted(g, "graylingd ended with SIGABRT")
    assert t.lost == [] and set(t.codes) == {200}
    assert g.status()["safe_mode"] is False
    g.want({"pay": g.document(NEW, reason="again")})
    ev = g.wait_event(lambda e: e["phase"] == "Rejected")
    assert ev["reason"] == "Quarantined" and "by host-1 (Crashed: 3 starts died" in ev["message"], ev


def test_a_worker_that_dies_while_it_is_built_convicts_the_candidate(grayling):
    """Each worker dies when it has been given the candidate; the one that is built without it serves."""
    g = paused(grayling)
    g.stop(signal.SIGKILL)
    g.start(env={"GRAYLING_FAULT": "load.before-init:2:crash"})
    assert_convicted(g, "the worker ended with signal 6")
    assert g.process.poll() is None


def test_a_fault_before_it_was_released_convicts_as_well(grayling):
    """What is fetched or verified again at each start is in play, too: it never comes to a worker."""
    g = grayling
    g.deploy("pay", OLD)
    g.stop()
    g.want({"pay": g.document(NEW)})
    for _ in range(3):
        die(g, "verify.before-store:1:crash", signal.SIGABRT)
    g.start()
    g.until(lambda: g.module("pay")["reason"] == "Quarantined", lambda: g.module("pay"))
    assert "graylingd ended with SIGABRT" in g.status()["quarantine"][0]["evidence"]
    assert version(g) == "1.0.0"


@pytest.mark.parametrize("point", ["crew.load:2", "worker.before-hello:1", "start.begun:1", "start.before-begun:1"])
def test_a_kill_from_outside_costs_nothing(grayling, point):
    g = paused(grayling)
    for _ in range(3):
        die(g, f"{point}:kill", signal.SIGKILL)
    g.start()
    assert_paused_still(g)
    assert g.status()["safe_mode"] is False


def test_a_worker_that_is_killed_costs_nothing(grayling):
    g = paused(grayling)
    for _ in range(4):
        os.kill(g.status()["worker"]["pid"], signal.SIGKILL)
        g.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])
    assert_paused_still(g)


def test_a_power_cut_costs_nothing(grayling):
    """The host was restarted in between, so that nobody knows how the start before ended."""
    g = paused(grayling)
    for boot in range(6):
        die(g, "crew.load:2:crash", signal.SIGABRT, GRAYLING_BOOT_ID=f"boot-{boot}")
    g.start(env={"GRAYLING_BOOT_ID": "the last one"})
    assert_paused_still(g)
    assert g.status()["safe_mode"] is False


def test_a_start_that_lasts_forgives(make, etcd):
    """Tries do not add up over starts that were well in between."""
    g = paused(make(etcd, sets=["Service.StableAfter=0s"]).start())
    for _ in range(2):
        for _ in range(2):
            die(g, "crew.load:2:crash", signal.SIGABRT)
        g.start()
        assert g.module("pay")["rollout"]["phase"] == "Paused" and g.status()["quarantine"] == [], g.log()
    assert len(tries(g)) == 4


# --- safe mode -----------------------------------------------------------------------------------------------


def ready(g):
    for port in (g.port, g.admin):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=PATIENCE) as r:
            assert r.status == 200


def test_safe_mode_after_five_deaths_without_a_culprit(grayling):
    g = paused(grayling)
    for _ in range(4):  # and the first one
        die(g, "worker.before-hello:1:kill", signal.SIGKILL)
    g.start()
    s = g.status()
    assert s["safe_mode"] is True and s["phase"] == "Degraded" and "5 starts in a row died" in s["message"], s
    assert "grayling_safe_mode 1" in g.metrics()
    ready(g)
    # the last good version, and no candidate beside it
    m = g.module("pay")
    assert m["rollout"]["phase"] == "RolledBack" and "safe mode" in m["message"] and s["quarantine"] == [], m
    assert {version(g) for _ in range(20)} == {"1.0.0"}
    # nothing is begun
    revision = g.want({"pay": g.document(NEW)})
    r = grayctl(g, "status")
    assert r.returncode == 4 and "grayctl safe-mode leave --reason TEXT" in r.stdout, r
    r = grayctl(g, "retry", "pay", "--local")
    assert r.returncode != 0 and "safe mode" in r.stderr, r
    # it lasts over a restart, and needs a reason to be left
    assert g.stop() == 0
    g.start()
    assert g.status()["safe_mode"] is True and version(g) == "1.0.0"
    assert g.module("pay")["observed_revision"] < revision
    assert grayctl(g, "safe-mode", "leave").returncode == 2
    r = grayctl(g, "safe-mode", "leave", "--reason", "the memory was replaced")
    assert r.returncode == 0, r
    g.wait_event(lambda e: e["version"] == "1.1.0" and e["phase"] == "Healthy")
    assert version(g) == "1.1.0" and g.status()["safe_mode"] is False and g.status()["phase"] == "Serving"
    assert "grayling_safe_mode 0" in g.metrics()
    left, = [e for e in g.events() if "left safe mode" in e["message"]]
    assert "the memory was replaced" in left["message"]
    r = grayctl(g, "safe-mode", "leave", "--reason", "again")
    assert r.returncode == 5 and "not in safe mode" in r.stderr, r


def test_deaths_that_are_not_in_a_row_are_no_safe_mode(make, etcd):
    g = make(etcd, sets=["Service.StableAfter=0s"]).start()
    g.deploy("pay", OLD)
    for _ in range(2):
        for _ in range(4):
            die(g, "worker.before-hello:1:kill", signal.SIGKILL)
        g.start()
        assert g.status()["safe_mode"] is False and version(g) == "1.0.0"


def test_safe_mode_without_etcd_s_help(make):
    """A directory as source: the same."""
    g = make().start()
    g.deploy("pay", OLD)
    for _ in range(4):
        die(g, "worker.before-hello:1:kill", signal.SIGKILL)
    g.want({"pay": g.document(NEW)})
    g.start()
    assert g.status()["safe_mode"] is True and version(g) == "1.0.0"
    assert grayctl(g, "safe-mode", "leave", "--reason", "drill").returncode == 0
    g.wait_phase("pay", "Healthy")
    assert version(g) == "1.1.0"
