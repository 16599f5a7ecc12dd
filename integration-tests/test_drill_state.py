"""A hand-over of state that fails at each of its steps, and one whose worker dies there: the counting goes on, or begins anew with the worker.

The count is the worker's: it outlives every release and every supervisor, and ends with the worker."""
import json
import signal

import pytest

from harness import MODULES, Grayling

INCREMENT = "com.example.counter.Counter/Increment"
POINTS = ["handover.export", "handover.import", "handover.imported"]
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
