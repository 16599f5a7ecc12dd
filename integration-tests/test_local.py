"""Orders with --local while etcd is away: this host obeys, says that the desired state asks for something else, and stops when that agrees again."""
import os
import subprocess

from harness import BUILD, MODULES

PAY = [MODULES / f"pay-1.{n}.0.so" for n in range(2)]
ENV = {k: v for k, v in os.environ.items() if not k.startswith("GRAYLING_CON")}


def grayctl(g, *words, status=0):
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *map(str, words)], capture_output=True, text=True, env=ENV)
    assert r.returncode == status, r
    return r.stdout + r.stderr


def test_a_release_in_force_is_left_without_etcd(make, etcd):
    g = make(etcd).start()
    for so in PAY:
        g.deploy("pay", so)
    etcd.stop()
    g.until(lambda: not g.status()["source"]["up"])
    said = grayctl(g, "undo", "pay", "--local", "--reason", "refunds fail")
    assert "1.1.0 -> 1.0.0 on this host" in said and "--local" in said
    g.until(lambda: (g.module("pay")["stable"]["version"], g.module("pay")["phase"]) == ("1.0.0", "Degraded"))
    m = g.module("pay")
    assert m["reason"] == "OperatorAbort" and "the desired state asks for 1.1.0" in m["message"] and "grayctl undo pay" in m["message"]
    assert "the desired state asks for 1.1.0" in grayctl(g, "status", "pay", status=4) and "1.1.0" in grayctl(g, "get", "pay")
    assert any("ordered undo to 1.0.0 on this host alone: refunds fail" in e["message"] for e in g.events())
    assert "serves already" in grayctl(g, "undo", "pay", "--to", "1.0.0", "--local", status=5)
    assert g.stop() == 0
    g.start()  # neither does a restart drift forward, with etcd away or back
    assert g.module("pay")["stable"]["version"] == "1.0.0"
    etcd.start()
    g.until(lambda: g.status()["source"]["up"])
    g.until(lambda: "the desired state asks for 1.1.0" in g.module("pay")["message"])
    assert g.module("pay")["stable"]["version"] == "1.0.0"
    assert "1.0.0" in grayctl(g, "undo", "pay", "--reason", "as on the host")
    g.until(lambda: g.module("pay")["phase"] == "Healthy")
    m = g.module("pay")
    assert m["stable"]["version"] == "1.0.0" and "asks for" not in m["message"]


def test_a_rollout_is_steered_without_etcd(make, etcd):
    g = make(etcd).start()
    g.deploy("pay", PAY[0])
    steps = [{"weight": 1}, {"pause": {}}, {"pause": {}}, {"weight": 100}]
    g.want({"pay": g.document(PAY[1], strategy={"steps": steps, "bake": "300ms"})})
    g.wait_event(lambda e: e.get("phase") == "Paused")
    etcd.stop()
    g.until(lambda: not g.status()["source"]["up"])
    grayctl(g, "promote", "pay", status=7)
    step = g.module("pay")["rollout"]["step"]
    grayctl(g, "promote", "pay", "--local")
    assert g.module("pay")["rollout"]["step"] > step
    grayctl(g, "freeze", "pay", "--for", "1s", "--local"), grayctl(g, "thaw", "pay", "--local")
    grayctl(g, "abort", "pay", "--local", "--reason", "look first")
    g.wait_phase("pay", "RolledBack")
    m = g.module("pay")
    assert (m["phase"], m["reason"], m["stable"]["version"]) == ("Degraded", "OperatorAbort", "1.0.0") and "look first" in m["message"]
    etcd.start()
    g.until(lambda: g.status()["source"]["up"])
    assert g.module("pay")["phase"] == "Degraded", "the desired state still asks for 1.1.0"
    grayctl(g, "undo", "pay", "--reason", "as on the host")
    g.until(lambda: g.module("pay")["phase"] == "Healthy")
