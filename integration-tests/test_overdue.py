"""Calls that last, and calls that never end: nobody else waits for them, the client gets an answer, and whoever is to blame pays."""
import http.client
import json
import os
import threading

import pytest

from harness import MODULES, PATIENCE, Grayling, Traffic

POKE = "com.example.faulty.FaultyService/Poke"
ECHO = "com.example.echo.EchoService/Echo"
FAULTY = MODULES / "faulty-1.0.0.so"
SOON = "Dispatch.CallGrace=300ms"  # on top of the 250 ms that the method declares


@pytest.fixture
def make(tmp_path):
    made = []

    def new(*sets):
        made.append(Grayling(tmp_path, sets=sets).start())
        made[-1].deploy("echo", MODULES / "echo-1.0.0.so")
        return made[-1]

    yield new
    for g in made:
        assert g.stop() == 0, g.log()


def build(g, name):
    """A build of its own, since it ends convicted."""
    path = g.incoming / f"{name}.so"
    path.write_bytes(FAULTY.read_bytes() + name.encode())
    return path


def gone(pid):
    try:
        os.kill(pid, 0)
        return False
    except ProcessLookupError:
        return True


class Call(threading.Thread):
    """One request on a connection of its own."""

    def __init__(self, g, method, connection=None):
        super().__init__(daemon=True)
        self.g, self.method, self.connection, self.answer = g, method, connection, None
        self.start()

    def run(self):
        self.answer = self.g.call(self.method, connection=self.connection)

    def wait(self):
        self.join(PATIENCE)
        assert self.answer, "the call was not answered\n" + self.g.log()
        return self.answer


def in_flight(g, n):
    g.until(lambda: f'grayling_requests_in_flight{{module="faulty",version="1.0.0"}} {n}' in g.metrics())


def test_a_call_that_lasts_holds_nobody_up(make):
    """With one lane: the call of each connection is answered while the one before it is still under way."""
    g = make("Dispatch.Threads=1", "Dispatch.CallGrace=1h")
    g.deploy("faulty", FAULTY, config={"mode": "handle-slow", "usec": 8000000})
    open_before = http.client.HTTPConnection("127.0.0.1", g.port, timeout=PATIENCE)
    assert g.call(ECHO, connection=open_before)[0] == 200
    slow = [Call(g, POKE), Call(g, POKE)]
    in_flight(g, 2)  # on one lane
    for _ in range(3):
        assert g.call(ECHO, connection=open_before)[0] == 200
        assert g.call(ECHO)[0] == 200
    assert not any(s.answer for s in slow)
    open_before.close()
    for s in slow:
        status, headers, body = s.wait()
        assert (status, body, headers["x-grayling-version"]) == (200, b"{}", "1.0.0"), (status, headers, body)
    assert g.module("faulty")["fault"] is None


@pytest.mark.parametrize("mode", ["handle-hang", "handle-spin"])
def test_a_stable_version_that_hangs(make, mode):
    """Its client is answered, its worker replaced and gone, and everybody else is served meanwhile."""
    g = make("Dispatch.Threads=1", SOON)
    g.deploy("faulty", build(g, "stable"), version="1.0.0", config={"mode": mode})
    before = g.status()["worker"]["pid"]
    with Traffic(g, ECHO, clients=2) as others:
        status, headers, body = Call(g, POKE).wait()
        assert status == 504 and json.loads(body)["code"] == "deadline_exceeded", (status, body)
        assert (headers["x-grayling-module"], headers["x-grayling-version"], headers["x-grayling-role"]) == ("faulty", "1.0.0", "stable")
        ev = g.wait_event(lambda e: e["reason"] == "CallTimeout")
        assert all(w in ev["message"] for w in ("faulty 1.0.0 was given up in " + POKE, "had not ended", "expected it to return before its deadline", "The worker is replaced")), ev
        g.until(lambda: (g.status()["worker"] or {}).get("pid") not in (None, before) and gone(before), lambda: f"worker {before} is still there")
        codes, _, lost = others.take()
        assert set(codes) == {200} and lost == [], (codes, lost)
    m = g.module("faulty")
    assert m["fault"]["kind"] == "timeout" and m["fault"]["method"] == POKE and m["fault"]["request_id"] == headers["x-request-id"], m["fault"]
    assert m["stable"]["version"] == "1.0.0" and g.status()["quarantine"] == []
    assert 'grayling_faults_total{module="faulty",version="1.0.0",kind="timeout"} 1' in g.metrics()


def test_calls_that_hang_open_the_breaker(make):
    """Each is told, also by a worker that drains already and ends with the last of them; those do not count for the next worker's breaker."""
    g = make(SOON, "Dispatch.BreakerBackoff=1h")
    g.deploy("faulty", build(g, "stable"), version="1.0.0", config={"mode": "handle-hang"})
    calls = [Call(g, POKE) for _ in range(3)]
    assert [c.wait()[0] for c in calls] == [504] * 3
    for _ in calls:
        g.wait_event(lambda e: e["reason"] == "CallTimeout")
    g.until(lambda: b"breaker is open" in g.call(POKE)[2])
    g.wait_event(lambda e: e["message"].startswith("the breaker of faulty 1.0.0 is open"), after=0)
    assert g.call(ECHO)[0] == 200


def test_a_candidate_that_hangs(make):
    """It is taken back for it and convicted; only the calls that it kept are answered late."""
    g = make(SOON)
    g.deploy("faulty", FAULTY)
    with Traffic(g, POKE, clients=2) as t, Traffic(g, ECHO, clients=1) as others:
        document = g.document(MODULES / "faulty-1.1.0.so", config={"mode": "handle-hang", "every": 20}, strategy={"bake": "5m"})
        g.want({"faulty": document})
        ev = g.wait_phase("faulty", "RolledBack")
        assert ev["reason"] == "CallTimeout" and "faulty 1.1.0" in ev["message"] and "quarantined" in ev["message"], ev
        g.until(lambda: g.module("faulty")["stable"]["version"] == "1.0.0" and not g.module("faulty")["candidate"])
        codes, versions, lost = t.take()
        assert set(codes) == {200, 504} and lost == [] and set(versions) == {"1.0.0", "1.1.0"}, (codes, versions, lost)
        t.assert_served("1.0.0")
        others.assert_served("1.0.0")
    convicted = {c["hash"]: c["reason"] for c in g.status()["quarantine"]}
    assert convicted == {document["version_hash"]: "CallTimeout"}, convicted
