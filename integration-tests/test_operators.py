"""Operators at work: orders by etcd and by the control socket, races between two of them, going back, and being told why."""
import base64
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import threading

import pytest

from harness import BUILD, MODULES, PATIENCE, Traffic, UnixHTTP, b64
from output_schema import check

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
GATE = {"pause": {}}
ERRORS = {"error_rate": {"max_increase": 0.005}}  # latencies on a machine that does other things are no matter of these tests
RACES = int(os.environ.get("GRAYLING_RACES", "1000"))


def ladder(*steps, **more):
    return {"steps": [*steps, {"weight": 100}], "bake": "300ms", "analysis": ERRORS, **more}


def document(g, version, *steps, reason="", module="pay", **strategy):
    return g.document(MODULES / f"{module}-{version}.so", strategy=ladder(*steps, **strategy), reason=reason or version)


def want(g, version, *steps, **more):
    g.want({"pay": document(g, version, *steps, **more)})


def wait_step(g, text, module="pay"):
    return g.wait_event(lambda e: e["module"] == module and text in e["message"])


def rollout(g):
    return g.module("pay")["rollout"]


def grayctl(g, *words, actor="alice", stdin=None):
    return subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *map(str, words)], capture_output=True, text=True,
                          env=dict(os.environ, SUDO_USER=actor), input=stdin, timeout=PATIENCE)


def versions(g, n=10):
    return {g.call(CHARGE, BODY)[1]["x-grayling-version"] for _ in range(n)}


def desired(g, module="pay"):
    return json.loads(g.etcd.get(g.key(module)))


def intent_key(module="pay"):
    return f"/grayling/v1/order/intents/{module}"


class Intents:
    """Writes intents as grayctl does: compare-and-swap on what was read."""

    def __init__(self, g, module="pay"):
        self.g, self.key = g, b64(intent_key(module))
        self.path = f"/v1/modules/{module}"

    def read(self):
        kvs = self.g.etcd.post("kv/range", {"key": self.key}).get("kvs", [])
        return (int(kvs[0]["mod_revision"]), json.loads(base64.b64decode(kvs[0]["value"]))) if kvs else (0, None)

    def write(self, expected, **intent):
        """The revision when it was written; what stands there instead when it was not."""
        answer = self.g.etcd.post("kv/txn", {
            "compare": [{"key": self.key, "target": "MOD", "mod_revision": str(expected)}],
            "success": [{"request_put": {"key": self.key, "value": b64(json.dumps(intent))}}]})
        return int(answer["header"]["revision"]) if answer.get("succeeded") else None

    def result(self, revision):
        """What the host made of the intent of that revision; waits until it took one up that is as new."""
        m = self.g.module(self.path.rpartition("/")[2])
        while not m["intent"] or m["intent"]["revision"] < revision:
            m = self.g.control(f"{self.path}?after={m['generation']}&wait=60s")[1]
        return next(i for i in m["intents"] if i["revision"] == revision)

    def order(self, verb, r, actor="alice", **more):
        revision = self.write(self.read()[0], verb=verb, rollout=r["id"], step=r["step"], actor=actor, reason="PAY-7", **more)
        return self.result(revision)


@pytest.fixture
def g(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    return grayling


# --- intents ---------------------------------------------------------------------------------------------


def test_an_intent_in_etcd_is_obeyed_once(g):
    want(g, "1.1.0", {"weight": 1}, GATE, GATE)
    wait_step(g, "step 2 of 4")
    intents, r = Intents(g), rollout(g)
    done = intents.order("promote", r)
    assert done["result"] == "applied" and done["verb"] == "promote" and done["actor"] == "alice"
    assert rollout(g)["step"] == 2
    lost = intents.order("promote", r, actor="bob")
    assert lost["result"] == "refused" and rollout(g)["step"] == 2
    assert "alice ordered promote at step 2 at 20" in lost["message"] and "step 3 now" in lost["message"], lost
    ev = g.wait_event(lambda e: "was refused" in e["message"])
    assert ev["module"] == "pay" and "bob's promote" in ev["message"]
    assert intents.order("pause", rollout(g))["result"] == "applied"
    g.until(lambda: (json.loads(g.etcd.get(g.status_key("pay")))["intent"] or {}).get("verb") == "pause")
    status, _ = g.control("/v1/modules/pay/resume", "POST", {"actor": "carol"})
    assert status == 200 and rollout(g)["held_by"] is None
    g.process.kill()
    g.process.wait()
    g.start()  # the key still says pause, and its rollout and step fit
    m = g.module("pay")
    assert m["rollout"]["held_by"] is None and m["rollout"]["step"] == 2 and m["intent"]["result"] == "applied"
    assert intents.order("promote", rollout(g))["result"] == "applied"


def test_what_is_no_intent_is_refused_and_hurts_nothing(g):
    intents = Intents(g)
    for bad, complaint in (("{", "cannot be read"), ('{"verb": "explode", "rollout": 1, "step": 0}', "explode"), ('{"verb": "promote"}', "rollout"),
                           ('{"verb": "promote", "rollout": 1, "step": 0, "colour": 1}', "colour")):
        done = intents.result(g.etcd.put(intent_key(), bad))
        assert done["result"] == "refused" and complaint in done["message"], done
    ended = intents.result(g.etcd.put(intent_key(), {"verb": "promote", "rollout": 7, "step": 0, "actor": "bob"}))
    assert ended["result"] == "refused" and "ended as Healthy at 20" in ended["message"]
    assert g.module("pay")["phase"] == "Healthy" and g.status()["phase"] == "Serving"
    assert g.etcd.put(intent_key("nobody"), "{") and g.deploy("pay", MODULES / "pay-1.1.0.so")


def test_intents_that_came_while_the_host_was_down_count_if_they_still_fit(g):
    want(g, "1.1.0", {"weight": 1}, GATE, GATE)
    wait_step(g, "step 2 of 4")
    r = rollout(g)
    g.process.kill()
    g.process.wait()
    revision = g.etcd.put(intent_key(), {"verb": "promote", "rollout": r["id"], "step": 1, "actor": "alice"})
    g.start()
    assert Intents(g).result(revision)["result"] == "applied" and rollout(g)["step"] == 2
    g.process.kill()
    g.process.wait()
    revision = g.etcd.put(intent_key(), {"verb": "pause", "rollout": r["id"], "step": 1, "actor": "bob"})
    g.start()
    late = Intents(g).result(revision)
    assert late["result"] == "refused" and "step 3 now" in late["message"] and rollout(g)["held_by"] is None


def test_an_intent_that_overtakes_its_document_waits_for_it(g):
    g.stop()
    document_revision = g.etcd.txn({g.key("pay"): document(g, "1.1.0", GATE, GATE)})
    revision = g.etcd.put(intent_key(), {"verb": "pause", "rollout": document_revision, "step": 0, "actor": "alice"})
    g.start()
    done = Intents(g).result(revision)  # judged when the rollout is there, in whatever phase
    assert done["result"] == "refused" and f"rollout {document_revision} is not possible: it is" in done["message"], done


def test_etcd_away_delays_intents_and_degrades_nothing(g):
    want(g, "1.1.0", {"weight": 1}, GATE)
    wait_step(g, "step 2 of 3")
    g.etcd.stop()
    g.wait_event(lambda e: e["reason"] == "SourceUnreachable")
    g.until(lambda: g.status()["source"]["intents"])
    assert g.module("pay")["phase"] == "Paused"
    r = grayctl(g, "promote", "pay")
    assert r.returncode == 7, r.stderr
    r = grayctl(g, "promote", "pay", "--local")
    assert r.returncode == 0, r.stderr
    assert rollout(g)["step"] == 2
    g.etcd.start()
    g.until(lambda: not g.status()["source"]["intents"])
    revision = g.etcd.put(intent_key(), {"verb": "pause", "rollout": rollout(g)["id"], "step": 2, "actor": "bob"})
    assert Intents(g).result(revision)["result"] == "applied" and rollout(g)["held_by"] == "bob"


# --- grayctl ---------------------------------------------------------------------------------------------


def test_grayctl_steers_through_etcd(g):
    want(g, "1.1.0", {"weight": 1}, GATE, GATE, GATE)
    wait_step(g, "step 2 of 5")
    seen = rollout(g)
    dry = grayctl(g, "promote", "pay", "--dry-run")
    assert dry.returncode == 0 and "Paused at step 2 of 5: pause until promote" in dry.stdout, dry
    assert rollout(g)["step"] == 1 and g.etcd.get(intent_key()) is None
    r = grayctl(g, "promote", "pay", "--reason", "PAY-9", "-o", "json")
    assert r.returncode == 0 and json.loads(r.stdout)["rollout"]["step"] == 2 and "next: grayctl promote pay" in r.stderr, r
    late = grayctl(g, "promote", "pay", "--rollout", seen["id"], "--step", 1, actor="bob")
    assert late.returncode == 5 and "alice ordered promote at step 2 at 20" in late.stderr and "PAY-9" in late.stderr, late
    revision, _ = Intents(g).read()
    old = grayctl(g, "pause", "pay", "--if-revision", revision - 1)
    assert old.returncode == 5 and "bob was faster: promote" in old.stderr, old
    for words in (("pause", "pay", "--local", "--if-revision", 1), ("pause", "pay", "--if-revision", "x"), ("explain",),
                  ("plan", "pay", "--request", "x")):
        assert grayctl(g, *words).returncode == 2, words
    assert grayctl(g, "pause", "nobody").returncode == 3
    assert grayctl(g, "pause", "pay", "--if-revision", revision).returncode == 0
    held = grayctl(g, "get", "pay", "-o", "wide")
    for line in ("Step:", "3 of 5: pause until promote", "1 % set", "held by alice", "alice's pause was obeyed"):
        assert line in held.stdout, held.stdout
    assert "next: grayctl resume pay" in held.stderr
    assert grayctl(g, "pause", "pay").returncode == 5
    assert grayctl(g, "resume", "pay").returncode == 0 and rollout(g)["held_by"] is None
    table = grayctl(g, "list").stdout
    assert "3 of 5: pause until promote" in table and "1 % set" in table
    assert grayctl(g, "promote", "pay", "--full").returncode == 0
    g.wait_phase("pay", "Healthy")
    assert versions(g) == {"1.1.0"}
    over = grayctl(g, "promote", "pay")
    assert over.returncode == 5 and "ended as Healthy" in over.stderr
    assert grayctl(g, "retry", "pay").returncode == 5


def test_a_quarantined_release_is_tried_again_only_when_forgiven(g):
    with Traffic(g, CHARGE, BODY):
        want(g, "1.3.0", {"weight": 20}, GATE, harm={"bad_responses": 2})
        g.wait_phase("pay", "RolledBack")
    r = grayctl(g, "retry", "pay")
    assert r.returncode == 5 and "quarantine lift" in r.stderr, r
    assert grayctl(g, "quarantine", "lift", desired(g)["version_hash"], "--reason", "the database was down").returncode == 0
    ended = g.module("pay")["rollout"]["id"]
    again = grayctl(g, "retry", "pay")
    assert again.returncode == 0, again
    wait_step(g, "step 2 of 3")
    assert rollout(g)["id"] > ended
    assert Intents(g).result(g.etcd.put(intent_key(), {"verb": "retry", "rollout": ended, "step": 0}))["result"] == "refused"
    assert rollout(g)["phase"] == "Paused"


# --- going back ------------------------------------------------------------------------------------------


def test_abort_ends_as_an_abort_and_the_desired_state_names_what_runs(g):
    want(g, "1.1.0", {"weight": 50}, GATE)
    wait_step(g, "step 2 of 3")
    dry = grayctl(g, "abort", "pay", "--dry-run")
    assert dry.returncode == 0 and "1.1.0 -> 1.0.0" in dry.stdout and rollout(g)["phase"] == "Paused"
    assert grayctl(g, "abort", "pay", "--rollout", 1).returncode == 5
    written = g.module("pay")["rollout"]["id"]
    old = grayctl(g, "abort", "pay", "--if-revision", written - 1)
    assert old.returncode == 5 and f"expected revision {written - 1}" in old.stderr and rollout(g)["phase"] == "Paused", old
    assert grayctl(g, "undo", "pay", "--if-revision", written, "--local").returncode == 2
    r = grayctl(g, "abort", "pay", "--reason", "refunds fail", "--if-revision", written)
    assert r.returncode == 0 and "1.1.0 -> 1.0.0" in r.stderr, r
    ev = g.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "OperatorAbort" and "alice" in ev["message"] and "refunds fail" in ev["message"], ev
    d = desired(g)
    assert d["version"] == "1.0.0" and d["actor"] == "alice" and d["reason"] == "refunds fail"
    g.until(lambda: g.module("pay")["phase"] == "Healthy")
    history = g.control("/v1/history?module=pay")[1]["rollouts"]
    assert [h["phase"] for h in history] == ["RolledBack", "Healthy"] and history[0]["reason"] == "OperatorAbort"
    g.stop()
    g.start()  # nothing drifts back
    assert versions(g, 20) == {"1.0.0"}
    again = grayctl(g, "abort", "pay")
    assert again.returncode == 5 and "no rollout of it is in progress" in again.stderr
    assert grayctl(g, "abort", "pay", "--dry-run").returncode == 5


def test_abort_of_a_batch_takes_all_its_documents_back(g):
    g.deploy("echo", MODULES / "echo-1.0.0.so")
    g.want({"pay": document(g, "1.1.0", {"weight": 50}, GATE), "echo": document(g, "1.0.1", {"weight": 50}, GATE, module="echo"),
            "auth": document(g, "1.0.0", {"weight": 50}, GATE, module="auth")})
    wait_step(g, "step 2 of 3")
    r = grayctl(g, "abort", "pay", "--reason", "no")
    assert r.returncode == 4 and "auth has no version to go back to" in r.stderr and "pay has no" not in r.stderr, r
    g.wait_phase("pay", "RolledBack")
    assert [desired(g, m)["version"] for m in ("pay", "echo", "auth")] == ["1.0.0", "1.0.0", "1.0.0"]
    assert desired(g, "echo")["reason"] == "no" and desired(g, "auth")["reason"] == "1.0.0"
    assert versions(g) == {"1.0.0"}


def test_abort_of_a_first_deployment_says_that_nothing_is_left(grayling):
    g = grayling
    want(g, "1.1.0", {"weight": 50}, GATE)
    wait_step(g, "step 2 of 3")
    r = grayctl(g, "abort", "pay", "--reason", "not yet")
    assert r.returncode == 4 and "no version to go back to" in r.stderr, r
    assert g.wait_phase("pay", "RolledBack")["reason"] == "OperatorAbort"
    assert desired(g)["version"] == "1.1.0"


def test_local_abort_leaves_the_desired_state_and_undo_mends_it(g):
    want(g, "1.1.0", {"weight": 50}, GATE)
    wait_step(g, "step 2 of 3")
    r = grayctl(g, "abort", "pay", "--local")
    assert r.returncode == 0 and "--local" in r.stderr, r
    g.wait_phase("pay", "RolledBack")
    assert desired(g)["version"] == "1.1.0" and g.module("pay")["phase"] == "Degraded"
    assert grayctl(g, "undo", "pay").returncode == 0
    assert desired(g)["version"] == "1.0.0"
    g.until(lambda: g.module("pay")["phase"] == "Healthy")


def test_undo_to_a_version_during_a_rollout(g):
    g.deploy("pay", MODULES / "pay-1.1.0.so")
    want(g, "1.4.0", {"weight": 50}, GATE)
    wait_step(g, "step 2 of 3")
    assert grayctl(g, "undo", "pay", "--to", "9.9.9").returncode == 3
    assert rollout(g)["phase"] == "Paused"
    r = grayctl(g, "undo", "pay", "--to", "1.0.0", "--reason", "the ledger")
    assert r.returncode == 0 and "1.4.0 -> 1.0.0" in r.stderr, r
    assert g.wait_phase("pay", "RolledBack")["reason"] == "OperatorAbort"
    g.wait_phase("pay", "Healthy")
    assert versions(g) == {"1.0.0"} and desired(g)["version"] == "1.0.0"


def stopped_worker(g):
    """Nothing that is asked of the worker is answered inside."""
    class Stopped:
        pid = g.status()["worker"]["pid"]

        def __enter__(self):
            os.kill(self.pid, signal.SIGSTOP)

        def __exit__(self, *_):
            os.kill(self.pid, signal.SIGCONT)
    return Stopped()


def test_undo_during_a_rollback_changes_nothing_and_says_so(g):
    want(g, "1.1.0", {"weight": 50}, GATE)
    wait_step(g, "step 2 of 3")
    with stopped_worker(g):
        assert g.control("/v1/modules/pay/abort", "POST", {"actor": "bob", "reason": "PAY-1"})[0] == 200
        assert rollout(g)["phase"] == "RollingBack"
        code, again = g.control("/v1/modules/pay/abort", "POST", {"actor": "alice"})
        assert code == 409 and "on its way back already: bob took rollout" in again["message"]
        code, undo = g.control("/v1/modules/pay/undo", "POST", {"actor": "alice"})
        assert code == 200 and "on its way back already: bob" in undo["message"] and undo["document"]["version"] == "1.0.0"
    ev = g.wait_phase("pay", "RolledBack")
    assert "bob" in ev["message"] and versions(g) == {"1.0.0"}


def test_abort_beats_a_promotion_that_is_under_way(g):
    want(g, "1.1.0", {"weight": 50}, GATE)
    wait_step(g, "step 2 of 3")
    with Traffic(g, CHARGE, BODY) as t:
        with stopped_worker(g):
            assert g.control("/v1/modules/pay/promote", "POST", {"actor": "bob", "full": True, "rollout": rollout(g)["id"]})[0] == 200
            code, answer = g.control("/v1/modules/pay/abort", "POST", {"actor": "alice", "reason": "wait"})
            assert code == 200 and answer["to"]["version"] == "1.0.0", answer
        ev = g.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "OperatorAbort" and "alice" in ev["message"]
    assert t.lost == [] and versions(g) == {"1.0.0"}


# --- races -----------------------------------------------------------------------------------------------


class Operator:
    """One of two: gives orders by etcd or by the control socket, with connections that stay open."""

    def __init__(self, g, name):
        self.g, self.name, self.intents = g, name, Intents(g)
        self.socket = UnixHTTP(g.run / "control.sock")
        self.etcd = http.client.HTTPConnection("127.0.0.1", g.etcd.port, timeout=PATIENCE)

    def by_socket(self, verb, r, **more):
        body = {"actor": self.name, "reason": "race", "rollout": r["id"], "step": r["step"], **more}
        self.socket.request("POST", f"/v1/modules/pay/{verb}", json.dumps(body), {"content-type": "application/json"})
        answer = self.socket.getresponse()
        said = json.loads(answer.read())
        return answer.status == 200, said.get("message") or ""

    def by_etcd(self, verb, r, seen, **more):
        revision = self.intents.write(seen, verb=verb, rollout=r["id"], step=r["step"], actor=self.name, reason="race", at="2026", **more)
        if revision is None:
            _, winner = self.intents.read()
            return False, f"{winner['actor']} ordered {winner['verb']} at step {winner['step'] + 1} at {winner['at']}"
        done = self.intents.result(revision)
        return done["result"] == "applied", done["message"]


def race(g, first, second, r, ways):
    """Both order at once; [(obeyed, told), ...] in their order."""
    seen = Intents(g).read()[0]  # what both saw
    start, results = threading.Barrier(2), [None, None]

    def run(i, operator, verb, more, way):
        start.wait(PATIENCE)
        results[i] = operator.by_etcd(verb, r, seen, **more) if way == "etcd" else operator.by_socket(verb, r, **more)

    threads = [threading.Thread(target=run, args=(i, *who, way)) for i, (who, way) in enumerate(zip((first, second), ways))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
    assert None not in results, g.log()
    return results


WAYS = (("socket", "socket"), ("etcd", "socket"), ("socket", "etcd"), ("etcd", "etcd"))


def begin_gates(g, i, n=60):
    """A rollout with many gates, each for one race; a fresh one when they are used up."""
    if i % (n - 2):
        return
    if i == 0:
        want(g, "1.1.0", {"weight": 1}, *[GATE] * n, deadline="10h")
    else:
        assert g.control("/v1/modules/pay/abort", "POST", {"actor": "carol"})[0] == 200
        g.wait_phase("pay", "RolledBack")
        assert g.control("/v1/modules/pay/retry", "POST", {"actor": "carol"})[0] == 200
    wait_step(g, f"step 2 of {n + 2}")


def test_two_operators_race_to_promote(g):
    """Of two promotions of one step one moves it by one, and the other is told who, what and when."""
    alice, bob = Operator(g, "alice"), Operator(g, "bob")
    for i in range(RACES * 6 // 10):
        begin_gates(g, i)
        r = rollout(g)
        results = race(g, (alice, "promote", {}), (bob, "promote", {}), r, WAYS[i % 4])
        assert sorted(ok for ok, _ in results) == [False, True], results
        winner, told = ("alice", results[1][1]) if results[0][0] else ("bob", results[0][1])
        assert f"{winner} ordered promote at step {r['step'] + 1} at 20" in told, told
        now = rollout(g)
        assert now["id"] == r["id"] and now["step"] == r["step"] + 1 and now["order"]["actor"] == winner, (r, now)


def test_two_operators_race_to_pause_and_promote(g):
    """A promotion goes past a hold, and a hold that comes after it names a step that has passed: the step is left once, either way."""
    alice, bob = Operator(g, "alice"), Operator(g, "bob")
    for i in range(RACES // 4):
        begin_gates(g, i)
        r = rollout(g)
        ways = WAYS[i % 4]
        paused, promoted = race(g, (alice, "pause", {}), (bob, "promote", {}), r, ways)
        if not promoted[0]:  # only one intent is written of two that saw the same
            assert ways == ("etcd", "etcd") and paused[0] and "alice ordered pause" in promoted[1], (paused, promoted)
            assert rollout(g)["step"] == r["step"] and rollout(g)["held_by"] == "alice"
            assert bob.by_socket("promote", r)[0]
        elif not paused[0]:
            assert f"bob ordered promote at step {r['step'] + 1} at 20" in paused[1], paused
        now = rollout(g)
        assert now["step"] == r["step"] + 1 and now["held_by"] is None, (r, now)


def test_abort_beats_promote(g):
    """Whoever is first: it ends as the abort, and a promotion that came too late is told of it."""
    alice, bob = Operator(g, "alice"), Operator(g, "bob")
    for i in range(max(1, RACES * 15 // 100)):
        full = i % 2 == 1
        if i == 0:
            want(g, "1.1.0", {"weight": 1}, GATE, GATE, deadline="10h", bake="1h")
        else:
            assert g.control("/v1/modules/pay/retry", "POST", {"actor": "carol"})[0] == 200
        wait_step(g, "step 2 of 4")
        r = rollout(g)
        aborted, promoted = race(g, (alice, "abort", {}), (bob, "promote", {"full": full}), r, (WAYS[i % 3]))
        assert aborted[0], aborted
        ev = g.wait_phase("pay", "RolledBack")
        assert ev["reason"] == "OperatorAbort" and "alice" in ev["message"] and ev["rollout"] == r["id"], ev
        if not promoted[0]:
            assert "alice" in promoted[1] or "RollingBack" in promoted[1], promoted
        assert versions(g, 3) == {"1.0.0"}


# --- being told ------------------------------------------------------------------------------------------


def test_explain_says_why_and_replay_says_the_same(g):
    want(g, "1.3.0", {"weight": 20}, GATE, deadline="2h")
    wait_step(g, "step 2 of 3")
    g.until(lambda: g.module("pay")["verdict"])  # it was looked at once, before anybody called it
    with Traffic(g, CHARGE, BODY):
        ended = g.wait_phase("pay", "RolledBack")["rollout"]
    for word in ("pay", ended):
        r = grayctl(g, "explain", word)
        assert r.returncode == 0, r
        for text in (f"rollout {ended}: taken back (RolledBack, ErrorRateRegressed)", "pay 1.0.0 -> 1.3.0", "verdict   Failed (ErrorRateRegressed)",
                     "evidence against it", "allowed", "before    20", "Inconclusive: 0 of 200 requests", "quarantine"):
            assert text in r.stdout, r.stdout
    told = json.loads(grayctl(g, "explain", ended, "-o", "json").stdout)
    assert told["rollout"] == ended and told["verdicts"][-1]["record"]["verdict"] and told["verdicts"][-1]["lines"] and told["next"]
    r = grayctl(g, "replay", ended)
    assert r.returncode == 0 and "same to the bit" in r.stdout, r
    replayed = json.loads(grayctl(g, "replay", ended, "-o", "json").stdout)
    check(replayed, "replay"), check(told, "explain")
    rows = replayed["items"]
    assert len(rows) >= 2 and all(row["same"] for row in rows) and rows[-1]["verdict"] == "Failed"
    assert grayctl(g, "explain", 10**9).returncode == 3 and grayctl(g, "replay", 10**9).returncode == 3
    g.stop()
    with sqlite3.connect(g.state / "journal.db") as db:  # somebody mends history
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        seq, record = db.execute("SELECT seq, record FROM verdicts WHERE rollout = ? ORDER BY seq DESC LIMIT 1", (ended,)).fetchone()
        changed = json.loads(record)
        changed["input"]["candidate"]["errors"] -= 1
        db.execute("UPDATE verdicts SET record = ? WHERE seq = ?", (json.dumps(changed), seq))
    db.close()
    g.start()
    r = grayctl(g, "replay", ended)
    assert r.returncode == 1 and "did not come out again" in r.stderr, r


def test_explain_of_what_is_under_way(g):
    want(g, "1.1.0", {"weight": 50})
    g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == "Paused")
    r = grayctl(g, "explain", "pay")
    assert r.returncode == 0 and "held (Paused" in r.stdout and "of 200 requests" in r.stdout and "grayctl promote pay --full" in r.stdout, r.stdout
    shown = grayctl(g, "status", "pay").stdout
    assert "Verdict:" in shown and "2 of 2: weight 100 %" in shown and "until the verdict is Successful" in shown, shown


def test_plan_says_where_a_request_goes(g, tmp_path):
    doc = document(g, "1.1.0", {"weight": 20}, GATE, sticky="header:x-user-id",
                   match=[{"header": "x-canary", "exact": "1"}, {"path": True, "prefix": "/com.example.pay.PayService/Refund", "to": "stable"}])
    file = tmp_path / "pay.json"
    file.write_text(json.dumps(doc))

    def plan(*words):
        r = grayctl(g, "plan", *words, "-o", "json")
        assert r.returncode == 0, r
        return json.loads(r.stdout)["items"][0]

    before = plan("pay", "--request", "x-user-id: 7")
    assert before["goes_to"] == "stable" and "no rollout" in before["why"]
    ahead = plan("-f", file, "--request", "x-user-id: 7")
    assert ahead["goes_to"] == "key" and "salt" in ahead["why"]
    assert plan("-f", file, "--request", "X-Canary: 1")["goes_to"] == "candidate"
    g.want({"pay": doc})
    wait_step(g, "step 2 of 3")
    seen = set()
    for user in range(40):
        told = plan("pay", "--request", f"x-user-id: {user}")
        real = g.call(CHARGE, BODY, {"x-user-id": str(user)})[1]
        assert (told["goes_to"], told["version"]) == (real["x-grayling-role"], real["x-grayling-version"]), (told, real)
        assert (told["bucket"] < 2000) == (told["goes_to"] == "candidate") and "bucket" in told["why"]
        seen.add(told["goes_to"])
    assert seen == {"candidate", "stable"}
    canary = plan("pay", "--request", "X-Canary: 1", "--request", "x-user-id: 7")
    assert canary["goes_to"] == "candidate" and canary["rule"] == 0 and "match[0]" in canary["why"]
    refund = plan("pay", "--request", "x-user-id: 7", "--path", "/com.example.pay.PayService/Refund")
    assert refund["goes_to"] == "stable" and refund["rule"] == 1
    assert plan("pay", "--path", "/" + CHARGE)["goes_to"] == "turn"
    assert grayctl(g, "plan", "pay", "--request", "x-user-id: 7").stdout.splitlines()[0].startswith("MODULE")


def test_plan_says_whom_a_fault_would_touch(g, tmp_path):
    file = tmp_path / "pay.json"
    file.write_text(json.dumps(document(g, "1.1.0", {"weight": 5}, GATE, {"weight": 50}, GATE, harm={"bad_responses": 20})))
    harm = json.loads(grayctl(g, "plan", "-f", file, "-o", "json").stdout)["harm"]
    assert [(h["step"], h["weight"]) for h in harm][::2] == [(1, 5), (3, 50)]
    first = harm[0]
    assert 0 < first["bad_responses"] <= 20 and first["total_requests"] == pytest.approx(first["requests"] * 20, rel=0.01)
    assert "FOUND AFTER REQUESTS" in grayctl(g, "plan", "-f", file).stdout


def test_lint_refuses_what_judges_nothing_and_warns_of_what_is_odd(g, tmp_path):
    file = tmp_path / "pay.json"

    def lint(strategy, **more):
        file.write_text(json.dumps({**g.document(MODULES / "pay-1.1.0.so"), "strategy": strategy, **more}))
        return grayctl(g, "lint", file)

    for analysis, path in (({}, "strategy.analysis"), ({"error_rate": {"max_increase": 1}}, "strategy.analysis.error_rate.max_increase"),
                           ({"alpha": 0.9}, "strategy.analysis.alpha"), ({"latency_p99": {"max_ratio": 0.5}}, "strategy.analysis.latency_p99")):
        r = lint({"analysis": analysis})
        assert r.returncode == 5 and path in r.stderr and "expected" in r.stderr or "switch every gate off" in r.stderr, (analysis, r)
    odd = lint({"steps": [GATE, {"weight": 25}, {"weight": 5}, {"pause": {"requests": 50}}, {"pause": {"duration": "2h"}}, {"weight": 100}],
                "analysis": {"alpha": 0.4}})
    assert odd.returncode == 0 and "ok" in odd.stdout
    for text in ("strategy.steps[0]: waits while nobody", "strategy.steps[2].weight: goes down from 25 to 5", "strategy.deadline: 1h",
                 "strategy.analysis.alpha: 0.4"):
        assert text in odd.stderr, odd.stderr
    held = lint({"steps": [{"weight": 25}, {"pause": {"requests": 50}}, {"weight": 100}]})
    assert held.returncode == 0 and "min_requests: 200" in held.stderr
    assert lint(ladder({"weight": 5}, {"pause": {"duration": "5m", "requests": 1000}})).stderr == ""
    go = tmp_path / "faulty-go.json"
    go.write_text(json.dumps(g.document(MODULES / "faulty-go-1.0.0.so")))
    refused = grayctl(g, "lint", go)
    assert refused.returncode == 0 and "a host refuses its file" in refused.stderr and "written in Go" in refused.stderr, refused
    g.want({"pay": {**g.document(MODULES / "pay-1.1.0.so"), "strategy": {"analysis": {"error_rate": {"max_increase": 1}}}}})
    assert g.wait_phase("pay", "Rejected")["reason"] == "DocumentInvalid"
