"""What changes in one transaction reaches requests in one store, or not at all: wherever one member fails, all stay as they were, every member
is told which one failed and why, and no request ever saw a mixed set."""
import itertools
import json
import os
import pathlib
import signal
import tempfile

import pytest

from harness import MODULES, Etcd, Grayling
from sets import OBSERVER, Family, said

GATE = {"pause": {}}
ERRORS = {"error_rate": {"max_increase": 0.005}}  # latencies on a machine that does other things are no matter of these tests
LADDER = {"steps": [{"weight": 50}, GATE, {"weight": 100}], "analysis": ERRORS, "deadline": "1h"}
LONG = {"bake": "10m", "analysis": ERRORS}


class Bench:
    """A supervisor with the observer; sets have numbers that are never used twice."""

    def __init__(self, g):
        self.g, self.numbers = g, itertools.count()
        g.deploy("observer", OBSERVER)

    def number(self):
        return next(self.numbers)

    def good(self, n, **more):
        """Puts a fresh good set in force; returns the family and the set's number."""
        family, number = Family(self.g, "plain", n), self.number()
        family.deploy(number, **more)
        return family, number

    def convicted(self):
        return {c["hash"]: c["module"] for c in self.g.status()["quarantine"]}


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        root = pathlib.Path(d)
        etcd, worker = Etcd(root), None
        (root / "g").mkdir()
        g = Grayling(root / "g", etcd)
        try:
            yield Bench(g.start())
            assert g.stop() == 0, g.log()
        finally:
            worker = g.kill()
            if worker:
                os.kill(worker, signal.SIGKILL)
            etcd.stop()


class Case:
    """How the member in the middle fails, and what is to come of it."""

    def __init__(self, phase, reason, *words, config=None, served=False, convicted=False, failed=(), strategy=None, base=None, **document):
        self.phase, self.reason, self.words, self.config, self.served = phase, reason, words, config, served
        self.convicted, self.failed, self.strategy, self.base, self.document = convicted, failed, strategy or {}, base, document


def late(mode, **more):
    """Fails in the worker only: preflight finds nothing."""
    return {"mode": mode, "worker_only": True, **more}


CASES = {
    "document": Case("Rejected", "DocumentInvalid", "size: expected", size=-1),
    "fetch": Case("Rejected", "SourceRefused", "file:///nowhere.so", source=["file:///nowhere.so"]),
    "digest": Case("Rejected", "DigestMismatch", "0" * 64, version_hash="sha256:" + "0" * 64),
    "preflight crashes": Case("Rejected", "PreflightCrashed", "SIGSEGV", config={"mode": "init-crash"}),
    "preflight hangs": Case("Rejected", "PreflightTimeout", "10s", config={"mode": "self-test-hang"}),
    "init": Case("Rejected", "InitFailed", "code 13", config={"mode": "init-fail"}),
    "init in the worker": Case("RolledBack", "InitFailed", "code 13", config=late("init-fail")),
    "self-test": Case("Rejected", "SelfTestFailed", "code 13", config={"mode": "self-test-fail"}),
    "self-test in the worker": Case("RolledBack", "SelfTestFailed", "code 13", config=late("self-test-fail")),
    "freeze": Case("RolledBack", "FreezeTimeout", "still inside module observer", base={"mode": "handle-slow", "usec": 300000},
                   strategy={"freeze_budget": "1ms"}),
    "crash in the bake": Case("RolledBack", "Crashed", "SIGSEGV", config={"mode": "handle-crash", "every": 50}, strategy=LONG, served=True,
                              convicted=True),
    "errors in the bake": Case("RolledBack", "ErrorRateRegressed", config={"mode": "handle-error", "every": 4}, strategy=LONG, served=True,
                               convicted=True, failed=("internal",)),
    "crash at a weight": Case("RolledBack", "Crashed", "SIGSEGV", config={"mode": "handle-crash", "every": 50}, strategy=LADDER, served=True,
                              convicted=True),
    "errors at a weight": Case("RolledBack", "ErrorRateRegressed", config={"mode": "handle-error", "every": 4}, strategy=LADDER, served=True,
                               convicted=True, failed=("internal",)),
}
OF_EIGHT = ["fetch", "preflight crashes", "self-test in the worker", "freeze", "crash in the bake", "errors at a weight"]


def spoil(bench, family, number, case):
    """The documents of the set with its second member spoiled; returns them and the digest of that member."""
    documents = family.documents(number, **case.strategy)
    culprit = family.document(family.members[1], number, config=case.config, **case.strategy)
    documents[family.members[1]] = {**culprit, **case.document}
    return documents, culprit["version_hash"]


def check_told(family, case, ended):
    """Every member's event and status say the same reason; the culprit's own, and the others' who it was."""
    culprit = family.members[1]
    for m, ev in ended.items():
        assert (ev["phase"], ev["reason"]) == (case.phase, case.reason), ev
        assert culprit in ev["message"] or m == culprit, ev
        for word in case.words:
            assert word in ev["message"], ev
        now = family.g.module(m)
        assert (now["phase"], now["reason"], now["message"]) == ("Degraded", case.reason, ev["message"]), now
        assert now["rollout"]["phase"] == case.phase and now["candidate"] is None, now
        if m != culprit and case.base is None:
            assert ev["message"].startswith(f"nothing was found wrong with {m} "), ev
    assert len({ev["rollout"] for ev in ended.values()}) == 1


def fail_as_one(bench, n, case):
    family, old = bench.good(n)
    if case.base is not None:
        old = bench.number()
        bench.g.want({m: family.document(m, old, config=case.base if m == family.members[1] else None) for m in family.members})
        bench.g.wait_phase(family.members[1], "Healthy")
    convicted = bench.convicted()
    new = bench.number()
    documents, digest = spoil(bench, family, new, case)
    # clients enough that a slow call is inside at any moment: one that is about to leave lets the freeze through
    with family.looks(clients=2 if case.base is None else 8) as looks:
        ended = family.ended(bench.g.want(documents))
        check_told(family, case, ended)
        looks.assert_saw(old, *([new] if case.served else []), failed=case.failed)
        looks.assert_saw(old)
        assert bench.convicted() == {**convicted, **({digest: family.members[1]} if case.convicted else {})}
        # nothing is in the way of the next one
        good = bench.number()
        family.deploy(good, freeze_budget="10s")
        looks.assert_saw(old, good)
        looks.assert_saw(good)


@pytest.mark.parametrize("name", CASES)
def test_one_of_three_fails_and_all_stay(bench, name):
    fail_as_one(bench, 3, CASES[name])


@pytest.mark.parametrize("name", OF_EIGHT)
def test_one_of_eight_fails_and_all_stay(bench, name):
    fail_as_one(bench, 8, CASES[name])


def test_one_that_cannot_be_loaded(make, etcd):
    """The load of the second of three fails in the worker: the sixth load there is, after the observer and the set before."""
    g = make(etcd, env={"GRAYLING_FAULT": "crew.load:6:error:EIO"})
    bench = Bench(g.start())
    family, old = bench.good(3)
    new = bench.number()
    with family.looks() as looks:
        ended = family.ended(g.want(family.documents(new)))
        assert {(e["phase"], e["reason"]) for e in ended.values()} == {("RolledBack", "LoadFailed")}, ended
        assert sum("nothing was found wrong with" in e["message"] for e in ended.values()) == 2, ended
        looks.assert_saw(old)
        good = bench.number()
        family.deploy(good)
        looks.assert_saw(old, good)
    assert bench.convicted() == {}


def test_they_come_and_go_as_one(make, etcd):
    bench = Bench(make(etcd).start())
    family, first = Family(bench.g, "plain", 8), bench.number()
    with family.looks() as looks:
        bad = family.documents(first)
        bad[family.members[5]] = family.document(family.members[5], first, config=late("self-test-fail"))
        assert {e["phase"] for e in family.ended(bench.g.want(bad)).values()} == {"RolledBack"}
        looks.assert_saw(None)
        second = bench.number()
        family.deploy(second)
        looks.assert_saw(None, second)
        ended = family.ended(bench.g.want({m: None for m in family.members}))
        assert {e["phase"] for e in ended.values()} == {"Healthy"}, ended
        looks.assert_saw(second, None)
        looks.assert_saw(None)
    assert [m["module"] for m in bench.g.status()["modules"]] == ["observer"]


def order(g, module, verb, **body):
    code, answer = g.control(f"/v1/modules/{module}/{verb}", "POST", {"actor": "alice", "reason": "SET-7", **body})
    assert code == 200, answer


def wait_step(g, module, text):
    g.wait_event(lambda e: e["module"] == module and text in e["message"])


def test_eight_go_up_one_ladder_and_back_as_one(bench):
    g = bench.g
    family, old = bench.good(8)
    new = bench.number()
    with family.looks() as looks:
        ladder = {"steps": [{"weight": 25}, GATE, {"weight": 75}, GATE, {"weight": 100}], "analysis": ERRORS, "deadline": "1h", "bake": "10m"}
        rollout = g.want(family.documents(new, **ladder))
        for step, weight, promoter in ((2, 25, "plain-3"), (4, 75, "plain-0")):
            wait_step(g, promoter, f"step {step} of 5")
            looks.take()
            seen = looks.assert_saw(old, new)
            assert set(seen) == {said(old), said(new)}, (weight, seen)
            assert {m: (g.module(m)["rollout"]["id"], g.module(m)["rollout"]["weight"]) for m in family.members} == \
                   {m: (rollout, weight) for m in family.members}
            order(g, promoter, "promote", rollout=rollout, step=step - 1)
        g.wait_event(lambda e: e["module"] == "plain-7" and e["rollout"] == rollout and e["phase"] == "Baking")
        looks.take()
        looks.assert_saw(new)
        order(g, "plain-6", "abort", rollout=rollout)
        ended = family.ended(rollout)
        assert {(e["phase"], e["reason"]) for e in ended.values()} == {("RolledBack", "OperatorAbort")}, ended
        looks.assert_saw(new, old)
        looks.assert_saw(old)


@pytest.mark.parametrize("name", ["document", "digest", "self-test in the worker", "crash in the bake"])
def test_one_file_of_a_directory_is_one_batch(make, name):
    g, case = make(), CASES[name]
    bench = Bench(g.start())
    family, old, new, good = Family(g, "plain", 3), bench.number(), bench.number(), bench.number()

    def write(documents):
        partial = g.directory / ".batch"
        partial.write_text(json.dumps({"modules": documents}))
        partial.rename(g.directory / "batch.json")

    def ended(version, *phases):
        return {m: g.wait_event(lambda e: e["module"] == m and e["version"] in (version, "", None) and e["phase"] in phases, after=seq)
                for m in family.members}

    seq = g.seen
    write(family.documents(old))
    ended("1.1.0" if old % 2 else "1.0.0", "Healthy")
    with family.looks() as looks:
        seq = max(e["seq"] for e in g.events(seq))
        write(spoil(bench, family, new, case)[0])
        check_told(family, case, ended("1.1.0" if new % 2 else "1.0.0", "RolledBack", "Rejected"))
        looks.assert_saw(old, *([new] if case.served else []))
        seq = max(e["seq"] for e in g.events(seq))
        write(family.documents(good))
        ended("1.1.0" if good % 2 else "1.0.0", "Healthy")
        looks.assert_saw(old, good)
        looks.assert_saw(good)


COUNTER = "com.example.counter.Counter/"


def count(g, method):
    status, _, body = g.call(COUNTER + method)
    assert status == 200, body
    return json.loads(body)["count"]


def test_one_whose_state_cannot_be_handed_over(make, etcd):
    bench = Bench(make(etcd).start())
    g = bench.g
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    family, old = bench.good(2)
    assert [count(g, "Increment") for _ in range(5)][-1] == 5
    with family.looks() as looks:
        bad = g.document(MODULES / "counter-1.0.1.so", config={"hook_failures_permille": 1000, "seed": 7})
        ended = family.ended(rollout := g.want({**family.documents(bench.number()), "counter": bad}))
        ended["counter"] = g.wait_event(lambda e: e["module"] == "counter" and e["rollout"] == rollout and e["phase"] == "RolledBack", after=0)
        assert {(e["phase"], e["reason"]) for e in ended.values()} == {("RolledBack", "StateHandoverFailed")}, ended
        assert all("counter" in e["message"] for e in ended.values()), ended
        assert count(g, "Get") == 5
        looks.assert_saw(old)
        rollout = g.want({**family.documents(good := bench.number()), "counter": g.document(MODULES / "counter-1.1.0.so")})
        assert {e["phase"] for e in family.ended(rollout).values()} == {"Healthy"}
        looks.assert_saw(old, good)
    assert count(g, "Increment") == 6 and g.module("counter")["stable"]["version"] == "1.1.0"
