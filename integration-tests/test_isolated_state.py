"""State between versions in the worker and versions in processes of their own: it goes every way, and what goes wrong on it costs a process, not the state."""
import json
import re

import pytest

from harness import MODULES, Grayling
from test_state import Counting, count, counter, wait

INCREMENT = "com.example.counter.Counter/Increment"
ENDS = ("Healthy", "RolledBack", "Rejected", "Superseded")
APART = {"1.3.0", "1.3.1", "3.1.0"}


@pytest.fixture
def g(tmp_path):
    g = Grayling(tmp_path, sets=["Dispatch.BreakerBackoff=1h"]).start()
    yield g
    assert g.stop() == 0, g.log()


def stable(g):
    return g.module("counter")["stable"]


def worker(g):
    return g.status()["worker"]["pid"]


def release(g, version, **more):
    g.want(counter(g, version, **more))
    return wait(g, *ENDS)


def deploy(g, version, **more):
    ev = release(g, version, **more)
    assert ev["phase"] == "Healthy", ev
    s = stable(g)
    assert (s["version"], s["isolation"]) == (version, "process" if version in APART else "worker"), s


def test_every_way_under_traffic(g):
    """Worker to process, process to process (as bytes, then as a memory object), process to worker: nothing that was acknowledged is lost, no call fails."""
    first = worker(g)
    deploy(g, "1.0.0")
    ways = ["1.3.0", "1.3.1", "1.1.0", "1.3.0", "3.1.0", "3.0.0", "3.1.0"]
    with Counting(g) as clients:
        for version in ways:
            before = sum(clients.acknowledged)
            deploy(g, version, one_way=True)  # 1.3.0 does not read what 3.1.0 writes
            g.until(lambda: sum(clients.acknowledged) > before + 3 or clients.failed)
    assert not clients.failed and all(clients.acknowledged), (clients.failed[:3], clients.acknowledged)
    assert count(g) == (sum(clients.acknowledged), "3.1.0")
    text = g.metrics()
    assert re.search(rf'^grayling_state_handovers_total{{result="ok"}} {len(ways)}$', text, re.M), text
    assert worker(g) == first


@pytest.mark.parametrize("old, new", [("1.0.0", "1.3.0"), ("1.3.0", "1.1.0"), ("1.3.0", "1.3.1"), ("3.0.0", "3.1.0"), ("3.1.0", "3.0.0")])
def test_the_way_back_hands_back(g, old, new):
    """What the new version counted in its bake is in the old one's count after it was taken back."""
    deploy(g, old)
    with Counting(g) as clients:
        g.want(counter(g, new, strategy={"bake": "10m"}))
        ev = wait(g, "Baking", *ENDS)
        assert ev["phase"] == "Baking", ev
        before = sum(clients.acknowledged)
        g.until(lambda: sum(clients.acknowledged) > before + 3 or clients.failed)
        status, answer = g.control("/v1/modules/counter/abort", "POST", {"rollout": ev["rollout"], "reason": "drill"})
        assert status == 200, answer
        ev = wait(g, *ENDS)
        assert ev["phase"] == "RolledBack", ev
    assert not clients.failed and all(clients.acknowledged), (clients.failed[:3], clients.acknowledged)
    assert count(g) == (sum(clients.acknowledged), old)


WRONG_EXPORTS = {  # of a version in a process of its own, and what is said
    "crash": r"export_state\(\) of the old version crashed with signal 11 at counter-1\.3\.1-[0-9a-f]+\.so\+0x",
    "hang": r"export_state\(\) of the old version was still running at the end of the freeze budget, and is left alone",
    "huge": r"export_state\(\) of the old version says 2147483648 bytes, and at most 1073741824 go from one process to another",
}


@pytest.mark.parametrize("new", ["1.1.0", "1.3.0"])
@pytest.mark.parametrize("how", WRONG_EXPORTS)
def test_an_export_that_goes_wrong(g, how, new):
    """The version in force goes on in the same process, with its count."""
    deploy(g, "1.3.1", config={"export": how})
    before = worker(g), stable(g)["pid"]
    with Counting(g) as clients:
        g.until(lambda: sum(clients.acknowledged) > 3 or clients.failed)
        budget = {"freeze_budget": "200ms" if how == "hang" else "10s"}
        ev = release(g, new, strategy=budget)
        if ev["reason"] == "FreezeTimeout":  # a call did not end in time: once more, nothing was asked of the hook
            pytest.skip("the machine is too busy for a budget of 200 ms")
        assert (ev["phase"], ev["reason"]) == ("RolledBack", "StateHandoverFailed") and re.search(WRONG_EXPORTS[how], ev["message"]), ev
        served = sum(clients.acknowledged)
        g.until(lambda: sum(clients.acknowledged) > served + 3 or clients.failed)
    assert not clients.failed and all(clients.acknowledged), (clients.failed[:3], clients.acknowledged)
    assert count(g) == (sum(clients.acknowledged), "1.3.1")
    assert (worker(g), stable(g)["pid"]) == before


WRONG_IMPORTS = {
    "crash": r"import_state\(\) of the new version crashed with signal 11 at counter-1\.3\.1-[0-9a-f]+\.so\+0x",
    "hang": r"import_state\(\) of the new version was still running at the end of the freeze budget, and its process is replaced",
    "die": r"import_state\(\) of the new version did not return: its process ended|import_state",
}


@pytest.mark.parametrize("old", ["1.0.0", "1.3.0"])
@pytest.mark.parametrize("how", WRONG_IMPORTS)
def test_an_import_that_goes_wrong(g, how, old):
    """The new version's process ends, and nothing else: the old version goes on with its count, in the worker that it has."""
    deploy(g, old)
    before = worker(g), stable(g).get("pid")
    with Counting(g) as clients:
        g.until(lambda: sum(clients.acknowledged) > 3 or clients.failed)
        ev = release(g, "1.3.1", config={"import": how}, strategy={"freeze_budget": "200ms" if how == "hang" else "10s"})
        reasons = ("StateHandoverFailed", "Crashed") if how == "die" else ("StateHandoverFailed",)
        assert ev["phase"] == "RolledBack" and ev["reason"] in reasons and re.search(WRONG_IMPORTS[how], ev["message"]), ev
        served = sum(clients.acknowledged)
        g.until(lambda: sum(clients.acknowledged) > served + 3 or clients.failed)
    assert not clients.failed and all(clients.acknowledged), (clients.failed[:3], clients.acknowledged)
    assert count(g) == (sum(clients.acknowledged), old)
    assert (worker(g), stable(g).get("pid")) == before
    if how == "die":
        g.until(lambda: g.module("counter")["fault"], lambda: "no fault is told")
        fault = g.module("counter")["fault"]
        assert fault["kind"] == "signal" and fault["method"].endswith("import_state()"), fault
    deploy(g, "1.3.0" if old == "1.0.0" else "1.1.0")  # the next one finds nothing in its way
    assert count(g)[0] == sum(clients.acknowledged)


def test_a_process_takes_its_state_along(g):
    """A version whose process dies in its export has lost its count, as with a worker that dies: it begins anew, which is told, and the next release takes over what there is."""
    deploy(g, "1.3.1", config={"export": "die"})
    before, pid = worker(g), stable(g)["pid"]
    assert count(g, INCREMENT) == (1, "1.3.1")
    ev = release(g, "1.3.0")
    assert ev["phase"] == "RolledBack" and ev["reason"] == "StateHandoverFailed", ev
    assert re.search(r"export_state\(\) of the old version did not return: its process ended", ev["message"]), ev
    g.until(lambda: stable(g)["pid"] not in (0, pid))
    assert count(g, INCREMENT) == (1, "1.3.1")
    assert worker(g) == before
    assert any("the state of counter began anew with another process" in e["message"] for e in g.events()), g.log()


@pytest.mark.parametrize("old", ["1.0.0", "1.3.0"])
def test_a_process_that_dies_in_the_bake(g, old):
    """It takes along what it counted. What it had been given is still there, and the version before goes on with it."""
    deploy(g, old)
    before = worker(g), stable(g).get("pid")
    with Counting(g, bears=(500, 503)) as clients:
        g.until(lambda: sum(clients.acknowledged) > 3 or clients.failed)
        ev = release(g, "1.3.1", config={"call": "die"}, strategy={"bake": "10m"})
        assert (ev["phase"], ev["reason"]) == ("RolledBack", "Crashed"), ev
        served = sum(clients.acknowledged)
        g.until(lambda: sum(clients.acknowledged) > served + 3 or clients.failed)
    assert not clients.failed and all(clients.acknowledged), (clients.failed[:3], clients.acknowledged)
    assert count(g) == (sum(clients.acknowledged), old)
    assert (worker(g), stable(g).get("pid")) == before
    assert "it goes on with the state that it gave to 1.3.1, whose process has ended since" in g.log()
