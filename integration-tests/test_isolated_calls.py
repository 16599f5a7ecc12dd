"""Modules in processes of their own that call others: one request sees one set of versions through all processes, what faults below is the callee's,
and a chain is no deeper than any. The modules are modules/members: m00 <- m01 <- ... ; versions 1.3.0 and 1.4.0 of m01 and m02 are isolated."""
import json
import os
import signal
import tempfile

import pytest

from harness import MODULES, Etcd, Grayling, Traffic

FACE = "com.example.members."
ENDS = ("Healthy", "Rejected", "RolledBack", "Superseded")


def member(g, name, version="1.0.0", **more):
    return g.document(MODULES / f"{name}-{version}.so", **more)


def wait(g, module, rollout, *phases):
    return g.wait_event(lambda e: e["module"] == module and e["rollout"] == rollout and e["phase"] in phases, after=0)


def release(g, documents):
    rollout = g.want(documents)
    for module in documents:
        ev = wait(g, module, rollout, *ENDS)
        assert ev["phase"] == "Healthy", ev


def chain(g, face="M04", depth=4, headers=None):
    status, _, body = g.call(f"{FACE}{face}/Chain", {"depth": depth}, headers=headers)
    return status, json.loads(body)


def process(g, module):
    return g.module(module)["stable"].get("pid")


class Chains(Traffic):
    """Counts answers by the versions of m01 and m02 that are in them."""

    def _answered(self, i, status, headers, body):
        said = json.loads(body).get("chain", "").split() if status == 200 else [body.decode()]
        super()._answered(i, status, {"x-grayling-version": " ".join(c for c in said if c[:3] in ("m01", "m02"))}, body)


@pytest.fixture(scope="module")
def g():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        etcd = Etcd(d)
        g = Grayling(d, etcd)
        try:
            g.start()
            release(g, {"m00": member(g, "m00"), "m01": member(g, "m01", "1.3.0"), "m02": member(g, "m02", "1.3.0"), "m03": member(g, "m03"), "m04": member(g, "m04")})
            yield g
            assert g.stop() == 0, g.log()
        finally:
            g.kill()
            etcd.stop()


def test_a_request_goes_through_all_of_them(g):
    """worker -> worker -> process -> process -> worker."""
    assert chain(g) == (200, {"chain": "m04@1.0.0 m03@1.0.0 m02@1.3.0 m01@1.3.0 m00@1.0.0"})
    assert process(g, "m01") and process(g, "m02") and process(g, "m01") != process(g, "m02")
    status, _, body = g.call(f"{FACE}M02/Peers", {})
    assert (status, json.loads(body)) == (200, {"peers": {f"{FACE}M01": "1.3.0"}})
    assert 'grayling_requests_total{module="m01",version="1.3.0",code="ok"}' in g.metrics()


def test_a_process_that_takes_anothers_place_is_told_its_peers(g):
    """Not those of the first load."""
    release(g, {"m01": member(g, "m01", "1.4.0", strategy={"bake": "1ms", "freeze_budget": "10s"})})
    pid = process(g, "m02")
    os.kill(pid, signal.SIGKILL)
    g.until(lambda: process(g, "m02") not in (0, pid))
    status, _, body = g.call(f"{FACE}M02/Peers", {})
    assert (status, json.loads(body)) == (200, {"peers": {f"{FACE}M01": "1.4.0"}})
    release(g, {"m01": member(g, "m01", "1.3.0", strategy={"bake": "1ms", "freeze_budget": "10s"})})


def test_one_request_sees_one_set(g):
    """Two isolated versions on trial together: whoever sees the new one of m02 sees the new one of m01 behind it, also while they are swapped."""
    whole = {"m02@1.3.0 m01@1.3.0", "m02@1.4.0 m01@1.4.0"}
    lax = {"error_rate": {"max_increase": 0.5}}  # how long processes take on a busy machine is not judged
    steps = [{"weight": 50}, {"pause": {"requests": 20}}, {"weight": 100}]
    with Chains(g, f"{FACE}M04/Chain", clients=4, body=json.dumps({"depth": 4})) as t:
        rollout = g.want({m: member(g, m, "1.4.0", strategy={"steps": steps, "analysis": lax, "bake": "1ms", "freeze_budget": "10s"}) for m in ("m01", "m02")})
        for m in ("m01", "m02"):
            ev = wait(g, m, rollout, *ENDS)
            assert ev["phase"] == "Healthy", ev
        codes, versions, lost = t.take()
        assert lost == [] and set(codes) == {200} and set(versions) == whole, (codes, versions, lost)
        release(g, {m: member(g, m, "1.3.0", strategy={"analysis": lax, "freeze_budget": "10s"}) for m in ("m02", "m01")})
        codes, versions, lost = t.take()
        assert lost == [] and set(codes) == {200} and set(versions) <= whole, (codes, versions, lost)


def test_a_callee_that_faults(g):
    """The callee's process ends and another one comes; its caller gets `internal`, and keeps its own process."""
    callers = process(g, "m02"), g.status()["worker"]["pid"]
    release(g, {"m01": member(g, "m01", "1.4.0", config={"fail": "crash", "every": 3}, strategy={"bake": "1ms"})})
    g.wait_loaded(5)  # the version before, which would answer again, is gone
    pid, begun = process(g, "m01"), g.seen
    answers = [chain(g) for _ in range(3)]
    bad = [a for a in answers if a[0] != 200]
    assert len(bad) == 1 and bad[0][0] == 500 and bad[0][1]["code"] == "internal", answers
    g.wait_event(lambda e: e["message"].startswith("m01 1.4.0 faulted in "), after=begun)
    g.until(lambda: process(g, "m01") not in (0, pid))
    assert (process(g, "m02"), g.status()["worker"]["pid"]) == callers
    release(g, {"m01": member(g, "m01", "1.3.0")})
    g.until(lambda: chain(g)[0] == 200)


def test_what_a_callee_says_reaches_the_client(g):
    release(g, {"m00": member(g, "m00", "1.1.0", config={"fail": "handle"}, strategy={"bake": "1ms"})})
    status, answer = chain(g, "M02", 2)
    assert status == 500 and f"{FACE}M01 answered 13" in answer["message"], answer
    release(g, {"m00": member(g, "m00")})


def test_a_chain_has_an_end(g):
    """Two processes that call each other without end are stopped where two modules in the worker would be."""
    release(g, {"ring-a": member(g, "ring-a", "1.3.0"), "ring-b": member(g, "ring-b", "1.3.0")})
    assert chain(g, "RingA", 6)[0] == 200
    status, answer = chain(g, "RingA", 100)
    assert (status, answer["code"]) == (429, "resource_exhausted"), answer
    assert process(g, "ring-a") and chain(g, "RingB", 6)[0] == 200
