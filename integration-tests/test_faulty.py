"""Modules that misbehave once they serve: whatever a call does, it is blamed, taken back and convicted, and the version before answers."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import pytest

from harness import BUILD, MODULES, SOURCE, Etcd, Footprint, Grayling, Traffic

POKE = "com.example.faulty.FaultyService/Poke"
ECHO = "com.example.echo.EchoService/Echo"
STABLE, NEXT = MODULES / "faulty-1.0.0.so", MODULES / "faulty-1.1.0.so"
CLIENTS = 2
SANITIZED = b"__asan_init" in (BUILD / "grayling-worker").read_bytes()


class Bench:
    """A supervisor that serves faulty 1.0.0 and echo; each release of faulty 1.1.0 has a digest of its own, since they end convicted."""

    def __init__(self, g):
        self.g, self.releases = g, 0

    def release(self, config, **strategy):
        self.releases += 1
        path = self.g.incoming / f"build-{self.releases}.so"
        path.write_bytes(NEXT.read_bytes() + str(self.releases).encode())
        document = self.g.document(path, version="1.1.0", config=config, strategy=strategy)
        self.g.want({"faulty": document})
        return document

    def back(self, document, reason, *words):
        """It is taken back: told with all words, convicted, the version before is in force, and a second try is refused."""
        ev = self.g.wait_phase("faulty", "RolledBack")
        assert ev["reason"] == reason and all(w in ev["message"] for w in words), ev
        m = self.g.module("faulty")
        assert (m["phase"], m["reason"], m["stable"]["version"], m["candidate"]) == ("Degraded", reason, "1.0.0", None), m
        r = subprocess.run([BUILD / "grayctl", "--control", self.g.run / "control.sock", "status", "faulty"], capture_output=True, text=True)
        assert r.returncode == 4 and reason in r.stdout, (r.returncode, r.stdout)
        if reason == "Crashed":
            r = subprocess.run([BUILD / "grayctl", "--control", self.g.run / "control.sock", "explain", "faulty"], capture_output=True, text=True)
            assert "\nfault: " in r.stdout and " 1.1.0: " in r.stdout, r.stdout
            assert "\nbacktrace: " in r.stdout or "ended with" in r.stdout, r.stdout  # who exits leaves no frames
        self.check_convicted(document, reason)
        return ev

    def check_convicted(self, document, reason):
        convicted = {c["hash"]: c for c in self.g.status()["quarantine"]}
        c = convicted[document["version_hash"]]
        assert (c["module"], c["version"], c["reason"]) == ("faulty", "1.1.0", reason), c
        self.g.want({"faulty": {**document, "reason": "once more"}})
        ev = self.g.wait_phase("faulty", "Rejected")
        assert ev["reason"] == "Quarantined" and "grayctl quarantine lift sha256:" in ev["message"], ev

    def well(self):
        self.g.want({"faulty": self.g.document(STABLE, reason=f"after {self.releases}")})
        self.g.wait_phase("faulty", "Healthy")
        assert self.g.module("faulty")["phase"] == "Healthy"


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        root = pathlib.Path(d)
        etcd, worker = Etcd(root), None
        (root / "g").mkdir()
        g = Grayling(root / "g", etcd)
        try:
            g.start().deploy("faulty", STABLE)
            g.deploy("echo", MODULES / "echo-1.0.0.so")
            yield Bench(g)
            assert g.stop() == 0, g.log()
        finally:
            worker = g.kill()
            if worker:
                os.kill(worker, signal.SIGKILL)
            etcd.stop()


CONTAINED = {  # the call ends, the worker lives on until a fresh one is there: nobody loses a request
    "handle-crash": ("SIGSEGV", "address 0x0"),
    "handle-div0": ("SIGFPE",),
    "handle-illegal": ("SIGILL",),
    "handle-bus": ("SIGBUS",),
    "handle-stack-overflow": ("SIGSEGV",),
    "handle-abort": ("abort(), code at ", "Poke"),
    "handle-assert": ("faulty-modes.c:", "assertion 'atomic_load(&f->calls) == 0", "Poke"),
}
DEADLY = {  # the worker ends with it; the calls in flight are lost, and only those
    "handle-exit": ("status 0", "Poke"),
    "heap-corrupt": ("the worker ended with", "Poke"),
    "thread": ("signal 11",),
    "libc-crash": ("SIGSEGV" if SANITIZED else "signal 11",),  # strlen() is the sanitizer's own there, and inlined
}
HARMLESS = {"none", "handle-slow", "handle-busy"}  # tried by name below and in the refusals
OVERDUE = {"handle-hang", "handle-spin"}  # test_overdue.py
LEAKS = {"leak-fd", "leak-mem", "leak-thread"}  # the drills leak-of-*
ATTACKS = {"escape", "scribble"}  # test_attacks.py


@pytest.mark.parametrize("mode", [*CONTAINED, *DEADLY])
def test_a_call_that_ends_badly(bench, mode):
    g, left = bench.g, Footprint(bench.g)
    with Traffic(g, POKE, clients=CLIENTS) as t, Traffic(g, ECHO, clients=1) as other:
        document = bench.release({"mode": mode, "every": 20}, bake="5m")
        bench.back(document, "Crashed", "faulty 1.1.0", "request " if mode in CONTAINED else "expected it to",
                   "quarantined: publish a mended", *{**CONTAINED, **DEADLY}[mode])
        codes, versions, lost = t.take()
        assert set(codes) == {200} and set(versions) == {"1.0.0", "1.1.0"}, (codes, versions, lost)
        others = other.take()
        if mode in CONTAINED:
            assert lost == [] and others[2] == [] and set(others[0]) == {200}, (lost, others)
        else:  # one worker died: at most one call of each client was in flight, and the listening socket never refused
            assert len(lost) <= CLIENTS and len(others[2]) <= 1 and not any("refused" in x.lower() for x in lost + others[2]), (lost, others)
        t.assert_served("1.0.0")
    bench.well()
    left.assert_left()


def test_every_mode_is_named_here_or_in_the_refusals():
    source = (SOURCE / "modules" / "faulty" / "faulty-modes.c").read_text()
    modes = set(re.findall(r'\{"([a-z0-9-]+)", FAULTY_', source))
    named = {m for m in modes if f'"{m}"' in (SOURCE / "integration-tests" / "test_refusals.py").read_text()}
    assert len(modes) > 20 and modes - named - {*CONTAINED, *DEADLY, "handle-error"} - HARMLESS - OVERDUE - LEAKS - ATTACKS == set()


def test_an_error_rate(bench):
    left = Footprint(bench.g)
    with Traffic(bench.g, POKE, clients=CLIENTS) as t:
        document = bench.release({"mode": "handle-error", "every": 4}, bake="5m")
        bench.back(document, "ErrorRateRegressed", "faulty 1.1.0 failed ", "expected at most ", "Publish a mended build")
        t.take()
        t.assert_served("1.0.0")
    bench.well()
    left.assert_left()


def test_a_call_that_outlasts_the_freeze(bench):
    """The old version is inside a call when the table should change: the budget ends, the gates open on the old table, and the same works later."""
    g = bench.g
    slow_build = g.incoming / "slow.so"
    slow_build.write_bytes(STABLE.read_bytes() + b"slow")
    g.deploy("faulty", slow_build, version="1.0.0", config={"mode": "handle-slow", "usec": 1500000})
    with Traffic(g, ECHO, clients=1) as other, Traffic(g, POKE, clients=1) as slow:
        document = bench.release({}, freeze_budget="20ms")
        ev = g.wait_phase("faulty", "RolledBack")
        assert ev["reason"] == "FreezeTimeout", ev
        for word in ("asked to freeze module", "within 20ms", "still inside module faulty, method", "for ", "nothing has changed", "raise freeze_budget"):
            assert word in ev["message"], ev
        m = g.module("faulty")
        assert (m["phase"], m["reason"], m["stable"]["version"]) == ("Degraded", "FreezeTimeout", "1.0.0")
        assert document["version_hash"] not in [c["hash"] for c in g.status()["quarantine"]]
        other.assert_served("1.0.0")
        slow.assert_served("1.0.0")
        bench.release({}, freeze_budget="10s")
        g.wait_phase("faulty", "Healthy")
        other.assert_served("1.0.0")
        slow.assert_served("1.0.0", "1.1.0")
    g.deploy("faulty", STABLE)


def test_an_operator_takes_it_back(bench):
    left = Footprint(bench.g)
    with Traffic(bench.g, POKE, clients=CLIENTS) as t:
        document = bench.release({}, bake="5m")
        bench.g.wait_event(lambda e: e["module"] == "faulty" and e["phase"] == "Baking")
        code, _ = bench.g.control("/v1/modules/faulty/undo", "POST", {"actor": "alice", "reason": "PAY-1182"})
        assert code == 200
        ev = bench.g.wait_phase("faulty", "RolledBack")
        assert ev["reason"] == "OperatorAbort" and "alice took rollout" in ev["message"] and "PAY-1182" in ev["message"], ev
        assert document["version_hash"] not in [c["hash"] for c in bench.g.status()["quarantine"]]
        t.assert_served("1.0.0", "1.1.0")
        t.assert_served("1.0.0")
    bench.well()
    left.assert_left()


BIG = 16 << 20  # more than the journal keeps in reserve for its own last words


def test_a_full_disk(make, etcd):
    """The state directory is a small file system of its own, filled to the brim: the release is refused, stable serves, and room heals it."""
    g = make(etcd)
    g.state.mkdir()
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", g.state], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    g.wrapper = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=40m none {g.state} && exec "$@"', "sh"]
    g.start().deploy("faulty", STABLE)
    state = pathlib.Path(f"/proc/{g.process.pid}/root{g.state}")
    big = g.incoming / "big.so"
    big.write_bytes(NEXT.read_bytes() + bytes(BIG))
    before = sorted(p.name for p in (state / "store").iterdir())
    with Traffic(g, POKE, clients=CLIENTS) as t, open(state / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
        g.want({"faulty": g.document(big, version="1.1.0")})
        ev = g.wait_phase("faulty", "Rejected")
        assert ev["reason"] == "DiskFull" and ("ree some space" in ev["message"] or "make room" in ev["message"]), ev
        t.assert_served("1.0.0")
        assert sorted(p.name for p in (state / "store").iterdir()) == before
        (state / "filler").unlink()
        filler.truncate(0)
        g.want({"faulty": g.document(big, version="1.1.0", reason="there is room")})
        g.wait_phase("faulty", "Healthy")
        t.assert_served("1.0.0", "1.1.0")
    assert g.stop() == 0
