"""Versions that declare `isolation: process`: served, released and taken back as any other, and whatever one does costs its own process alone."""
import contextlib
import os
import pathlib
import re
import select
import signal
import tempfile

import pytest

from harness import BUILD, MODULES, PATIENCE, Grayling, Traffic

POKE = "com.example.faulty.FaultyService/Poke"
ECHO = "com.example.echo.EchoService/Echo"
INSIDE, APART = MODULES / "faulty-1.0.0.so", MODULES / "faulty-1.2.0.so"
SANITIZED = b"__asan_init" in (BUILD / "grayling-worker").read_bytes()


def worker(g):
    return g.status()["worker"]["pid"]


def process(g, module):
    return g.module(module)["stable"].get("pid")


def children(pid):
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            found += [int(c) for c in (task / "children").read_text().split()]
    return found


def family(pid):
    """The worker's spawner, and the processes of its versions."""
    return [p for c in children(pid) for p in (c, *children(c))]


def isolated(g):
    return [p for c in children(worker(g)) for p in children(c)]


class Ends:
    """Processes whose end is waited for."""

    def __init__(self, pids):
        self.fds = {}
        for p in pids:
            with contextlib.suppress(ProcessLookupError):
                self.fds[os.pidfd_open(p)] = p

    def wait(self):
        while self.fds:
            ready, _, _ = select.select(list(self.fds), [], [], PATIENCE)
            assert ready, f"still there: {self.fds.values()}"
            for fd in ready:
                os.close(fd)
                del self.fds[fd]


class Bench:
    """A supervisor that serves faulty 1.2.0 from a process of its own, and echo in the worker."""

    def __init__(self, g):
        self.g, self.releases = g, 0

    def build(self):
        self.releases += 1
        path = self.g.incoming / f"build-{self.releases}.so"
        path.write_bytes(APART.read_bytes() + str(self.releases).encode())
        return path

    def release(self, config, **strategy):
        document = self.g.document(self.build(), version="1.2.0", config=config, strategy=strategy)
        self.g.want({"faulty": document})
        return document

    def well(self):
        self.g.deploy("faulty", self.build(), version="1.2.0")


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        g = Grayling(d, sets=["Dispatch.BreakerBackoff=1h"])
        ended = None
        try:
            g.start().deploy("echo", MODULES / "echo-1.0.0.so")
            b = Bench(g)
            b.well()
            yield b
            ended = Ends([worker(g), *family(worker(g))])
            assert g.stop() == 0, g.log()
            ended.wait()
        finally:
            g.kill()


def test_it_serves_from_a_process_of_its_own(bench):
    g = bench.g
    g.deploy("echo", MODULES / "echo-1.2.0.so")
    try:
        m = g.module("echo")["stable"]
        assert (m["version"], m["isolation"]) == ("1.2.0", "process") and m["pid"] in isolated(g), m
        for size in (0, 64, 4096, 70000, 4 << 20):
            body = os.urandom(size)
            status, headers, answer = g.call(ECHO, body, headers={"content-type": "application/proto"})
            assert (status, headers["x-grayling-version"], answer == body) == (200, "1.2.0", True), (size, status, headers)
        about = pathlib.Path(f"/proc/{m['pid']}/status").read_text()
        assert re.search(r"^Seccomp:\s2$", about, re.M) and re.search(r"^NoNewPrivs:\s1$", about, re.M), about
        limits = pathlib.Path(f"/proc/{m['pid']}/limits").read_text()
        assert re.search(r"^Max open files +1024 +1024 ", limits, re.M) and re.search(r"^Max core file size +0 +0 ", limits, re.M), limits
        assert SANITIZED or re.search(r"^Max data size +4294967296 +4294967296 ", limits, re.M), limits
        with Traffic(g, ECHO, b'{"n":1}', clients=4) as t:
            t.await_turns(50)
            t.assert_served("1.2.0")
            ended = Ends([process(g, "echo")])
            g.deploy("echo", MODULES / "echo-1.0.0.so")  # and back into the worker, under traffic
            t.take()
            t.assert_served("1.0.0")
            g.deploy("echo", MODULES / "echo-1.0.1.so")  # nothing keeps the version before the last
        ended.wait()
        assert g.module("echo")["stable"]["isolation"] == "worker"
    finally:
        g.want({"echo": g.document(MODULES / "echo-1.0.0.so")})
        g.wait_phase("echo", "Healthy")


ENDS = {  # of the candidate's process; what is told of it
    "handle-crash": ("Crashed", "SIGSEGV at address 0x0", "Poke"),
    "handle-assert": ("Crashed", "faulty-modes.c:", "Poke"),
    "handle-exit": ("Crashed", "ended its process with status 0", "Poke"),
    "thread": ("Crashed", "SIGSEGV"),
    "heap-corrupt": ("Crashed", "expected it to return"),
    "libc-crash": ("Crashed", "SIGSEGV", "Poke"),
    "handle-hang": ("CallTimeout", "did not return by its deadline", "Poke"),
}


@pytest.mark.parametrize("mode", ENDS)
def test_a_candidate_costs_its_own_process(bench, mode):
    """Taken back and convicted; nobody loses a request, and the worker and the version before are the same processes as before."""
    g, reason, words = bench.g, ENDS[mode][0], ENDS[mode][1:]
    before = worker(g), process(g, "faulty")
    with Traffic(g, POKE, clients=2) as t, Traffic(g, ECHO, clients=1) as other:
        # a way back that waits for the one call that never returns
        document = bench.release({"mode": mode, "every": 20}, bake="5m", freeze_budget="10s")
        begun = g.seen
        ev = g.wait_phase("faulty", "RolledBack")
        assert ev["reason"] == reason, ev
        # the analysis may have counted the crash before the word of it was read
        over = g.seen
        g.wait_event(lambda e: e["message"].startswith(("faulty 1.2.0 faulted in ", "faulty 1.2.0 was given up in ")) and all(w in e["message"] for w in words), after=begun)
        g.seen = over
        codes, versions, lost = t.take()
        late = {504} if reason == "CallTimeout" else set()  # by then its deadline has passed
        assert lost == [] and set(codes) - late == {200} and "1.2.0" in versions, (codes, versions, lost)
        other.assert_served("1.0.0")
        t.assert_served("1.2.0")
    assert (worker(g), process(g, "faulty")) == before, g.log()
    convicted = {c["hash"]: c["reason"] for c in g.status()["quarantine"]}
    assert convicted[document["version_hash"]] == reason
    fault = g.module("faulty")["fault"]
    assert fault["kind"] == {"handle-assert": "assert", "handle-exit": "exit", "handle-hang": "timeout"}.get(mode, "signal") or SANITIZED, fault
    if mode == "handle-crash":
        assert re.fullmatch(r"faulty-1\.2\.0-[0-9a-f]+\.so\+0x[0-9a-f]+", fault["frames"][0]), fault
        assert fault["method"] == POKE and fault["request_id"] and fault["build_id"], fault
    bench.well()


def test_stable_gets_another_process(bench):
    """Each fault costs one process; calls in flight fail, the third fault opens the breaker, and the worker never changes."""
    g = bench.g
    before = worker(g)
    g.deploy("faulty", bench.build(), version="1.2.0", config={"mode": "handle-crash"})
    g.wait_loaded(2)  # the version before, which answers in the bake, is gone
    begun = g.seen
    pid = process(g, "faulty")
    for n in range(3):
        status, _, body = g.call(POKE)
        assert (status, b'"code":"internal"' in body) == (500, True), body
        if n < 2:
            g.until(lambda: process(g, "faulty") not in (0, pid), lambda: f"process {pid} was not replaced")
            pid = process(g, "faulty")
    g.wait_event(lambda e: "the breaker of faulty 1.2.0 is open: 3 faults" in e["message"], after=begun)
    g.until(lambda: b"breaker is open" in g.call(POKE)[2])  # and before that, while there is no process, unavailable too
    assert 'grayling_faults_total{module="faulty",version="1.2.0",kind="signal"}' in g.metrics()
    assert worker(g) == before and g.call(ECHO)[0] == 200
    bench.well()


def test_killed_from_outside(bench):
    """Nobody is blamed for it, and there is another process at once; a worker's end ends its processes, the supervisor's does not."""
    g = bench.g
    pid = process(g, "faulty")
    os.kill(pid, signal.SIGKILL)
    g.until(lambda: process(g, "faulty") not in (0, pid))
    g.until(lambda: g.call(POKE)[0] == 200)
    assert g.module("faulty")["phase"] == "Healthy"

    old = worker(g)
    ended = Ends(family(old))
    assert len(ended.fds) == 2
    os.kill(old, signal.SIGKILL)
    ended.wait()
    g.until(lambda: (g.status()["worker"] or {}).get("pid") not in (None, old) and process(g, "faulty"))
    assert g.call(POKE)[0] == 200

    old, pid = worker(g), process(g, "faulty")
    ended = Ends([old, *family(old)])
    with Traffic(g, POKE, clients=2) as t:
        g.process.kill()
        g.process.wait()
        t.take()
        t.assert_served("1.2.0")
        g.start()
        g.until(lambda: process(g, "faulty") not in (None, 0, pid))
        t.take()
        t.assert_served("1.2.0")
    ended.wait()


def test_a_lost_spawner(bench):
    """Nothing could be started any more: the worker is replaced."""
    g = bench.g
    old = worker(g)
    ended = Ends(family(old))
    os.kill(children(old)[0], signal.SIGKILL)
    ended.wait()
    g.until(lambda: (g.status()["worker"] or {}).get("pid") not in (None, old) and process(g, "faulty"))
    assert g.call(POKE)[0] == 200 and g.call(ECHO)[0] == 200
