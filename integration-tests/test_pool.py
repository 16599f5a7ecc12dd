"""`execution: pool`: calls that block wait for each other, and for nobody else does anybody wait."""
import http.client
import json
import subprocess
import threading

import pytest

from harness import BUILD, MODULES, PATIENCE, Grayling, Traffic

POKE = "com.example.faulty.FaultyService/Poke"
ECHO = "com.example.echo.EchoService/Echo"
POOL, NEXT, ISOLATED = (MODULES / f"faulty-{v}.so" for v in ("1.3.0", "1.4.0", "1.5.0"))
INLINE = MODULES / "faulty-1.0.0.so"
FOREVER = "Dispatch.CallGrace=1h"  # on top of the 250 ms that the method declares
SLOW = {"mode": "handle-slow", "usec": 10000000, "worker_only": True}


@pytest.fixture
def make(tmp_path):
    made = []

    def new(*sets):
        made.append(Grayling(tmp_path, sets=("Dispatch.Threads=1", *sets)).start())
        made[-1].deploy("echo", MODULES / "echo-1.0.0.so")
        return made[-1]

    yield new
    for g in made:
        assert g.stop() == 0, g.log()


class Calls:
    """So many requests at once, each on a connection of its own."""

    def __init__(self, g, n, headers=None):
        self.g, self.headers, self.answers = g, headers, [None] * n
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(n)]
        for t in self.threads:
            t.start()

    def _run(self, i):
        self.answers[i] = self.g.call(POKE, headers=self.headers)

    def wait(self):
        for t in self.threads:
            t.join(PATIENCE)
        assert all(self.answers), f"not answered: {self.answers}\n" + self.g.log()
        return self.answers

    def codes(self):
        return sorted(status for status, _, _ in self.wait())


def metric(g, name):
    return next((int(float(line.rsplit(" ", 1)[1])) for line in g.metrics().splitlines() if line.startswith(name + " ")), None)


def at_work(g, version, running, waiting):
    def holds():
        return (metric(g, f'grayling_requests_in_flight{{module="faulty",version="{version}"}}') == running and
                metric(g, "grayling_pool_waiting") == waiting)
    g.until(holds, lambda: "\n".join(x for x in g.metrics().splitlines() if "in_flight" in x or "pool" in x))


@pytest.mark.parametrize("so", [POOL, ISOLATED], ids=["in-the-worker", "isolated"])
def test_calls_that_block_leave_the_front_door_open(make, so):
    """With one lane and more blocked calls than lanes could be taken over for; an inline version holds that lane up (next test)."""
    g = make(FOREVER, "Dispatch.PoolThreads=20", "Dispatch.PoolQueue=10")
    version = so.stem.split("-")[1]
    g.deploy("faulty", so, config=SLOW)
    slow = Calls(g, 24)
    at_work(g, version, 20, 4)
    c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=PATIENCE)
    for _ in range(50):
        assert g.call(ECHO, connection=c)[0] == 200
        assert g.call(ECHO)[0] == 200
    c.close()
    assert not any(slow.answers)
    for status, headers, body in slow.wait():
        assert (status, body, headers["x-grayling-version"], headers["x-grayling-role"]) == (200, b"{}", version, "stable")
    at_work(g, version, 0, 0)
    assert g.module("faulty")["fault"] is None


def test_an_inline_version_that_blocks_does_not(make):
    """What the pool is for: 17 calls that block are one too many for one lane."""
    g = make(FOREVER)
    g.deploy("faulty", INLINE, config=SLOW)
    slow = Calls(g, 17)
    running = 'grayling_requests_in_flight{module="faulty",version="1.0.0"}'
    g.until(lambda: metric(g, running) == 17)
    assert g.call(ECHO)[0] == 200
    assert metric(g, running) < 17  # it had to wait for one of them
    assert slow.codes() == [200] * 17


def test_a_full_queue_is_said_at_once(make):
    g = make(FOREVER, "Dispatch.PoolThreads=2", "Dispatch.PoolQueue=3")
    g.deploy("faulty", POOL, config=SLOW)
    slow = Calls(g, 5)
    at_work(g, "1.3.0", 2, 3)
    status, headers, body = g.call(POKE)
    said = json.loads(body)
    assert status == 429 and said["code"] == "resource_exhausted" and "all threads of the module are busy" in said["message"], (status, body)
    assert headers["x-grayling-version"] == "1.3.0", headers
    assert not any(slow.answers)
    assert metric(g, 'grayling_pool_refused_total{reason="full"}') == 1
    assert metric(g, 'grayling_requests_total{module="faulty",version="1.3.0",code="resource_exhausted"}') == 1
    assert slow.codes() == [200] * 5
    assert g.call(POKE)[0] == 200  # there is room again
    assert g.module("faulty")["fault"] is None


def test_a_deadline_that_passes_in_the_queue(make):
    """It is told while the threads are still busy, and nobody is at fault."""
    g = make(FOREVER, "Dispatch.PoolThreads=1")
    g.deploy("faulty", POOL, config=SLOW)
    slow = Calls(g, 1)
    at_work(g, "1.3.0", 1, 0)
    status, _, body = g.call(POKE, headers={"connect-timeout-ms": "100"})
    said = json.loads(body)
    assert status == 504 and said["code"] == "deadline_exceeded" and "waited for one of its module's threads" in said["message"], (status, body)
    assert not any(slow.answers)
    assert metric(g, 'grayling_pool_refused_total{reason="late"}') == 1 and metric(g, "grayling_pool_waiting") == 0
    assert slow.codes() == [200]
    assert g.module("faulty")["fault"] is None and metric(g, 'grayling_requests_total{module="faulty",version="1.3.0",code="ok"}') == 1


def test_releases_while_calls_wait(make):
    """From inline to the pool, on to the next version, and back: under traffic nothing is lost, and what waited is answered by what is in force."""
    g = make("Dispatch.PoolThreads=2")
    quick = {"mode": "handle-slow", "usec": 2000, "worker_only": True}
    g.deploy("faulty", INLINE, config=quick)
    with Traffic(g, POKE, clients=8) as t, Traffic(g, ECHO, clients=1) as others:
        for so in (POOL, NEXT, POOL, INLINE):
            g.deploy("faulty", so, config=quick, strategy={"freeze_budget": "5s"})
            g.until(lambda: g.module("faulty")["stable"]["version"] == so.stem.split("-")[1])
            t.take()
            t.assert_served(so.stem.split("-")[1])
        codes, _, lost = others.take()
        assert set(codes) == {200} and lost == [], (codes, lost)
    g.wait_loaded(2)


def test_a_freeze_waits_for_what_runs_and_keeps_what_waits(make):
    """A release meets two calls at work and three that wait: the calls end in the old version, those that waited in the new one."""
    g = make(FOREVER, "Dispatch.PoolThreads=2")
    g.deploy("faulty", POOL, config={**SLOW, "usec": 8000000})  # longer than a release takes on a busy machine
    calls = Calls(g, 5)
    at_work(g, "1.3.0", 2, 3)
    g.deploy("faulty", NEXT, strategy={"freeze_budget": "10s"})
    answers = calls.wait()
    assert [a[0] for a in answers] == [200] * 5, answers
    by = sorted(a[1]["x-grayling-version"] for a in answers)
    assert by == ["1.3.0"] * 2 + ["1.4.0"] * 3, by


def test_a_fault_is_rescued_and_the_version_taken_back(make):
    g = make("Dispatch.PoolThreads=2")
    g.deploy("faulty", POOL)
    with Traffic(g, POKE, clients=4) as t:
        g.want({"faulty": g.document(NEXT, config={"mode": "handle-crash", "every": 20}, strategy={"bake": "5m"})})
        ev = g.wait_phase("faulty", "RolledBack")
        assert ev["reason"] == "Crashed", ev
        g.until(lambda: g.module("faulty")["stable"]["version"] == "1.3.0" and not g.module("faulty")["candidate"])
        codes, versions, lost = t.take()
        assert set(codes) == {200} and lost == [] and set(versions) == {"1.3.0", "1.4.0"}, (codes, versions, lost)
        t.assert_served("1.3.0")


def test_calls_that_never_end_give_their_place_back(make):
    """Those that wait behind them are answered, by a worker that is replaced meanwhile."""
    g = make("Dispatch.PoolThreads=1", "Dispatch.CallGrace=300ms", "Dispatch.BreakerFaults=0")
    before = g.status()["worker"]["pid"]
    g.deploy("faulty", POOL, config={"mode": "handle-hang", "every": 2, "worker_only": True})
    calls = Calls(g, 4)
    assert calls.codes() == [200, 200, 504, 504]
    late = next(a for a in calls.answers if a[0] == 504)
    assert late[1]["x-grayling-version"] == "1.3.0" and json.loads(late[2])["code"] == "deadline_exceeded"
    ev = g.wait_event(lambda e: e["reason"] == "CallTimeout")
    assert "faulty 1.3.0 was given up in " + POKE in ev["message"], ev
    g.until(lambda: (g.status()["worker"] or {}).get("pid") not in (None, before))
    assert g.call(ECHO)[0] == 200


def test_a_candidate_that_blocks_takes_its_own_threads(make):
    """And a request keeps its cohort while it waits: of ten turns the candidate gets exactly its share."""
    g = make(FOREVER, "Dispatch.PoolThreads=1")
    g.deploy("faulty", POOL)
    steps = [{"weight": 50}, {"pause": {}}, {"weight": 100}]
    g.want({"faulty": g.document(NEXT, config={**SLOW, "usec": 6000000}, strategy={"steps": steps, "analysis": {"min_requests": 100000}})})
    g.wait_phase("faulty", "Paused")
    calls = Calls(g, 10)
    at_work(g, "1.4.0", 1, 4)
    g.until(lambda: sum(1 for a in calls.answers if a) == 5)
    assert {a[1]["x-grayling-role"] for a in calls.answers if a} == {"stable"}
    g.want({"faulty": g.document(POOL)})  # the rollout is over; who still waits is stable's
    roles = sorted(a[1]["x-grayling-role"] for a in calls.wait())
    assert calls.codes() == [200] * 10 and roles == ["candidate"] + ["stable"] * 9, roles


def warned(g, *words):
    """The warnings of a verb that refuses nothing."""
    control = g.run / "control.sock" if g else "/nowhere/control.sock"
    r = subprocess.run([BUILD / "grayctl", "--control", control, *words], capture_output=True, text=True)
    assert r.returncode == 0, r
    return [line for line in r.stderr.splitlines() if "execution: pool" in line]


def test_who_is_run_there_unasked_is_told(make, tmp_path):
    g, files = make(), {}
    for so in ("auth-1.0.0", "auth-1.1.0", "pay-1.0.0", "pay-1.1.0"):
        files[so] = tmp_path / so / f"{so.partition('-')[0]}.json"
        files[so].parent.mkdir()
        files[so].write_text(json.dumps(g.document(MODULES / f"{so}.so")))
    pay, auth = files["pay-1.1.0"], files["auth-1.1.0"]
    said = ("warning: pay: pay 1.1.0 declares execution: inline and can call com.example.auth.TokenValidator of auth 1.1.0, which declares execution: pool: "
            "each request to pay, whether it makes that call or not, is handed to the pool's threads")
    # no host answers: by the files alone
    assert warned(None, "lint", pay) == warned(None, "lint", auth) == warned(None, "verify", MODULES / "pay-1.1.0.so") == []
    alone = warned(None, "lint", pay, auth)
    assert [line.split(": ")[1] for line in alone] == ["pay", "auth"] and all(said.partition("pay: ")[2] in line for line in alone)
    # a host does: by what it serves
    for words in (("lint", pay), ("plan", "-f", pay), ("verify", MODULES / "pay-1.1.0.so")):
        assert warned(g, *words) == []
    g.deploy("auth", MODULES / "auth-1.1.0.so")
    for words in (("lint", pay), ("plan", "-f", pay), ("verify", MODULES / "pay-1.1.0.so")):
        line, = warned(g, *words)
        assert line.startswith(said) and "Let pay declare execution: pool" in line
    for words in (("lint", files["pay-1.0.0"]), ("lint", pay, files["auth-1.0.0"]), ("plan", "-f", auth)):
        assert warned(g, *words) == []
    g.deploy("auth", MODULES / "auth-1.0.0.so")
    g.deploy("pay", MODULES / "pay-1.1.0.so")
    for words in (("lint", auth), ("plan", "-f", auth), ("verify", MODULES / "auth-1.1.0.so")):
        line, = warned(g, *words)
        assert line.startswith("warning: auth: pay 1.1.0 declares execution: inline")
