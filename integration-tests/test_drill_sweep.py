"""kill -9 of either process at every step of a release, and errors there, under load.

The release is of two modules at once. Whatever was hit, the next supervisor serves both old or both new, no connection is refused, no
more than the calls in flight are lost, and it ends at what is desired."""
import contextlib
import json
import os
import pathlib
import random
import signal
import sqlite3
import tempfile
import time

import pytest

from harness import MODULES, PATIENCE, Etcd, Grayling, Traffic

ECHO = "com.example.echo.EchoService/Echo"
CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
OLD, NEW = ("1.0.0", "1.0.0"), ("1.1.0", "1.0.1")  # pay, echo
CLIENTS = 2

# Points that a supervisor passes in a release, from the fetch to the end of the bake, and while it starts.
POINTS = ["fetch.open", "fetch.write", "verify.before-store", "store.write", "verify.after-store", "preflight.spawn", "crew.load",
          "rollout.before-swap", "rollout.after-swap", "manager.before-commit", "manager.after-commit", "journal.begin",
          "journal.before-commit", "journal.after-commit", "worker.spawn", "worker.before-hello", "worker.after-hello",
          "start.before-begun", "start.begun", "start.before-stable", "start.stable"]


class Bench:
    """One supervisor, one etcd and clients that never pause, for all drills; each release is one more transaction."""

    def __init__(self, g, traffic):
        self.g, self.traffic, self.turn, self.builds, self.revision = g, traffic, 0, 0, 0

    def fresh(self, name):
        """A build with a digest that the store does not know: it is fetched, verified and stored."""
        self.builds += 1
        path = self.g.incoming / f"build-{self.builds}.so"
        path.write_bytes((MODULES / f"{name}.so").read_bytes() + str(self.builds).encode())
        return path

    def want(self):
        """The other pair of versions, in one transaction; returns it."""
        self.turn += 1
        pair = (OLD, NEW)[self.turn % 2]
        self.revision = self.g.want({
            "pay": self.g.document(self.fresh(f"pay-{pair[0]}"), version=pair[0], strategy={"bake": "10ms"}),
            "echo": self.g.document(self.fresh(f"echo-{pair[1]}"), version=pair[1], strategy={"bake": "10ms"})})
        return pair

    def served(self):
        return tuple(self.g.call(m, BODY)[1]["x-grayling-version"] for m in (CHARGE, ECHO))

    def journaled(self):
        """What the journal says is in force. Nobody may hold it open."""
        with contextlib.closing(sqlite3.connect(f"file:{self.g.state}/journal.db?mode=ro", uri=True)) as db:
            rows = dict(db.execute("SELECT module, json_extract(release, '$.version') FROM committed"))
        return rows["pay"], rows["echo"]

    def whole(self):
        """With the supervisor dead nothing changes: the worker that is left serves one table, and the journal holds one."""
        assert self.served() in (OLD, NEW) and self.journaled() in (OLD, NEW), (self.served(), self.journaled())

    def arrive(self, pair):
        """Both modules end at what is desired, and serve it."""
        for module, version in zip(("pay", "echo"), pair):
            self.g.until(lambda: (m := self.g.module(module)) and m["phase"] == "Healthy" and m["stable"]["version"] == version,
                         lambda: f"{module}: {self.g.module(module)}, expected {version}")
        assert self.served() == pair, self.g.log()

    def await_end(self):
        """Until the process is dead, or both modules have settled in some way. Returns whether it is dead."""
        while self.g.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):  # it dies while it is asked
                phases = {m["phase"] for m in self.g.status()["modules"]}
                if self.g.status()["phase"] in ("Serving", "Degraded") and "Progressing" not in phases and self.planned():
                    return False
                if "did not begin" in self.g.log():
                    return False
                self.g.events(2**53 - 1, wait="100ms")
        return True

    def planned(self):
        """The transaction was taken up, and something came of it."""
        rows = self.g.control("/v1/history?limit=1")[1]["rollouts"]
        return rows and int(rows[0]["rollout"]) >= self.revision and rows[0]["phase"] in ("Healthy", "RolledBack", "Rejected")

    def nobody_noticed(self, lost=0):
        codes, _, losses = self.traffic.take()
        assert set(codes) == {200} and len(losses) <= lost and not any("refused" in x.lower() for x in losses), (codes, losses)


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        root = pathlib.Path(d)
        etcd, worker = Etcd(root), None
        (root / "g").mkdir()
        g = Grayling(root / "g", etcd, sets=["Service.StableAfter=0s"])  # or so many kills in a row would be safe mode
        try:
            g.start()
            g.want({"pay": g.document(MODULES / "pay-1.0.0.so"), "echo": g.document(MODULES / "echo-1.0.0.so")})
            g.wait_phase("pay", "Healthy")
            with Traffic(g, CHARGE, BODY, clients=CLIENTS) as t:
                yield Bench(g, t)
            assert g.stop() == 0, g.log()
        finally:
            worker = g.kill()
            if worker:
                os.kill(worker, signal.SIGKILL)
            etcd.stop()


@pytest.mark.parametrize("point", POINTS)
def test_the_supervisor_is_killed_at_each_passage(bench, point):
    """The Nth passage kills, for every N until a release goes by without one: so none was left out."""
    nth = 0
    killed = True
    while killed:
        nth += 1
        bench.g.stop(signal.SIGKILL)
        pair = bench.want()
        bench.g.start(wait=False, env={"GRAYLING_FAULT": f"{point}:{nth}:kill"})
        killed = bench.await_end()
        if killed:
            assert bench.g.process.returncode == -signal.SIGKILL, bench.g.log()
            bench.whole()
            bench.g.start()
        bench.arrive(pair)
        bench.nobody_noticed()
    assert nth > 1, f"{point} was never passed"


ERRORS = [("fetch.open", 1, "EIO"), ("fetch.write", 1, "ENOSPC"), ("verify.before-store", 1, "EIO"), ("store.write", 1, "ENOSPC"),
          ("verify.after-store", 2, "EIO"), ("preflight.spawn", 1, "EAGAIN"), ("crew.load", 4, "EPIPE"), ("rollout.before-swap", 1, "EPIPE"),
          ("rollout.after-swap", 1, "EIO"), ("manager.before-commit", 1, "EIO"), ("manager.before-commit", 2, "EIO"),
          ("manager.after-commit", 1, "EIO"), ("worker.spawn", 1, "EAGAIN"), ("worker.before-hello", 1, "EPIPE"), ("worker.after-hello", 1, "EIO"),
          ("start.before-begun", 1, "EIO"),
          *(("journal.begin", n, "EIO") for n in (1, 2, 3, 6, 9)),
          *(("journal.before-commit", n, "ENOSPC") for n in (1, 4, 7, 10))]


@pytest.mark.parametrize("point, nth, error", ERRORS)
def test_an_error_at_a_step(bench, point, nth, error):
    """The step fails once: the release goes on, or is refused or taken back as a whole; the next start ends at what is desired."""
    bench.g.stop(signal.SIGKILL)
    trace = bench.g.root / "trace"
    trace.unlink(missing_ok=True)
    (bench.g.root / "graylingd.log").write_text("")
    pair = bench.want()
    bench.g.start(wait=False, env={"GRAYLING_FAULT": f"{point}:{nth}:error:{error}", "GRAYLING_FAULT_TRACE": str(trace)})
    if bench.await_end():
        assert bench.g.process.returncode > 0 and ":" in bench.g.log().splitlines()[-1], (bench.g.process.returncode, bench.g.log())
    assert trace.read_text().split().count(point) >= nth, f"{point} was not passed {nth} times"
    bench.g.stop(signal.SIGKILL)
    bench.whole()
    bench.g.start()
    bench.arrive(pair)
    bench.nobody_noticed()


def test_the_worker_is_killed_under_the_freeze(bench):
    """Each worker dies as soon as a release has its gates closed: the release is given up, and the same one succeeds when they live."""
    bench.g.stop(signal.SIGKILL)
    pair = bench.want()
    bench.g.start(wait=False, env={"GRAYLING_FAULT": "swap.frozen:2:kill"})  # the first passage puts the table in force that a worker is built with
    assert not bench.await_end()
    bench.g.stop(signal.SIGKILL)
    bench.whole()
    bench.g.start()
    bench.arrive(pair)
    bench.nobody_noticed(lost=3 * CLIENTS)


def test_an_error_under_the_freeze(bench):
    bench.g.stop(signal.SIGKILL)
    pair = bench.want()
    bench.g.start(wait=False, env={"GRAYLING_FAULT": "swap.frozen:2:error:EIO"})
    assert not bench.await_end()
    m = bench.g.module("pay")
    assert m["reason"] == "StateHandoverFailed" and m["stable"]["version"] != pair[0], m
    bench.g.stop(signal.SIGKILL)
    bench.whole()
    bench.g.start()
    bench.arrive(pair)
    bench.nobody_noticed()


def kill_a_worker(supervisor, chance):
    """Any of them. Other children come and go meanwhile, and so may the one that was chosen."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        workers = []
        for pid in pathlib.Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text() == "grayling-worker\n":
                    workers.append(int(pid))
        with contextlib.suppress(ProcessLookupError):
            if workers:
                return os.kill(chance.choice(workers), signal.SIGKILL)
    raise AssertionError("there is no worker")


def test_workers_are_killed_at_random_instants(bench):
    """Twenty times, during a release, any worker that there is: the one that serves or one that is being built."""
    chance = random.Random(1812)
    for _ in range(20):
        pair = bench.want()
        bench.traffic.await_turns(chance.randrange(1, 200))
        kill_a_worker(bench.g.process.pid, chance)
        bench.arrive(pair)
        bench.nobody_noticed(lost=CLIENTS)
