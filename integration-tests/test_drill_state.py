"""A hand-over of state that fails at each of its steps, and one whose worker dies there: the counting goes on, or begins anew with the worker.

The count is the worker's: it outlives every release and every supervisor, and ends with the worker."""
import json
import signal

import pytest

from harness import MODULES, Grayling

INCREMENT = "com.example.counter.Counter/Increment"
POINTS = ["handover.export", "handover.import", "handover.imported"]
BACK = "handover.export:2:error:EIO,handover.import:2:error:EIO,handover.imported:2:error:EIO"  # of the way back, one try after the other
PATIENT = {"freeze_budget": "10s"}  # a busy machine ends no hand-over before the fault does


def increment(g):
    status, headers, body = g.call(INCREMENT)
    assert status == 200, (status, body)
    return json.loads(body)["count"], headers["x-grayling-version"]


@pytest.fixture
def g(tmp_path):
    g = Grayling(tmp_path)
    yield g
    assert g.stop() == 0, g.log()


@pytest.mark.parametrize("new", ["1.1.0", "1.3.0"])  # in the worker, and in a process of its own
@pytest.mark.parametrize("point", POINTS)
def test_an_error_at_a_step(g, point, new):
    """The first hand-over fails at it, and the old version goes on with its count; the next one passes."""
    g.start(env={"GRAYLING_FAULT": f"{point}:1:error:EIO"})
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert increment(g) == (1, "1.0.0")
    g.want({"counter": g.document(MODULES / f"counter-{new}.so", strategy=PATIENT)})
    ev = g.wait_phase("counter", "RolledBack", "Rejected")
    m = g.module("counter")
    assert m["reason"] == "StateHandoverFailed" and m["stable"]["version"] == "1.0.0", (ev, m)
    assert increment(g) == (2, "1.0.0")
    g.deploy("counter", MODULES / "counter-1.2.0.so", strategy=PATIENT)
    assert increment(g) == (3, "1.2.0")


@pytest.mark.parametrize("point", POINTS)
def test_the_worker_dies_at_a_step(g, point):
    """Each worker dies at it: the release is given up, and what serves is whole. The same release passes when they live."""
    g.start(env={"GRAYLING_FAULT": f"{point}:1:kill"})
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert increment(g) == (1, "1.0.0")
    g.want({"counter": g.document(MODULES / "counter-1.1.0.so", strategy=PATIENT)})
    g.wait_phase("counter", "RolledBack", "Rejected")
    assert increment(g) == (1, "1.0.0")  # a new worker's first
    assert g.stop(signal.SIGTERM) == 0
    g.start()
    g.deploy("counter", MODULES / "counter-1.2.0.so", strategy=PATIENT)
    assert increment(g)[1] == "1.2.0"


def bake(g, version="1.1.0"):
    g.want({"counter": g.document(MODULES / f"counter-{version}.so", strategy={**PATIENT, "bake": "10m"})})
    return g.wait_phase("counter", "Baking")["rollout"]


def abort(g, rollout):
    status, answer = g.control("/v1/modules/counter/abort", "POST", {"rollout": rollout, "reason": "drill"})
    assert status == 200, answer


def test_a_way_back_that_fails_at_each_step(g):
    """It is tried again until it works: the new version serves until then, and nothing that was counted is lost."""
    g.start(env={"GRAYLING_FAULT": BACK})
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert increment(g) == (1, "1.0.0")
    rollout = bake(g)
    assert increment(g) == (2, "1.1.0")
    abort(g, rollout)
    ev = g.wait_phase("counter", "RolledBack")
    assert ev["reason"] == "OperatorAbort" and "the way back is tried again, with its state" in g.log(), g.log()
    assert increment(g) == (3, "1.0.0")


def test_a_way_back_that_fails_and_fails(g):
    """Never between: the new version serves with all that was counted, the host says why, and a person may go without the state."""
    g.start(env={"GRAYLING_FAULT": ",".join(["handover.export:2:error:EIO"] * 16)})  # one after the other, for half a minute
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert increment(g) == (1, "1.0.0")
    rollout = bake(g)
    assert increment(g) == (2, "1.1.0")
    abort(g, rollout)
    ev = g.wait_event(lambda e: e["module"] == "counter" and "the way back waits for its state" in e["message"])
    assert "abort counter --one-way" in ev["message"], ev
    m = g.module("counter")
    assert (m["phase"], m["stable"]["version"], m["rollout"]["phase"]) == ("Degraded", "1.1.0", "RollingBack"), m
    assert increment(g) == (3, "1.1.0")
    status, answer = g.control("/v1/modules/counter/abort", "POST", {"rollout": rollout, "reason": "drill", "one_way": True})
    assert status == 200, answer
    g.wait_phase("counter", "RolledBack")
    g.until(lambda: increment(g) == (1, "1.0.0"))  # another worker's first


@pytest.mark.parametrize("point", POINTS)
def test_the_worker_dies_on_the_way_back(g, point):
    """What was on its way back is back; the state ended with the worker, and that is told."""
    g.start(env={"GRAYLING_FAULT": f"{point}:2:kill"})
    g.deploy("counter", MODULES / "counter-1.0.0.so")
    assert increment(g) == (1, "1.0.0")
    abort(g, bake(g))
    g.wait_phase("counter", "RolledBack")
    g.wait_event(lambda e: "the state of counter began anew" in e["message"], after=0)
    assert increment(g) == (1, "1.0.0")
