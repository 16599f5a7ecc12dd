"""Modules in Go and Rust: refused, released, replaced and taken back as any other; a panic in a call costs that call, and a process that leaks is found."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from harness import BUILD, MODULES, Grayling, Traffic, sha256

GO, RUST = "com.example.echogo.EchoService", "com.example.echorust.EchoService"
POKE = "com.example.faulty.FaultyService/Poke"
APART = MODULES / "faulty-1.2.0.so"
ROUNDS = 10
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def g():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        g = Grayling(d, sets=["Dispatch.BreakerBackoff=1s"])
        try:
            g.start().deploy("echo", MODULES / "echo-1.0.0.so")
            yield g
            assert g.stop() == 0, g.log()
        finally:
            g.kill()


def built(name):
    path = MODULES / name
    if not path.exists():
        pytest.skip(f"{name} was not built: the toolchain is missing")
    return path


def worker(g):
    return g.status()["worker"]["pid"]


def process(g, module):
    return g.module(module)["stable"]["pid"]


def count(pid, what):
    return len(os.listdir(f"/proc/{pid}/{what}"))


def family(pid):
    """All that descend from a process."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()):
                found += [child, *family(child)]
    return found


def ask(g, method, body):
    status, headers, answer = g.call(method, body, headers=JSON)
    return status, headers["x-grayling-version"], answer


def panics(g, service):
    status, _, answer = ask(g, f"{service}/Panic", b'"out of luck"')
    assert status == 500 and json.loads(answer) == {"code": "internal", "message": 'panic: "out of luck"'}, (status, answer)


def test_go_serves_and_panics_in_its_own_process(g):
    g.deploy("echo-go", built("echo-go-1.0.0.so"))
    before, at = process(g, "echo-go"), worker(g)
    assert before in family(at)
    assert ask(g, f"{GO}/Echo", b'{"n":1}') == (200, "1.0.0", b'{"n":1}')
    for _ in range(ROUNDS):
        panics(g, GO)
    assert ask(g, f"{GO}/Echo", b'{"n":2}') == (200, "1.0.0", b'{"n":2}')
    assert (process(g, "echo-go"), worker(g)) == (before, at)
    assert "handle panicked: " in g.log() and "main.go:" in g.log()


def test_a_panic_of_a_goroutine_ends_that_process_alone(g):
    built("echo-go-1.0.0.so")
    before, at = process(g, "echo-go"), worker(g)
    status, _, answer = ask(g, f"{GO}/PanicElsewhere", b'"gone"')
    assert status == 500, (status, answer)
    g.until(lambda: process(g, "echo-go") not in (0, before))
    assert worker(g) == at and before not in family(at)
    assert ask(g, f"{GO}/Echo", b'{"n":3}') == (200, "1.0.0", b'{"n":3}')
    assert g.module("echo-go")["stable"]["faults"] == 1, g.module("echo-go")


def test_replaced_ten_times_under_traffic(g):
    """Each replacement is another process, and nothing of the ones before is left: no process, no thread and no descriptor of the worker."""
    first, second = built("echo-go-1.0.0.so"), built("echo-go-1.1.0.so")
    at = worker(g)

    def replace(so):  # a busy machine lets a call lie for longer than the budget of a freeze
        g.deploy("echo-go", so, strategy={"bake": "300ms", "freeze_budget": "5s"})

    with Traffic(g, f"{GO}/Echo", b'{"n":4}', clients=2) as t:
        replace(second)
        replace(first)  # both have been here once
        t.take()
        held, threads, processes = count(at, "fd"), count(at, "task"), len(family(at))
        seen = {process(g, "echo-go")}
        for i in range(ROUNDS):
            replace(first if i % 2 else second)
            t.assert_served("1.0.0", "1.1.0")
            seen.add(process(g, "echo-go"))
        assert len(seen) == ROUNDS + 1
        g.until(lambda: len(family(at)) <= processes and count(at, "task") <= threads and count(at, "fd") <= held,
                lambda: f"{len(family(at))} processes, expected {processes}; {count(at, 'task')} threads, {threads}; {count(at, 'fd')} descriptors, {held}")
    assert worker(g) == at


def test_go_without_a_process_of_its_own_is_refused(g, tmp_path):
    """The same package, with a contract that forgot it: told by verify, and by the host."""
    built("echo-go-1.0.0.so")
    refused = MODULES / "faulty-go-1.0.0.so"
    r = subprocess.run([BUILD / "grayctl", "verify", refused], capture_output=True, text=True)
    assert r.returncode == 5 and "written in Go" in r.stderr and "isolation: process" in r.stderr, r
    copy = g.incoming / "forgot.so"
    shutil.copyfile(refused, copy)
    g.want({"faulty-go": {"version": "1.0.0", "version_hash": sha256(copy), "source": [f"file://{copy}"]}})
    ev = g.wait_phase("faulty-go", "Rejected")
    assert ev["reason"] == "AbiIncompatible" and "isolation: process" in ev["message"], ev


def test_rust_serves_and_panics_in_the_worker_and_apart(g):
    g.deploy("echo-rust", built("echo-rust-1.0.0.so"))
    at = worker(g)
    assert ask(g, f"{RUST}/Echo", b'{"n":1}') == (200, "1.0.0", b'{"n":1}')
    for _ in range(ROUNDS):
        panics(g, RUST)
    g.deploy("echo-rust", built("echo-rust-1.1.0.so"))
    assert ask(g, f"{RUST}/Echo", b'{"n":2}') == (200, "1.1.0", b'{"n":2}')
    g.deploy("echo-rust", built("echo-rust-1.2.0.so"))
    apart = process(g, "echo-rust")
    assert apart in family(at)
    panics(g, RUST)
    assert ask(g, f"{RUST}/Echo", b'{"n":3}') == (200, "1.2.0", b'{"n":3}')
    assert (worker(g), process(g, "echo-rust")) == (at, apart) and "panicked: " in g.log() and "lib.rs:" in g.log()


def fresh(g, n, config, pause):
    """A build of faulty 1.2.0 with a digest of its own. Measured with each look, four a second, whatever the traffic is: a pause gives it time."""
    path = g.incoming / f"growth-{n}.so"
    path.write_bytes(APART.read_bytes() + str(n).encode())
    return g.document(path, version="1.2.0", config=config,
                      strategy={"steps": [{"weight": 50}, {"pause": {"duration": pause}}, {"weight": 100}], "bake": "1s", "deadline": "10m",
                                "analysis": {"error_rate": {"max_increase": 0.5}, "warm_up_requests": 80}})


def test_a_process_that_leaks_descriptors_is_taken_back(g):
    g.deploy("faulty", APART)
    with Traffic(g, POKE, clients=2) as t:
        g.want({"faulty": fresh(g, 1, {"mode": "leak-fd", "every": 100}, "5m")})
        ev = g.wait_phase("faulty", "RolledBack")
        t.await_turns(1)
    assert ev["reason"] == "ResourceLeak" and "descriptors per 10,000 requests" in ev["message"], ev
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "explain", "faulty"], capture_output=True, text=True)
    assert "descriptors" in r.stdout and "ResourceLeak" in r.stdout, r
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "replay", str(ev["rollout"])], capture_output=True, text=True)
    assert r.returncode == 0, r


def test_a_process_that_does_not_is_put_in_force(g):
    g.deploy("faulty", APART)
    with Traffic(g, POKE, clients=2):
        g.want({"faulty": fresh(g, 2, {}, "8s")})
        g.wait_phase("faulty", "Healthy")
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "explain", "faulty"], capture_output=True, text=True)
    assert "descriptors" in r.stdout, r
