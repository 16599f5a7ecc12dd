"""Gray releases under judgement: bad versions caught and good ones not, nobody calling, a stable that turns bad, batches, sticky users,
and every phase carried over into another worker and another supervisor. Load that must be plenty comes from bench-http; how soon something
was found is printed and never asserted."""
import concurrent.futures
import http.client
import json
import pathlib
import signal
import sys

import pytest

from harness import MODULES

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "bench"))
import clients  # noqa: E402

CHARGE = "com.example.pay.PayService/Charge"
ECHO = "com.example.echo.EchoService/Echo"
POKE = "com.example.faulty.FaultyService/Poke"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
RATE = 1500  # requests a second; a machine that is slower is given as many as it takes
ERRORS = {"error_rate": {"max_increase": 0.005}}
CHECKPOINT_USEC = 5000000  # how old the journal's times may be
GATE = {"pause": {}}
SLOW = {"mode": "handle-slow", "every": 50}  # 2 % of calls sleep: far more than any scheduler adds
FAILING = {"mode": "handle-error", "share": 300}  # 3 % of calls, evenly spread


def ladder(*steps, **more):
    return {"steps": [*steps, {"weight": 100}], "bake": "300ms", "analysis": ERRORS, "deadline": "1h", **more}


def release(g, module, version, *steps, config=None, **more):
    return g.document(MODULES / f"{module}-{version}.so", config=config, strategy=ladder(*steps, **more))


def order(g, verb, expected=200, module="pay", **body):
    code, answer = g.control(f"/v1/modules/{module}/{verb}", "POST", {"actor": "alice", "reason": "PAY-7", **body})
    assert code == expected, answer
    return answer


def rollout(g, module="pay"):
    return g.module(module)["rollout"]


def wait_step(g, text, module="pay"):
    ev = g.wait_event(lambda e: e["module"] == module and (text in e["message"] or e["phase"] in ("RolledBack", "Rejected")))
    assert text in ev["message"], ev
    return ev


def wait_back(g, module, reason):
    ev = g.wait_phase(module, "RolledBack")
    assert ev["reason"] == reason, ev
    return ev


def load(g, method, rate=RATE, **more):
    return clients.Load(g.port, "/" + method, rate, "x-grayling-version", **more)


def assert_nothing_lost(result, statuses=False):
    """What a backlog leaves unanswered at the end is no loss; failed answers only of a version that fails."""
    failed = {k: n for k, n in result["failed"].items() if n and k != "unanswered" and (k != "status" or not statuses)}
    assert not failed, result


def versions(g, n):
    """How often which version answers n calls of pay, one after the other."""
    seen = {}
    for _ in range(n):
        status, h, _ = g.call(CHARGE, BODY)
        assert status == 200
        seen[h["x-grayling-version"]] = seen.get(h["x-grayling-version"], 0) + 1
    return seen


def assert_share(g, percent, n=200, version="1.1.0"):
    seen = versions(g, n)
    assert abs(seen.get(version, 0) - n * percent / 100) <= 1 and set(seen) <= {"1.0.0", version}, seen


@pytest.fixture
def told(capsys):
    def say(text):
        with capsys.disabled():
            print(f"\n  {text}", flush=True)
    return say


@pytest.fixture
def g(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    return grayling


@pytest.fixture
def slow(make, etcd):
    """Modules that sleep in a call: as many threads as can sleep at once."""
    return make(etcd, sets=["Dispatch.Threads=16"]).start()


# --- errors ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [5, 25])
def test_errors_beside_a_stable_that_has_none(g, weight, told):
    with load(g, CHARGE) as l:
        g.want({"pay": release(g, "pay", "1.3.0", {"weight": weight}, {"pause": {"duration": "1h"}})})
        began = wait_step(g, "step 2 of 3")
        ev = wait_back(g, "pay", "ErrorRateRegressed")
    assert_nothing_lost(l.result, statuses=True)
    assert versions(g, 50) == {"1.0.0": 50}
    answered = sum(n for v, n, _ in l.runs if v == "1.3.0")
    told(f"at {weight} %: 3 % errors beside none found after {answered} good and {l.result['failed']['status']} bad answers, "
         f"from {began['at']} to {ev['at']}: {ev['message']}")
    assert l.result["failed"]["status"] > 0


def test_errors_beside_a_stable_with_as_many_are_no_reason(grayling, told):
    g = grayling
    g.deploy("faulty", MODULES / "faulty-1.0.0.so", config=FAILING)
    with load(g, POKE) as l:
        g.want({"faulty": release(g, "faulty", "1.1.0", {"weight": 50}, {"pause": {"requests": 1500}}, GATE, config=FAILING)})
        wait_step(g, "step 3 of 4", "faulty")  # or it was taken back
        m = g.module("faulty")
    assert_nothing_lost(l.result, statuses=True)
    v = m["verdict"]
    assert m["phase"] == "Paused" and v["verdict"] != "Failed" and v["errors"] > 0 and v["baseline_errors"] > 0, v
    told(f"{v['errors']} of {v['requests']} failed beside {v['baseline_errors']} of {v['baseline_requests']}: {v['verdict']}")


def test_more_errors_than_a_stable_that_has_some(grayling, told):
    """+2 %: 1 % of stable's calls fail, 3 % of the candidate's."""
    g = grayling
    g.deploy("faulty", MODULES / "faulty-1.0.0.so", config={**FAILING, "share": 100})
    with load(g, POKE) as l:
        g.want({"faulty": release(g, "faulty", "1.1.0", {"weight": 25}, GATE, config=FAILING)})
        ev = wait_back(g, "faulty", "ErrorRateRegressed")
    assert_nothing_lost(l.result, statuses=True)
    told(f"1 % to 3 % found: {ev['message']}")


def test_the_harm_budget_comes_before_statistics(g, told):
    with load(g, CHARGE) as l:
        g.want({"pay": release(g, "pay", "1.3.0", {"weight": 5}, GATE, harm={"bad_responses": 3}, analysis={**ERRORS, "min_requests": 1000000})})
        ev = wait_back(g, "pay", "HarmBudgetSpent")
    assert_nothing_lost(l.result, statuses=True)
    bad = l.result["failed"]["status"]
    assert bad == 3
    told(f"a budget of 3 bad responses: {bad} were given: {ev['message']}")


# --- latency --------------------------------------------------------------------------------------------------------------------------------

TAIL = {"latency_p99": {"max_ratio": 1.1}}


def slow_release(g, version, usec, *steps):
    return release(g, "faulty", version, {"weight": 50}, *steps, config={**SLOW, "usec": usec}, analysis=TAIL)


def test_a_slower_p99_is_caught(slow, told):
    g = slow
    g.deploy("faulty", MODULES / "faulty-1.0.0.so", config={**SLOW, "usec": 100000})
    with load(g, POKE) as l:
        g.want({"faulty": slow_release(g, "1.1.0", 130000, GATE)})
        ev = wait_back(g, "faulty", "LatencyRegressed")
    assert_nothing_lost(l.result)
    told(f"p99 +30 % found: {ev['message']}")


def test_an_equal_p99_is_no_reason(slow, told):
    g = slow
    g.deploy("faulty", MODULES / "faulty-1.0.0.so", config={**SLOW, "usec": 100000})
    with load(g, POKE) as l:
        g.want({"faulty": slow_release(g, "1.1.0", 100000, {"pause": {"requests": 3000}}, GATE)})
        wait_step(g, "step 3 of 4", "faulty")
        v = g.module("faulty")["verdict"]
    assert_nothing_lost(l.result)
    assert v["verdict"] != "Failed", v
    told(f"p99 alike after {v['requests']} requests: {v['verdict']}")


# --- nobody calls -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [({"weight": 5},), ({"weight": 5}, {"analysis": {}})])
def test_nobody_calls_and_it_is_held_until_its_deadline(g, steps):
    g.want({"pay": release(g, "pay", "1.1.0", *steps, deadline="3s", analysis={**ERRORS, "on_inconclusive": "pause"})})
    wait_step(g, "0 of 200 requests")
    assert g.module("pay")["phase"] in ("Paused", "Progressing")
    ev = wait_back(g, "pay", "Inconclusive")
    assert "0 of 200 requests" in ev["message"] and "deadline" in ev["message"]
    assert versions(g, 10) == {"1.0.0": 10}


@pytest.mark.parametrize("steps, deadline", [(({"weight": 5},), "1h"), (({"weight": 5}, {"analysis": {}}), "3s")])
def test_nobody_calls_and_it_goes_back_as_declared(g, steps, deadline):
    g.want({"pay": release(g, "pay", "1.1.0", *steps, deadline=deadline, analysis={**ERRORS, "on_inconclusive": "rollback"})})
    assert "0 of 200 requests" in wait_back(g, "pay", "Inconclusive")["message"]
    assert versions(g, 10) == {"1.0.0": 10}
    assert not [c for c in g.status()["quarantine"] if c["module"] == "pay"]  # undecided is no conviction


def test_a_pause_for_requests_that_never_come_ends_too(g):
    g.want({"pay": release(g, "pay", "1.1.0", {"weight": 5}, {"pause": {"requests": 10}}, deadline="2s")})
    wait_back(g, "pay", "DeadlineExceeded")


# --- a stable that turns bad ----------------------------------------------------------------------------------------------------------------------

HISTORY = 1000  # requests that stable answers well before the rollout begins
BAD = {"mode": "handle-error", "share": 2000}  # one call in five, once it is bad


def deploy_turning_bad(g, after):
    g.deploy("faulty", MODULES / "faulty-1.0.0.so", config={**BAD, "after": after})
    before = clients.http(g.port, "/" + POKE, HISTORY, 1)
    assert before["answered"] == HISTORY, before


def test_a_stable_that_is_worse_takes_nothing_back(grayling, told):
    g = grayling
    deploy_turning_bad(g, HISTORY + 200)
    g.want({"faulty": release(g, "faulty", "1.1.0", {"weight": 50}, {"pause": {"requests": 1500}}, GATE, config={"mode": "none"})})
    wait_step(g, "step 2 of 4", "faulty")
    with load(g, POKE) as l:
        wait_step(g, "step 3 of 4", "faulty")
        m = g.module("faulty")
        assert {"StableWorse", "StableDegraded"} <= set(m["verdict"]["findings"]) and m["verdict"]["verdict"] != "Failed", m["verdict"]
        order(g, "promote", module="faulty", rollout=m["rollout"]["id"], step=2)  # the good version is the way out
        g.wait_phase("faulty", "Healthy")
    assert_nothing_lost(l.result, statuses=True)
    told(f"stable failed {m['verdict']['baseline_errors']} of {m['verdict']['baseline_requests']}: {m['verdict']['findings']}")


def release_turning_bad(g):
    """Stable turns bad in the rollout, and the candidate some hundred requests later in the same way. Nobody calls before: what stable answers while
    the version is staged is history, and how much that is would depend on the machine."""
    g.want({"faulty": release(g, "faulty", "1.1.0", {"weight": 50}, {"pause": {"requests": 2500}}, config={**BAD, "after": 600}, bake="2s")})
    wait_step(g, "step 2 of 3", "faulty")


def wait_both_bad(g):
    ev = wait_step(g, "stable was found to be bad too", "faulty")
    assert "--over-bad-stable" in ev["message"] and ev["reason"] == "Inconclusive"
    m = g.module("faulty")
    assert m["phase"] == "Paused" and m["rollout"]["weight"] == 50 and "BothBad" in m["verdict"]["findings"], m
    return m


def test_both_bad_waits_and_a_person_may_promote(grayling, told):
    g = grayling
    deploy_turning_bad(g, HISTORY + 200)
    release_turning_bad(g)
    with load(g, POKE):
        m = wait_both_bad(g)
        told(f"both bad: {m['verdict']}")
        here = {"module": "faulty", "rollout": m["rollout"]["id"], "step": m["rollout"]["step"]}
        assert "--over-bad-stable" in order(g, "promote", 403, **here)["message"]
        assert "--over-bad-stable" in order(g, "promote", 403, full=True, **here)["message"]
        assert g.module("faulty")["phase"] == "Paused"
        order(g, "promote", over_bad_stable=True, **here)
        g.wait_phase("faulty", "Healthy")  # although the bake is as bad as it was said to be
    assert g.module("faulty")["stable"]["version"] == "1.1.0"


def test_both_bad_may_be_taken_back(grayling):
    g = grayling
    deploy_turning_bad(g, HISTORY + 200)
    release_turning_bad(g)
    with load(g, POKE):
        wait_both_bad(g)
        order(g, "abort", module="faulty")
        wait_back(g, "faulty", "OperatorAbort")
    assert g.module("faulty")["stable"]["version"] == "1.0.0"


# --- a batch --------------------------------------------------------------------------------------------------------------------------------

TOKEN = {"authorization": "tok-alice"}  # good to the old auth, and not to the new one


class Views:
    """Clients of pay, which asks auth: what each answer says of both. One view is (version, authorized) of one cohort."""

    def __init__(self, g, newer):
        self.g, self.old, self.new = g, ("1.1.0", True), (newer, False)

    def look(self, n):
        def some(_):
            seen, c = {}, http.client.HTTPConnection("127.0.0.1", self.g.port, timeout=60)
            for _ in range(n // 4):
                status, h, body = self.g.call(CHARGE, BODY, TOKEN, connection=c)
                view = (h["x-grayling-version"], json.loads(body).get("authorized")) if status == 200 else (h["x-grayling-version"], status)
                seen[view] = seen.get(view, 0) + 1
            c.close()
            return seen

        total = {}
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for seen in pool.map(some, range(4)):
                for view, k in seen.items():
                    total[view] = total.get(view, 0) + k
        return total

    def assert_share(self, percent, n=400):
        seen = self.look(n)
        assert set(seen) <= {self.old, self.new} and abs(seen.get(self.new, 0) - n * percent / 100) <= 1, seen


@pytest.fixture
def pair(grayling):
    g = grayling
    g.want({"pay": g.document(MODULES / "pay-1.1.0.so"), "auth": g.document(MODULES / "auth-1.0.0.so")})
    g.wait_phase("auth", "Healthy")
    return g


def batch(g, version, *steps, **more):
    g.want({"pay": release(g, "pay", version, *steps, **more),
            "auth": release(g, "auth", "1.0.0", *steps, config={"prefix": "new-"}, **more)})


def test_a_batch_goes_up_one_ladder_with_one_view(pair):
    g, views = pair, Views(pair, "1.4.0")
    views.assert_share(0, 100)
    batch(g, "1.4.0", {"weight": 10}, GATE, {"weight": 60}, GATE)
    for step, weight in ((2, 10), (4, 60)):
        wait_step(g, f"step {step} of 5")
        assert rollout(g)["id"] == rollout(g, "auth")["id"] and rollout(g, "auth")["weight"] == weight
        views.assert_share(weight)
        order(g, "promote", rollout=rollout(g)["id"], step=step - 1, module="auth" if step == 2 else "pay")
    g.wait_phase("pay", "Healthy")
    g.until(lambda: g.module("auth")["phase"] == "Healthy")
    views.assert_share(100, 100)


def test_a_failing_member_takes_the_batch_back(pair, told):
    g, views = pair, Views(pair, "1.3.0")
    with load(g, CHARGE) as l:
        batch(g, "1.3.0", {"weight": 50}, GATE)
        wait_step(g, "step 2 of 3")
        seen = views.look(100)
        ev = wait_back(g, "pay", "ErrorRateRegressed")
        g.until(lambda: g.module("auth")["rollout"]["phase"] == "RolledBack")
    assert_nothing_lost(l.result, statuses=True)
    assert set(seen) <= {views.old, views.new, ("1.3.0", 500)} and views.new in seen, seen
    views.assert_share(0, 100)
    assert g.module("auth")["stable"]["version"] == "1.0.0" and g.module("pay")["stable"]["version"] == "1.1.0"
    assert g.module("auth")["candidate"] is None and rollout(g)["id"] == rollout(g, "auth")["id"]
    convicted = {c["module"] for c in g.status()["quarantine"]}
    assert convicted == {"pay"}, convicted  # the other one did nothing
    told(f"a batch: {ev['message']}")


# --- sticky users ---------------------------------------------------------------------------------------------------------------------------

USERS = 400
STICKY = {"sticky": "header:x-user-id"}


def members(g, method=CHARGE, new="1.1.0"):
    c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=60)
    try:
        return {u for u in range(USERS) if g.call(method, BODY, {"x-user-id": f"user-{u}"}, connection=c)[1]["x-grayling-version"] == new}
    finally:
        c.close()


def assert_about(n, percent):
    """Within five standard deviations of USERS coins."""
    p = percent / 100
    assert abs(n - USERS * p) <= 5 * (USERS * p * (1 - p)) ** 0.5, (n, percent)


def test_raising_the_weight_only_adds_users(g):
    g.want({"pay": release(g, "pay", "1.1.0", {"weight": 5}, GATE, {"weight": 25}, GATE, {"weight": 50}, GATE, **STICKY)})
    before = set()
    for step, weight in ((2, 5), (4, 25), (6, 50)):
        wait_step(g, f"step {step} of 7")
        now = members(g)
        assert before < now and now == members(g)
        assert_about(len(now), weight)
        before = now
        order(g, "promote", rollout=rollout(g)["id"], step=step - 1, full=step == 6)
    g.wait_phase("pay", "Healthy")
    assert members(g) == set(range(USERS))


def test_lowering_the_weight_leaves_who_came_first(g):
    """Who joined last leaves first, and a share that is raised again has the same users."""
    g.want({"pay": release(g, "pay", "1.1.0", {"weight": 10}, GATE, {"weight": 50}, GATE, {"weight": 10}, GATE, {"weight": 50}, GATE, **STICKY)})
    seen = []
    for step in (2, 4, 6, 8):
        wait_step(g, f"step {step} of 9")
        seen.append(members(g))
        order(g, "promote" if step < 8 else "abort", rollout=rollout(g)["id"], **({"step": step - 1} if step < 8 else {}))
    g.wait_phase("pay", "RolledBack")
    assert seen[0] == seen[2] < seen[1] == seen[3]


def test_two_rollouts_choose_their_users_independently(g):
    g.deploy("echo", MODULES / "echo-1.0.0.so")
    g.want({"pay": release(g, "pay", "1.1.0", {"weight": 50}, GATE, **STICKY)})
    wait_step(g, "step 2 of 3")
    g.want({"echo": release(g, "echo", "1.0.1", {"weight": 50}, GATE, **STICKY)})
    wait_step(g, "step 2 of 3", "echo")
    pay, echo = members(g), members(g, ECHO, "1.0.1")
    assert_about(len(pay), 50)
    assert_about(len(echo), 50)
    assert_about(len(pay & echo), 25)  # all or none of them, if one followed the other


# --- another worker, another supervisor -----------------------------------------------------------------------------------------------------

NEVER = {**ERRORS, "min_requests": 1000000}


def hold_of_a_person(g):
    order(g, "pause", rollout=rollout(g)["id"])
    assert rollout(g)["held_by"] == "alice"


def let_it_fail(g):
    with load(g, CHARGE):
        wait_step(g, "weight 0 %")


PHASES = {  # what is asked for, what is waited for, what a person does then; phase and weight afterwards
    "progressing": (("1.1.0", {"weight": 30}, {"analysis": {}}), dict(analysis=NEVER), "step 2 of 3", None, "Progressing", 30),
    "paused": (("1.1.0", {"weight": 30}, {"pause": {"duration": "1h"}}), {}, "step 2 of 3", None, "Paused", 30),
    "held by a person": (("1.1.0", {"weight": 30}, {"pause": {"duration": "1h"}}), {}, "step 2 of 3", hold_of_a_person, "Paused", 30),
    "undecided": (("1.1.0", {"weight": 30}), dict(analysis=NEVER), "waits for a verdict", None, "Paused", 30),
    "failed and waiting": (("1.3.0", {"weight": 50}, GATE), dict(on_failure="pause"), "step 2 of 3", let_it_fail, "Paused", 0),
    "baking": (("1.1.0",), dict(bake="1h"), "the table was exchanged", None, "Baking", 100),
}


@pytest.mark.parametrize("name", PHASES)
def test_shares_are_exact_in_another_worker_and_another_supervisor(g, name):
    (version, *steps), strategy, awaited, deed, phase, weight = PHASES[name]
    g.want({"pay": release(g, "pay", version, *steps, **strategy)})
    wait_step(g, awaited)
    if deed:
        deed(g)
    g.until(lambda: rollout(g)["phase"] == phase, lambda: g.module("pay"))
    before = rollout(g)
    assert_share(g, weight, version=version)
    for _ in range(2):
        g.process.send_signal(signal.SIGUSR2)
        g.wait_event(lambda e: "serves" in e["message"])
        assert_share(g, weight, version=version)
        assert g.stop() == 0, g.log()
        g.start()
        assert_share(g, weight, version=version)
    after = rollout(g)
    assert (after["id"], after["phase"], after["step"], after["held_by"]) == (before["id"], phase, before["step"], before["held_by"])
    assert after["deadline_left_usec"] <= before["deadline_left_usec"] + CHECKPOINT_USEC
    order(g, "abort", rollout=before["id"])
    wait_back(g, "pay", "OperatorAbort")
    assert versions(g, 20) == {"1.0.0": 20}
    g.process.send_signal(signal.SIGUSR2)
    g.wait_event(lambda e: "serves" in e["message"])
    assert versions(g, 20) == {"1.0.0": 20}
