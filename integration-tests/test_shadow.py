"""Shadows: copies of real requests that a candidate answers out of sight, compared with what stable said. Nobody outside notices."""
import json
import os
import signal

import pytest

from harness import MODULES, Traffic

CHARGE = "com.example.pay.PayService/Charge"
REFUND = "com.example.pay.PayService/Refund"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})


def shadow(g, version, config=None, **strategy):
    """A candidate that gets a copy of every request, until a person says more."""
    steps = [{"shadow": 100}, {"pause": {}}, {"weight": 1}, {"weight": 100}]
    g.want({"pay": g.document(MODULES / f"pay-{version}.so", config=config, strategy={"steps": steps, **strategy})})


def wait_shadow(g):
    g.wait_event(lambda e: e["module"] == "pay" and "step 2 of 4" in e["message"])


def seen(g):
    return g.module("pay")["rollout"].get("shadow_seen") or {"same": 0, "diverged": 0, "dropped": 0, "errors": 0}


def call_until(g, holds):
    """Calls, one after the other, until the candidate's counters say so; every answer is stable's."""
    def look():
        status, headers, _ = g.call(CHARGE, BODY)
        assert status == 200 and headers["x-grayling-version"] == "1.0.0" and headers["x-grayling-role"] == "stable"
        return holds(seen(g))
    g.until(look, lambda: str(seen(g)))


@pytest.fixture
def g(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    return grayling


def test_another_answer_is_counted_and_nobody_sees_it(g):
    shadow(g, "1.1.0")
    wait_shadow(g)
    call_until(g, lambda s: s["diverged"] >= 5 and s["noise_same"] >= 1)
    m = g.module("pay")
    assert m["rollout"]["shadow"] == 100 and m["rollout"]["phase"] == "Paused"
    assert m["rollout"]["shadow_seen"]["same"] == 0 and m["rollout"]["shadow_seen"]["noise_diverged"] == 0
    assert m["candidate"]["requests"] == 0 and m["candidate"]["errors"] == 0 and m["candidate"]["p99_usec"] == 0
    text = g.metrics()
    assert 'grayling_shadow_requests_total{module="pay",version="1.1.0",result="diverged"}' in text
    assert 'grayling_shadow_noise_total{module="pay",version="1.1.0",result="diverged"} 0' in text
    assert 'grayling_requests_total{module="pay",version="1.1.0",code="ok"} 0' in text


def test_what_is_ignored_is_no_divergence_also_in_the_next_worker(g):
    shadow(g, "1.1.0", shadow_ignore=["$.fee_cents"])
    wait_shadow(g)
    call_until(g, lambda s: s["same"] >= 5)
    assert seen(g)["diverged"] == 0
    worker = g.status()["worker"]["pid"]
    os.kill(worker, signal.SIGKILL)
    g.until(lambda: g.status()["worker"]["pid"] not in (0, worker))
    g.until(lambda: g.module("pay")["candidate"] and g.module("pay")["candidate"]["loaded"])
    call_until(g, lambda s: s["same"] >= 5)
    assert seen(g)["diverged"] == 0


def test_paths_that_are_none_are_refused(g):
    shadow(g, "1.1.0", shadow_ignore=["fee_cents"])
    ev = g.wait_phase("pay", "Rejected")
    assert ev["reason"] == "DocumentInvalid" and "strategy.shadow_ignore[0]" in ev["message"]


def test_what_is_not_idempotent_happens_once(g):
    """Every refund by this instance has the next number, so one that happened out of sight would leave a gap."""
    shadow(g, "1.1.0")
    wait_shadow(g)
    numbers = [json.loads(g.call(REFUND, BODY)[2])["refund_id"] for _ in range(20)]
    assert numbers == [f"re_{i}" for i in range(1, 21)]
    s = seen(g)
    assert s["same"] + s["diverged"] + s["dropped"] == 0


def test_a_slow_candidate_only_loses_copies(g):
    shadow(g, "1.1.0", config={"work_us": 100000}, shadow_ignore=["$.fee_cents"])
    wait_shadow(g)
    with Traffic(g, CHARGE, BODY) as t:
        g.until(lambda: seen(g)["dropped"] >= 300 and seen(g)["same"] >= 1, lambda: str(seen(g)))
        t.assert_served("1.0.0")
        r = g.module("pay")["rollout"]
        code, answer = g.control("/v1/modules/pay/abort", "POST", {"actor": "alice", "reason": "too slow", "rollout": r["id"], "step": r["step"]})
        assert code == 200, answer
        g.wait_phase("pay", "RolledBack")
        t.assert_served("1.0.0")


def test_a_candidate_that_crashes_in_the_shadow_is_taken_back(g):
    with Traffic(g, CHARGE, BODY) as t:
        shadow(g, "1.2.0")
        ev = g.wait_phase("pay", "RolledBack")
        assert ev["reason"] == "Crashed" and "pay 1.2.0" in ev["message"]
    assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.0.0"}
    assert g.module("pay")["last_good"] == "1.0.0"
