"""State changes hands with the releases: what was acknowledged is in the count, whatever the hooks do and whoever goes back.

The state is the worker's memory. What ends it (another worker, another supervisor) is shown here too.
"""
import http.client
import json
import os
import random
import signal
import subprocess
import threading

from harness import BUILD, MODULES, PATIENCE

INCREMENT, GET = "com.example.counter.Counter/Increment", "com.example.counter.Counter/Get"
SWAPS = int(os.environ.get("GRAYLING_SWAPS", "60"))
SEED = int(os.environ.get("GRAYLING_SEED", "20"))
ENDS = {"Healthy", "RolledBack", "Rejected", "Superseded"}


class Counting:
    """Clients that increment until stopped. Each must see its own answers grow: a count that was lost shows at once."""

    def __init__(self, g, clients=3, bears=()):
        self.g, self.acknowledged, self.failed = g, [0] * clients, []
        self.bears = bears  # codes of a release that fails on purpose: not counted, not acknowledged
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(clients)]

    def _run(self, i):
        c, last = http.client.HTTPConnection("127.0.0.1", self.g.port, timeout=PATIENCE), 0
        try:
            while not self.over.is_set():
                status, headers, body = self.g.call(INCREMENT, connection=c)
                if status in self.bears:
                    continue
                count = json.loads(body).get("count", 0)
                if status != 200 or count <= last:
                    self.failed.append((status, headers, body, last))
                    continue
                last = count
                self.acknowledged[i] += 1
        except (OSError, http.client.HTTPException, ValueError) as e:  # a thread's end must be seen
            self.failed.append(repr(e))
        finally:
            c.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(PATIENCE)


def count(g, method=GET):
    status, headers, body = g.call(method)
    assert status == 200, (status, body)
    return json.loads(body)["count"], headers["x-grayling-version"]


def grayctl(g, *args):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GRAYLING_")}
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *args], capture_output=True, text=True, env=env,
                       timeout=PATIENCE)
    return r.returncode, r.stdout, r.stderr


def wait(g, *phases):
    return g.wait_event(lambda e: e.get("module") == "counter" and e.get("phase") in phases)


def counter(g, version, strategy=None, **more):
    """A busy machine must not be what fails a hand-over here: the budget is not what is tested."""
    return {"counter": g.document(MODULES / f"counter-{version}.so", strategy={"freeze_budget": "10s", **(strategy or {})}, **more)}


def test_nothing_that_was_acknowledged_is_lost(grayling):
    """Releases come, bake, are promoted or aborted, and a third of all hooks fails: acknowledged increments == the final count."""
    g, dice = grayling, random.Random(SEED)
    g.want(counter(g, "1.0.1", config={"seed": 1}))
    wait(g, "Healthy")
    seen = {"Healthy": 0, "OperatorAbort": 0, "StateHandoverFailed": 0}
    with Counting(g) as clients:
        while seen["Healthy"] + 2 * seen["OperatorAbort"] < SWAPS:
            stays = dice.random() < 0.5
            version = "1.1.1" if g.module("counter")["stable"]["version"] == "1.0.1" else "1.0.1"
            g.want(counter(g, version, config={"hook_failures_permille": 300, "seed": dice.randrange(1 << 30)},
                           strategy={"bake": "50ms" if stays else "10m"}))
            ev = wait(g, "Baking", *ENDS)
            if ev["phase"] == "Baking":
                if not stays:
                    status, answer = g.control("/v1/modules/counter/abort", "POST", {"rollout": ev["rollout"], "reason": "drill"})
                    assert status == 200, answer
                ev = wait(g, *ENDS)
            seen[ev["reason"] or ev["phase"]] += 1
        assert not clients.failed, clients.failed[:3]
    acknowledged = sum(clients.acknowledged)
    assert not clients.failed and all(clients.acknowledged), (clients.failed[:3], clients.acknowledged)
    assert count(g)[0] == acknowledged, (SEED, seen)
    print(f"seed {SEED}: {seen}, {acknowledged} increments acknowledged and counted")
    assert seen["StateHandoverFailed"] and seen["Healthy"] and seen["OperatorAbort"], seen
    restarts = [x for x in g.metrics().splitlines() if x.startswith("grayling_worker_restarts_total")]
    assert all(x.endswith(" 0") for x in restarts), restarts  # no worker was given up for it


def test_a_release_that_fails_hands_back_what_it_counted(grayling):
    """Half of the increments fail in its bake: it is taken back by itself, and what it acknowledged stays counted."""
    g = grayling
    g.deploy("counter", MODULES / "counter-1.2.0.so")
    with Counting(g, bears=(500,)) as clients:
        g.want(counter(g, "2.0.1", config={"failures_permille": 500, "seed": SEED}, strategy={"bake": "10m"}))
        ev = wait(g, *ENDS)
        assert ev["phase"] == "RolledBack" and ev["reason"] in ("ErrorRateRegressed", "HarmBudgetSpent"), ev
    assert not clients.failed and all(clients.acknowledged), (clients.failed[:3], clients.acknowledged)
    assert count(g) == (sum(clients.acknowledged), "1.2.0")


def test_a_bad_release_without_a_way_back_waits_for_a_person(grayling):
    """No way back that keeps the state: it stays, Degraded, and a newer release takes its state over."""
    g = grayling
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert count(g, INCREMENT) == (1, "1.0.0")
    g.want(counter(g, "2.0.1", config={"failures_permille": 500, "seed": SEED}, one_way=True, strategy={"bake": "10m"}))
    wait(g, "Baking")
    with Counting(g, bears=(500,)) as clients:
        ev = g.wait_event(lambda e: e.get("module") == "counter" and "It is not taken back by itself" in e["message"])
    m = g.module("counter")
    assert (m["phase"], m["stable"]["version"], m["rollout"]["phase"]) == ("Degraded", "2.0.1", "Baking"), m
    code, out, _ = grayctl(g, "explain", "counter")
    assert code == 0 and "grayctl abort counter --one-way" in out, out
    assert count(g) == (1 + sum(clients.acknowledged), "2.0.1") and not clients.failed, clients.failed[:3]
    g.want(counter(g, "2.0.0"))
    ev = wait(g, *ENDS)
    assert ev["phase"] == "Superseded", ev
    ev = wait(g, *ENDS)
    assert ev["phase"] == "Healthy", ev
    assert count(g) == (1 + sum(clients.acknowledged), "2.0.0")


def test_a_swap_without_a_way_back(grayling):
    """1.0.0 does not read what 2.0.0 writes: the swap waits for promote --one-way, and the way back for abort --one-way."""
    g = grayling
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert count(g, INCREMENT) == (1, "1.0.0")
    document = g.root / "counter.json"
    document.write_text(json.dumps(counter(g, "2.0.0", strategy={"bake": "10m"})["counter"]))
    code, _, err = grayctl(g, "lint", document)
    assert code == 0 and "does not read schema 2" in err, (code, err)
    code, out, _ = grayctl(g, "plan", "-f", document)
    assert code == 0 and "one way: counter 2.0.0 (schema 2, imports 1) cannot hand its state back to 1.0.0" in out, (code, out)
    g.want({"counter": document.read_text()})
    ev = wait(g, "Paused", *ENDS)
    assert ev["phase"] == "Paused" and "counter 2.0.0 (schema 2, imports 1) cannot hand its state back to 1.0.0" in ev["message"], ev
    m = g.module("counter")
    assert m["phase"] == "Paused" and m["rollout"]["one_way"]["door"] == "closed" and m["rollout"]["pause"]["hold"] == "one-way", m
    assert count(g, INCREMENT) == (2, "1.0.0")
    code, _, err = grayctl(g, "promote", "counter")
    assert code == 5 and "promote --one-way" in err, (code, err)
    code, out, err = grayctl(g, "promote", "counter", "--one-way", "--reason", "PAY-9")
    assert code == 0, (code, out, err)
    wait(g, "Baking")
    assert count(g, INCREMENT) == (3, "2.0.0")
    code, _, err = grayctl(g, "abort", "counter")
    assert code == 5 and "abort --one-way" in err, (code, err)
    assert count(g)[1] == "2.0.0"
    code, out, err = grayctl(g, "abort", "counter", "--one-way", "--reason", "worth it")
    assert code == 0, (code, out, err)
    wait(g, "RolledBack")
    assert count(g) == (2, "1.0.0")  # what it held when it was left: the third is lost, as was agreed
    assert json.loads(g.etcd.get(g.key("counter")))["version"] == "1.0.0"


def test_undo_to_a_version_that_cannot_take_the_state(grayling):
    g = grayling
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    g.want(counter(g, "2.0.0", one_way=True))  # the document may agree too: nobody waits
    wait(g, "Healthy")
    assert count(g, INCREMENT) == (1, "2.0.0")
    code, _, err = grayctl(g, "undo", "counter")
    assert code == 5 and "cannot take over the state of 2.0.0" in err and "undo counter --one-way" in err, (code, err)
    assert json.loads(g.etcd.get(g.key("counter")))["version"] == "2.0.0"
    g.want(counter(g, "1.0.0"))  # without a word about the state
    ev = wait(g, *ENDS)
    assert (ev["phase"], ev["reason"]) == ("Rejected", "StateHandoverFailed"), ev
    assert "counter 1.0.0 (schema 1, imports none)" in ev["message"] and "2.0.0 (schema 2" in ev["message"], ev
    g.want(counter(g, "2.0.0"))
    code, out, err = grayctl(g, "undo", "counter", "--to", "1.0.0", "--one-way")
    assert code == 0, (code, out, err)
    g.wait_event(lambda e: (e.get("module"), e.get("version"), e.get("phase")) == ("counter", "1.0.0", "Healthy"))
    assert count(g) == (0, "1.0.0")


def test_two_versions_never_share_a_state(grayling):
    g = grayling
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert count(g, INCREMENT) == (1, "1.0.0")
    document = g.root / "counter.json"
    document.write_text(json.dumps(counter(g, "1.1.0", strategy={"steps": [{"weight": 10}, {"weight": 100}]})["counter"]))
    code, _, err = grayctl(g, "lint", document)
    assert code == 0 and "strategy.steps: show the new version to some of the requests" in err, (code, err)
    code, out, _ = grayctl(g, "plan", "-f", document)
    assert code == 5 and "strategy.steps[0].weight: counter 1.0.0 holds state" in out, (code, out)
    g.want({"counter": document.read_text()})
    ev = wait(g, *ENDS)
    assert (ev["phase"], ev["reason"]) == ("Rejected", "DocumentInvalid"), ev
    assert ev["message"].startswith("strategy.steps[0].weight: counter 1.0.0 holds state"), ev
    g.want(counter(g, "1.1.0", strategy={"steps": [{"shadow": 50}, {"pause": {"duration": "10ms"}}, {"weight": 100}]}))
    ev = wait(g, *ENDS)
    assert ev["phase"] == "Healthy", ev
    assert count(g, INCREMENT) == (2, "1.1.0")


def test_another_worker_begins_with_an_empty_state(grayling):
    """The limit: state is in the worker's memory, and what is told when it goes."""
    g = grayling
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert count(g, INCREMENT) == (1, "1.0.0")
    code, _, err = grayctl(g, "worker", "replace")
    assert code == 5 and "the state of counter" in err and "worker replace --one-way" in err, (code, err)
    assert count(g, INCREMENT) == (2, "1.0.0")
    g.process.send_signal(signal.SIGUSR2)
    ev = g.wait_event(lambda e: "the state of counter began anew" in e["message"])
    assert "another worker" in ev["message"], ev
    assert count(g) == (0, "1.0.0")
