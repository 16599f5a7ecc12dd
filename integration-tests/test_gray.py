"""Gray releases: a growing share of real traffic, judged beside the stable version, promoted or taken back, and steered by people."""
import contextlib
import http.client
import json
import os
import signal
import threading

import pytest

from harness import MODULES, Traffic

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
CANARY = {"x-canary": "1"}


CHECKPOINT_USEC = 5000000  # how old the journal's times may be
ERRORS = {"error_rate": {"max_increase": 0.005}}  # latencies on a machine that does other things are no matter of these tests


def ladder(*steps, **more):
    return {"steps": [*steps, {"weight": 100}], "bake": "300ms", "analysis": ERRORS, **more}


def want(g, version, *steps, reason="", **strategy):
    g.want({"pay": g.document(MODULES / f"pay-{version}.so", strategy=ladder(*steps, **strategy), reason=reason or version)})


def order(g, verb, expected=200, **body):
    code, answer = g.control(f"/v1/modules/pay/{verb}", "POST", {"actor": "alice", "reason": "PAY-7", **body})
    assert code == expected, answer
    return answer


def rollout(g):
    return g.module("pay")["rollout"]


def wait_step(g, text):
    """The event of the step whose sentence has `text`."""
    return g.wait_event(lambda e: e["module"] == "pay" and text in e["message"])


def versions(g, n, headers=None):
    """How often which version answers n calls, one after the other."""
    seen = {}
    for _ in range(n):
        status, h, _ = g.call(CHARGE, BODY, headers)
        assert status == 200
        seen[h["x-grayling-version"]] = seen.get(h["x-grayling-version"], 0) + 1
    return seen


def assert_exact(seen, n, percent):
    assert abs(seen.get("1.1.0", 0) - n * percent / 100) <= 1, seen


@pytest.fixture
def g(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    return grayling


def test_step_by_step_with_measured_shares(g):
    gate = {"pause": {}}
    want(g, "1.1.0", {"weight": 1}, gate, {"weight": 25}, gate, deadline="1h")
    wait_step(g, "step 2 of 5")
    assert_exact(versions(g, 300), 300, 1)
    r = rollout(g)
    assert r["phase"] == "Paused" and r["step"] == 1 and r["n_steps"] == 5 and r["weight"] == 1 and r["pause"]["gate"]
    m = g.module("pay")
    assert m["phase"] == "Paused" and m["candidate"]["version"] == "1.1.0" and m["candidate"]["weight"] == 1 and m["stable"]["weight"] == 99
    order(g, "promote", rollout=r["id"], step=1)
    wait_step(g, "step 4 of 5")
    assert_exact(versions(g, 400), 400, 25)
    with Traffic(g, CHARGE, BODY) as t:
        order(g, "promote", rollout=r["id"], step=3)
        g.wait_phase("pay", "Healthy")
    assert t.lost == [] and set(t.codes) == {200}
    assert versions(g, 20) == {"1.1.0": 20}
    assert g.module("pay")["last_good"] == "1.1.0"


def test_shares_are_in_the_metrics_while_it_lasts(g):
    want(g, "1.1.0", {"weight": 50}, {"pause": {}})
    wait_step(g, "step 2 of 3")
    versions(g, 100)
    assert abs(rollout(g)["weight_observed"] - 50) <= 1
    text = g.metrics()
    assert 'grayling_route_weight_ratio{module="pay",version="1.1.0"} 0.5' in text
    assert 'grayling_route_observed_ratio{module="pay",version="1.1.0"} 0.5' in text
    order(g, "abort")
    g.wait_phase("pay", "RolledBack")
    assert "grayling_route_observed_ratio{" not in g.metrics()


def test_match_rules_win_over_the_weight(g):
    want(g, "1.1.0", {"pause": {}}, match=[{"header": "x-canary", "exact": "1"}])
    wait_step(g, "step 1 of 2")
    g.until(lambda: g.call(CHARGE, BODY, CANARY)[1]["x-grayling-version"] == "1.1.0", lambda: rollout(g))  # told before the worker has the rule
    assert versions(g, 30) == {"1.0.0": 30}
    assert versions(g, 30, CANARY) == {"1.1.0": 30}
    assert g.call(CHARGE, BODY, CANARY)[1]["x-grayling-role"] == "candidate"


def test_a_pause_waits_for_its_time_and_its_requests(g):
    want(g, "1.1.0", {"weight": 100}, {"pause": {"duration": "100ms", "requests": 40}}, {"pause": {}})
    wait_step(g, "step 2 of 4")
    versions(g, 39)
    left = rollout(g)["pause"]
    assert rollout(g)["step"] == 1 and left["requests_left"] >= 1
    versions(g, 1)
    wait_step(g, "step 3 of 4")


def test_too_few_requests_hold_it_and_say_so(g):
    want(g, "1.1.0", {"weight": 50})
    ev = g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == "Paused")
    assert "of 200 requests" in ev["message"]
    why = order(g, "promote", 403, rollout=rollout(g)["id"], step=1)
    assert "Undecided never promotes" in why["message"]
    with Traffic(g, CHARGE, BODY):
        g.wait_phase("pay", "Healthy")


def test_nobody_calls_it_until_its_deadline(g):
    want(g, "1.1.0", {"weight": 1}, deadline="2s")
    ev = g.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "Inconclusive" and "0 of 200 requests" in ev["message"]
    assert versions(g, 10) == {"1.0.0": 10}


def test_a_person_that_does_not_come_ends_at_the_deadline(g):
    want(g, "1.1.0", {"weight": 1}, {"pause": {}}, deadline="2s")
    ev = g.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "DeadlineExceeded"


def test_a_version_with_errors_is_caught_at_a_small_share(g):
    with Traffic(g, CHARGE, BODY) as t:
        want(g, "1.3.0", {"weight": 5}, {"pause": {"duration": "1h"}}, deadline="2h")
        ev = g.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "ErrorRateRegressed", ev
    assert t.lost == []
    assert versions(g, 50) == {"1.0.0": 50}
    want(g, "1.3.0", {"weight": 5}, reason="again")
    assert g.wait_phase("pay", "Rejected")["reason"] == "Quarantined"


def test_the_harm_budget_ends_it(g):
    with Traffic(g, CHARGE, BODY):
        want(g, "1.3.0", {"weight": 10}, {"pause": {}}, harm={"bad_responses": 2})
        ev = g.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "HarmBudgetSpent"


def test_a_crash_at_one_percent_costs_no_request(g):
    with Traffic(g, CHARGE, BODY) as t:
        want(g, "1.2.0", {"weight": 1}, {"pause": {}})
        ev = g.wait_phase("pay", "RolledBack")
        assert ev["reason"] == "Crashed"
        g.wait_event(lambda e: "serves" in e["message"])  # the tainted worker was replaced
    assert t.lost == [] and set(t.codes) == {200}, (t.codes, t.lost[:3])
    assert versions(g, 60) == {"1.0.0": 60}


def test_on_failure_pause_waits_for_a_person(g):
    with Traffic(g, CHARGE, BODY):
        want(g, "1.3.0", {"weight": 50}, {"pause": {}}, on_failure="pause", deadline="1h")
        ev = wait_step(g, "weight 0 %")
    assert ev["reason"] == "ErrorRateRegressed"
    assert versions(g, 40) == {"1.0.0": 40}
    r = rollout(g)
    assert r["phase"] == "Paused" and r["pause"]["hold"] == "failure" and r["weight"] == 0
    order(g, "promote", 403, rollout=r["id"], step=r["step"])
    assert g.status()["quarantine"] == []
    order(g, "abort")
    assert g.wait_phase("pay", "RolledBack")["reason"] == "OperatorAbort"
    assert [c["reason"] for c in g.status()["quarantine"]] == ["ErrorRateRegressed"]


def test_a_double_promote_never_skips(g):
    want(g, "1.1.0", {"weight": 1}, {"pause": {}}, {"pause": {}})
    wait_step(g, "step 2 of 4")
    r = rollout(g)
    results = []

    def race(who):
        code, answer = g.control("/v1/modules/pay/promote", "POST", {"actor": who, "rollout": r["id"], "step": 1})
        results.append((code, answer["message"]))

    threads = [threading.Thread(target=race, args=(w,)) for w in ("alice", "bob")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(code for code, _ in results) == [200, 409], results
    lost = next(m for code, m in results if code == 409)
    assert "ordered promote at step 2" in lost and "step 3 now" in lost
    assert rollout(g)["step"] == 2


def test_pause_resume_and_promote_to_the_swap(g):
    want(g, "1.1.0", {"weight": 10}, {"pause": {"duration": "1h"}}, deadline="2h")
    wait_step(g, "step 2 of 3")
    r = rollout(g)
    order(g, "pause", rollout=r["id"], step=1)
    assert rollout(g)["held_by"] == "alice"
    order(g, "pause", 409)
    order(g, "resume", rollout=r["id"], step=1)
    assert rollout(g)["held_by"] is None
    order(g, "promote", rollout=r["id"], full=True)
    g.wait_phase("pay", "Healthy")
    assert versions(g, 10) == {"1.1.0": 10}
    order(g, "promote", 409, full=True)


def test_abort_in_every_phase(g):
    gate = {"pause": {}}
    for steps, phase in (((gate,), "Paused"), (({"weight": 5}, {"analysis": {}}), "Progressing"), ((), "Baking")):
        want(g, "1.1.0", *steps, reason=phase, bake="1h", deadline="2h")
        g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == phase)
        order(g, "abort", rollout=rollout(g)["id"])
        assert g.wait_phase("pay", "RolledBack")["reason"] == "OperatorAbort"
        assert versions(g, 10) == {"1.0.0": 10}


def test_the_stable_document_written_back_is_an_abort(g):
    want(g, "1.1.0", {"weight": 50}, {"pause": {}})
    wait_step(g, "step 2 of 3")
    g.want({"pay": g.document(MODULES / "pay-1.0.0.so", actor="carol", reason="PAY-9")})
    ev = g.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "OperatorAbort" and "carol" in ev["message"] and "PAY-9" in ev["message"]
    g.wait_phase("pay", "Healthy")
    assert versions(g, 10) == {"1.0.0": 10}


def test_a_new_generation_replaces_it(g):
    want(g, "1.4.0", {"weight": 50}, {"pause": {}})
    wait_step(g, "step 2 of 3")
    want(g, "1.1.0", {"weight": 10}, {"pause": {}})
    g.wait_event(lambda e: e["phase"] == "Superseded")
    wait_step(g, "step 2 of 3")
    seen = versions(g, 100)
    assert set(seen) == {"1.0.0", "1.1.0"} and abs(seen["1.1.0"] - 10) <= 1


def test_two_rollouts_of_two_modules_at_once(g):
    g.deploy("auth", MODULES / "auth-1.0.0.so")
    want(g, "1.1.0", {"weight": 10}, {"pause": {}})
    wait_step(g, "step 2 of 3")
    echo = g.document(MODULES / "echo-1.0.0.so", strategy=ladder({"weight": 20}, {"pause": {}}))
    g.want({"echo": echo})
    g.wait_event(lambda e: e["module"] == "echo" and "step 2 of 3" in e["message"])
    assert g.module("pay")["rollout"]["phase"] == "Paused" and g.module("echo")["rollout"]["phase"] == "Paused"
    order(g, "abort")
    g.wait_phase("pay", "RolledBack")
    assert g.module("echo")["rollout"]["phase"] == "Paused"


def test_the_first_deployment_is_judged_too(grayling):
    g = grayling
    want(g, "1.1.0", {"weight": 50}, {"pause": {}})
    wait_step(g, "step 2 of 3")
    answers = [g.call(CHARGE, BODY)[0] for _ in range(40)]
    assert abs(answers.count(200) - 20) <= 1 and abs(answers.count(503) - 20) <= 1
    order(g, "promote", rollout=rollout(g)["id"], full=True)
    g.wait_phase("pay", "Healthy")


def test_a_retry_exposes_the_same_users(g):
    def members():
        return {u for u in range(200) if g.call(CHARGE, BODY, {"x-user-id": str(u)})[1]["x-grayling-version"] == "1.1.0"}

    want(g, "1.1.0", {"weight": 20}, {"pause": {}}, sticky="header:x-user-id")
    wait_step(g, "step 2 of 3")
    first = members()
    assert 10 < len(first) < 80
    order(g, "abort")
    g.wait_phase("pay", "RolledBack")
    order(g, "retry")
    wait_step(g, "step 2 of 3")
    assert members() == first
    order(g, "promote", rollout=rollout(g)["id"], full=True)
    g.wait_phase("pay", "Healthy")
    order(g, "retry", 409)


def test_a_worker_that_is_replaced_has_the_candidate_with_its_weight(g):
    want(g, "1.1.0", {"weight": 30}, {"pause": {}})
    wait_step(g, "step 2 of 3")
    for _ in range(2):
        g.process.send_signal(signal.SIGUSR2)
        g.wait_event(lambda e: "serves" in e["message"])
        assert abs(versions(g, 100)["1.1.0"] - 30) <= 1
    os.kill(g.status()["worker"]["pid"], signal.SIGKILL)
    g.wait_event(lambda e: "serves" in e["message"])
    assert abs(versions(g, 100)["1.1.0"] - 30) <= 1
    assert rollout(g)["phase"] == "Paused" and rollout(g)["step"] == 1


@pytest.mark.parametrize("steps, phase", [(({"weight": 40}, {"pause": {}}), "Paused"), (({"weight": 40}, {"analysis": {}}), "Progressing"),
                                          ((), "Baking")])
def test_a_killed_supervisor_goes_on_where_it_was(g, steps, phase):
    want(g, "1.1.0", *steps, bake="1h" if phase == "Baking" else "300ms", deadline="2h")
    g.wait_event(lambda e: e["module"] == "pay" and (len(steps) + 1 == 1 or f"step 2 of {len(steps) + 1}" in e["message"]) and
                 (phase != "Baking" or e["phase"] == "Baking"))
    before = rollout(g)
    g.process.kill()
    g.process.wait()
    g.start()
    after = rollout(g)
    assert after["id"] == before["id"] and after["phase"] == phase and after["step"] == before["step"]
    assert after["deadline_left_usec"] <= before["deadline_left_usec"] + CHECKPOINT_USEC
    if phase != "Baking":
        assert abs(versions(g, 100)["1.1.0"] - 40) <= 1
        order(g, "promote", rollout=after["id"], full=True)
        g.wait_phase("pay", "Healthy")
    assert versions(g, 10) == {"1.1.0": 10}


def test_a_killed_supervisor_keeps_a_hold_and_the_way_back(g):
    want(g, "1.1.0", {"weight": 40}, {"pause": {"duration": "1h"}}, deadline="2h")
    wait_step(g, "step 2 of 3")
    order(g, "pause", rollout=rollout(g)["id"], step=1)
    g.process.kill()
    g.process.wait()
    g.start()
    assert rollout(g)["held_by"] == "alice"
    order(g, "abort")
    aborted = g.wait_phase("pay", "RolledBack")["rollout"]
    g.stop()
    g.start()  # the key still asks for 1.1.0; starting again is no wish to expose it again
    g.want({"echo": g.document(MODULES / "echo-1.0.0.so")})
    g.wait_phase("echo", "Healthy")
    assert versions(g, 10) == {"1.0.0": 10}
    m = g.module("pay")
    assert m["rollout"]["id"] == aborted and m["phase"] == "Degraded" and m["reason"] == "OperatorAbort"
    order(g, "retry")
    wait_step(g, "step 2 of 3")


POINTS = ["rollout.phase", "rollout.step", "rollout.before-route", "rollout.before-swap", "rollout.after-swap", "manager.before-commit",
          "manager.after-commit"]


@pytest.mark.parametrize("point", POINTS)
def test_a_supervisor_killed_at_each_point_of_a_ladder(make, etcd, point):
    """Killed at the Nth passage, started again, the release still ends as Healthy, and never a mixed or a third version is seen."""
    g = make(etcd).start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    g.stop()
    want(g, "1.1.0", {"shadow": 1}, {"weight": 50}, {"pause": {"requests": 20}}, {"weight": 80}, deadline="2h")
    for nth in (1, 2, 3):
        g.start(wait=False, env={"GRAYLING_FAULT": f"{point}:{nth}:kill"})
        over, answers = threading.Event(), set()

        def calls():  # the canary needs traffic to get further
            while not over.is_set():
                c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=1)  # a worker that is half built answers later
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, h, _ = g.call(CHARGE, BODY, connection=c)
                    answers.add((status, h.get("x-grayling-version")))
                c.close()

        client = threading.Thread(target=calls)
        client.start()
        try:
            g.process.wait(6)  # killed; or the point is not passed so often any more
            assert g.process.returncode == -signal.SIGKILL, g.log()
        except Exception:
            g.stop()
        finally:
            over.set()
            client.join()
        assert answers <= {(200, "1.0.0"), (200, "1.1.0")}
    g.start()
    with Traffic(g, CHARGE, BODY) as t:
        while g.module("pay")["phase"] != "Healthy" or g.module("pay")["stable"]["version"] != "1.1.0":
            g.wait_event(lambda e: e["module"] == "pay")
    assert t.lost == [] and set(t.versions) <= {"1.0.0", "1.1.0"}
    assert versions(g, 10) == {"1.1.0": 10}
