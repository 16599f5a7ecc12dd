"""Stable versions that fault: the evidence, the breaker across workers, what health and status say, and the way out of it."""
import http.client
import re
import subprocess

import pytest

from harness import BUILD, MODULES, PATIENCE, Grayling

POKE = "com.example.faulty.FaultyService/Poke"
ECHO = "com.example.echo.EchoService/Echo"
FAULTY = MODULES / "faulty-1.0.0.so"


def start(root, *sets):
    return Grayling(root, sets=sets).start()


def deploy(g, config, name="faulty"):
    """A build of its own for each, since what faults may end convicted."""
    build = g.incoming / f"{name}-build.so"
    build.write_bytes(FAULTY.read_bytes() + name.encode())
    g.deploy("faulty", build, version="1.0.0", config=config)


def page(g, name):
    c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=PATIENCE)
    try:
        c.request("GET", f"/-/{name}")
        r = c.getresponse()
        return r.status, r.read().decode()
    finally:
        c.close()


def worker(g):
    w = g.status()["worker"]
    return w and w["pid"]


def poke_and_await_the_next_worker(g, status):
    """The worker in which something faulted, or that died of it, is replaced by another."""
    before = worker(g)
    assert g.call(POKE)[0] == status
    g.until(lambda: worker(g) not in (None, before), lambda: f"worker {before} was not replaced")


def build_id(path):
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
    return re.search(r"Build ID: ([0-9a-f]+)", notes)[1]


def ctl(g, *args):
    return subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *args], capture_output=True, text=True)


def check_open(g):
    status, _, body = g.call(POKE)
    assert (status, b'"code":"unavailable"' in body, b"breaker is open" in body) == (503, True, True), body
    assert g.call(ECHO)[0] == 200
    status, text = page(g, "ready")
    assert status == 503 and "faulty 1.0.0: breaker open, half-open in " in text, text
    status, text = page(g, "healthy")
    assert status == 200 and "degraded\nfaulty 1.0.0: breaker open" in text, text
    m = g.module("faulty")
    assert (m["phase"], m["reason"], m["stable"]["breaker"]["state"]) == ("Degraded", "Crashed", "open"), m
    assert "the breaker of faulty 1.0.0 is open" in m["message"] and "grayctl undo faulty" in m["message"], m
    assert 'grayling_breaker_state{module="faulty",version="1.0.0"} 2' in g.metrics()


def test_three_faults_open_the_breaker_of_stable(tmp_path):
    """Each fault replaces the worker: the third opens the breaker all the same, and the worker after it begins with an open one."""
    g = start(tmp_path, "Dispatch.BreakerBackoff=1h")
    try:
        g.deploy("echo", MODULES / "echo-1.0.0.so")
        deploy(g, {"mode": "handle-assert"})
        for _ in range(3):
            poke_and_await_the_next_worker(g, 500)
        ev = g.wait_event(lambda e: e["message"].startswith("the breaker of faulty 1.0.0 is open: 3 faults within 1m"), after=0)
        assert ev["reason"] == "Crashed" and ev["module"] == "faulty", ev
        check_open(g)
        fault = g.module("faulty")["fault"]
        assert fault["kind"] == "assert" and fault["detail"].startswith("faulty-modes.c:"), fault
        assert (fault["version"], fault["method"], fault["build_id"]) == ("1.0.0", POKE, build_id(FAULTY)), fault
        assert re.fullmatch(r"faulty-1\.0\.0-[0-9a-f]+\.so\+0x[0-9a-f]+", fault["frames"][0]) and fault["request_id"], fault
        assert 'grayling_faults_total{module="faulty",version="1.0.0",kind="assert"} 3' in g.metrics()
        shown = ctl(g, "get", "faulty", "-o", "wide").stdout
        for word in ("Breaker", "open, 3 faults lately", "3 assert", fault["frames"][0], fault["build_id"], fault["request_id"]):
            assert word in shown, (word, shown)
        assert fault["request_id"] in g.log() and '"backtrace":"' + fault["frames"][0] in g.log()
        r = ctl(g, "worker", "replace")  # also on demand
        assert r.returncode == 0, r
        deploy(g, {}, "mended")
        assert page(g, "ready") == (200, "ok\n") and g.call(POKE)[0] == 200
        assert g.module("faulty")["phase"] == "Healthy"
        assert g.stop() == 0, g.log()
    finally:
        g.kill()


def test_deaths_count_too(tmp_path):
    """What is not contained kills the worker; the breaker keeps it from doing so for ever."""
    g = start(tmp_path, "Dispatch.BreakerBackoff=1h", "Dispatch.BreakerFaults=2")
    try:
        g.deploy("echo", MODULES / "echo-1.0.0.so")
        deploy(g, {"mode": "handle-exit"})
        for _ in range(2):
            before = worker(g)
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                g.call(POKE)
            g.until(lambda: worker(g) not in (None, before))
        g.wait_event(lambda e: e["message"].startswith("the breaker of faulty 1.0.0 is open: 2 faults within 1m"), after=0)
        check_open(g)
        fault = g.module("faulty")["fault"]
        assert (fault["kind"], fault["detail"], fault["method"]) == ("death", "the worker ended with status 0", POKE), fault
        assert 'grayling_faults_total{module="faulty",version="1.0.0",kind="death"} 2' in g.metrics()
        assert g.stop() == 0, g.log()
    finally:
        g.kill()


def test_a_probe_closes_it(tmp_path):
    """Half-open after the back-off: health lets requests come again, the first that is answered closes it."""
    g = start(tmp_path, "Dispatch.BreakerBackoff=300ms", "Dispatch.BreakerFaults=1")
    try:
        deploy(g, {"mode": "handle-crash", "every": 2})  # the first call of each worker is answered
        assert g.call(POKE)[0] == 200
        poke_and_await_the_next_worker(g, 500)
        g.wait_event(lambda e: e["message"].startswith("the breaker of faulty 1.0.0 is open: 1 faults"), after=0)
        g.until(lambda: page(g, "ready")[0] == 200, lambda: str(page(g, "ready")))
        assert "breaker half-open" in page(g, "ready")[1]
        assert g.call(POKE)[0] == 200
        g.wait_event(lambda e: "the breaker of faulty 1.0.0 is closed" in e["message"], after=0)
        assert page(g, "ready") == (200, "ok\n") and g.module("faulty")["phase"] == "Healthy"
        assert g.stop() == 0, g.log()
    finally:
        g.kill()
