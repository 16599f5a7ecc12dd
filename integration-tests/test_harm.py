"""The harm budget: a candidate ends at the Nth bad answer, exactly, however many clients ask at once and whoever is replaced or killed in
between. Clients count what they got."""
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from harness import BUILD, MODULES, PATIENCE

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "bench"))
import clients  # noqa: E402

CHARGE = "/com.example.pay.PayService/Charge"
POKE = "/com.example.faulty.FaultyService/Poke"
RATE = 1500  # requests a second; a machine that is slower is given as many as it takes
ALL = {"mode": "handle-error"}
SOME = {"mode": "handle-error", "share": 100}  # 1 % of calls, evenly spread
GATE = {"pause": {}}
LITTLE = {"weight": 0.01}  # the step after it is told when the worker knows the rules
NEVER = {"error_rate": {"max_increase": 0.9}, "min_requests": 1000000}  # nothing but the budget ends it


def release(g, module, version, n, *steps, config=None, **more):
    ladder = {"steps": [*steps, {"weight": 100}]} if steps else {}
    return {module: g.document(MODULES / f"{module}-{version}.so", config=config, strategy={
        **ladder, "bake": "1h", "deadline": "1h", "analysis": NEVER, "harm": {"bad_responses": n}, **more})}


def load(g, path=POKE):
    return clients.Load(g.port, path, RATE, "x-grayling-version")


def wait_spent(g, module="faulty"):
    ev = g.wait_phase(module, "RolledBack")
    assert ev["reason"] == "HarmBudgetSpent", ev
    return ev


def bad_answers(loaded):
    """Of all answers; nothing else may have gone wrong."""
    others = {k: n for k, n in loaded.result["failed"].items() if n and k not in ("unanswered", "status")}
    assert not others, loaded.result
    return loaded.result["failed"]["status"]


def wait_some(g, n, module="faulty"):
    """Until so many bad answers were judged, and not all that there may be."""
    g.until(lambda: (g.module(module)["verdict"] or {}).get("errors", 0) >= n, lambda: g.module(module))
    assert g.module(module)["rollout"]["phase"] == "Paused"


def replays(g, rollout):
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "replay", str(rollout)], capture_output=True, text=True,
                       timeout=PATIENCE)
    return r.returncode == 0


@pytest.fixture
def told(capsys):
    def say(text):
        with capsys.disabled():
            print(f"\n  {text}", flush=True)
    return say


@pytest.fixture
def g(grayling):
    grayling.deploy("faulty", MODULES / "faulty-1.0.0.so", config={"mode": "none"})
    return grayling


@pytest.mark.parametrize("n", [1, 5, 50])
def test_exactly_so_many_bad_answers(g, n):
    with load(g) as l:
        g.want(release(g, "faulty", "1.1.0", n, {"weight": 50}, GATE, config=ALL))
        ev = wait_spent(g)
    assert bad_answers(l) == n
    quarantined = g.status()["quarantine"]
    assert [(c["module"], c["reason"]) for c in quarantined] == [("faulty", "HarmBudgetSpent")], quarantined
    assert replays(g, ev["rollout"])
    explained = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "explain", str(ev["rollout"])], capture_output=True,
                               text=True, timeout=PATIENCE).stdout
    assert f"{n} bad response" in explained, explained


def test_exactly_so_many_of_a_version_that_fails_now_and_then(grayling):
    g = grayling
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    with load(g, CHARGE) as l:
        g.want(release(g, "pay", "1.3.0", 5, {"weight": 25}, GATE))
        wait_spent(g, "pay")
    assert bad_answers(l) == 5


def test_with_steps_that_raise_the_weight_in_between(g):
    steps = [step for w in (5, 25, 50, 75) for step in ({"weight": w}, {"pause": {"requests": 100}})]
    with load(g) as l:
        g.want(release(g, "faulty", "1.1.0", 20, *steps, GATE, config={**ALL, "share": 500}))
        wait_spent(g)
    assert bad_answers(l) == 20


def test_a_rule_counts_as_a_weight_does(g):
    canary = {"x-canary": "1"}
    g.want(release(g, "faulty", "1.1.0", 3, LITTLE, GATE, config=ALL, match=[{"header": "x-canary", "exact": "1"}]))
    g.wait_event(lambda e: e["module"] == "faulty" and "step 2 of 3" in e["message"])
    answers = [g.call(POKE[1:], "{}", canary)[0] for _ in range(10)]
    assert answers == [500] * 3 + [200] * 7
    wait_spent(g)


def replace_the_worker(g):
    g.process.send_signal(signal.SIGUSR2)
    g.wait_event(lambda e: "serves" in e["message"])


def stop_the_supervisor(g):
    assert g.stop() == 0, g.log()
    g.start()


def kill_the_supervisor(g):
    g.process.kill()
    g.process.wait()
    g.start()


@pytest.mark.parametrize("deed", [replace_the_worker, kill_the_supervisor])
def test_exactly_so_many_whoever_is_replaced(g, deed, told):
    with load(g) as l:
        g.want(release(g, "faulty", "1.1.0", 40, {"weight": 50}, GATE, config=SOME))
        for n in (3, 10):
            wait_some(g, n)
            deed(g)
        ev = wait_spent(g)
    assert bad_answers(l) == 40
    told(ev["message"])


def test_a_killed_worker_gives_no_second_budget(g):
    """A bad answer may be counted and not have reached its client: there are at most as many."""
    with load(g) as l:
        g.want(release(g, "faulty", "1.1.0", 40, {"weight": 50}, GATE, config=SOME))
        wait_some(g, 5)
        os.kill(g.status()["worker"]["pid"], signal.SIGKILL)
        g.wait_event(lambda e: "serves" in e["message"])
        wait_spent(g)
    assert 40 - 2 <= l.result["failed"]["status"] <= 40, l.result  # the worker has two threads


def test_the_budget_outlives_an_orderly_restart(g):
    g.want(release(g, "faulty", "1.1.0", 4, LITTLE, GATE, config=ALL, match=[{"header": "x-canary", "exact": "1"}]))
    g.wait_event(lambda e: e["module"] == "faulty" and "step 2 of 3" in e["message"])
    bad = [g.call(POKE[1:], "{}", {"x-canary": "1"})[0] for _ in range(3)]
    stop_the_supervisor(g)
    bad += [g.call(POKE[1:], "{}", {"x-canary": "1"})[0] for _ in range(5)]
    assert bad == [500] * 4 + [200] * 4
    wait_spent(g)


def test_in_the_bake_it_goes_back_at_once(g, told):
    """There the new version is all that answers: what is inside, or comes before the way back, cannot be helped."""
    with load(g) as l:
        g.want(release(g, "faulty", "1.1.0", 5, config=ALL))
        ev = wait_spent(g)
    bad = bad_answers(l)
    assert bad >= 5
    told(f"a budget of 5 in the bake: {bad} bad answers: {ev['message']}")
    assert replays(g, ev["rollout"])
    assert g.call(POKE[1:])[1]["x-grayling-version"] == "1.0.0"


def test_a_first_deployment_has_a_budget_too(grayling):
    g = grayling
    g.want(release(g, "faulty", "1.1.0", 5, {"weight": 50}, GATE, config=ALL))
    g.wait_event(lambda e: e["module"] == "faulty" and "step 2 of 3" in e["message"])
    answers = [g.call(POKE[1:])[0] for _ in range(40)]
    assert answers.count(500) == 5 and set(answers) <= {500, 503, 404, 501}, answers  # others: unavailable, or gone with the rollout
    wait_spent(g)
