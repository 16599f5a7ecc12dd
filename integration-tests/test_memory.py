"""A worker that is short of memory while modules fault is replaced once: it helps, or it is said that it did not."""
import pathlib
import re

import pytest

from harness import MODULES, Grayling

POKE = "com.example.faulty.FaultyService/Poke"
LEAK = "com.example.drill.FaultyService/Poke"
REPLACED = "while modules fault: it is replaced"
UNHELPED = "while modules fault: the worker before it was replaced for that already, and it did not help"


def worker(g):
    w = g.status()["worker"]
    return w and w["pid"]


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) << 10


def restarts(g, reason):
    return int(re.search(rf'grayling_worker_restarts_total{{reason="{reason}"}} (\d+)', g.metrics())[1])


def start(root, limit):
    """faulty runs in a process of its own: its faults alone replace no worker."""
    root.mkdir(exist_ok=True)
    g = Grayling(root, sets=[f"Dispatch.MemoryLimit={limit}", "Dispatch.BreakerFaults=0"]).start()
    g.deploy("faulty", MODULES / "faulty-1.2.0.so", config={"mode": "handle-crash"})
    return g


def fault(g):
    g.until(lambda: g.module("faulty")["stable"].get("pid"))
    assert g.call(POKE)[0] == 500


def test_a_replacement_that_does_not_help_is_not_repeated(tmp_path):
    g = start(tmp_path, "1M")  # less than any worker needs
    try:
        before = worker(g)
        fault(g)
        ev = g.wait_event(lambda e: REPLACED in e["message"], after=0)
        assert f"worker {before} uses " in ev["message"] and "[Dispatch] MemoryLimit= allows (1 MiB)" in ev["message"], ev
        g.until(lambda: worker(g) not in (None, before))
        fault(g)
        ev = g.wait_event(lambda e: UNHELPED in e["message"], after=0)
        assert f"worker {worker(g)} uses " in ev["message"], ev
        assert (restarts(g, "memory"), restarts(g, "replace"), restarts(g, "crash")) == (1, 0, 0)
        assert g.module("faulty")["phase"] in ("Healthy", "Degraded")
        assert g.stop() == 0, g.log()
    finally:
        g.kill()


def test_what_leaks_in_the_worker_is_given_back(tmp_path):
    probe = start(tmp_path / "probe", "16384G")  # to learn what a worker needs here
    try:
        need = resident(worker(probe))
        assert probe.stop() == 0
    finally:
        probe.kill()
    limit = 2 * need + (64 << 20)
    g = start(tmp_path / "g", limit)
    try:
        g.deploy("drill-faulty", MODULES / "drill-faulty-1.0.0.so", config={"mode": "leak-mem"})
        before = worker(g)
        fault(g)  # there is room
        while resident(before) < limit * 0.95:
            assert g.call(LEAK)[0] == 200
        fault(g)
        g.wait_event(lambda e: REPLACED in e["message"] and f"worker {before} uses " in e["message"], after=0)
        g.until(lambda: worker(g) not in (None, before))
        assert resident(worker(g)) < limit * 0.8
        assert g.call(LEAK)[0] == 200
        assert (restarts(g, "memory"), restarts(g, "replace"), restarts(g, "crash")) == (1, 0, 0)
        assert g.stop() == 0, g.log()
    finally:
        g.kill()


@pytest.mark.parametrize("limit", ["0", "16384G"])
def test_faults_alone_replace_nothing(tmp_path, limit):
    """Long after the last look that a fault begins, by the next event that is surely later."""
    g = start(tmp_path, limit)
    try:
        before = worker(g)
        for _ in range(3):
            fault(g)
        g.deploy("faulty", MODULES / "faulty-1.1.0.so")
        assert worker(g) == before and restarts(g, "memory") == 0
        assert g.stop() == 0, g.log()
    finally:
        g.kill()
