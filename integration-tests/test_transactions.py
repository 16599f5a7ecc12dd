"""What was written together goes together, and nothing else does: transactions of etcd, files of a directory, several rollouts at once."""
import contextlib
import json
import signal

from harness import MODULES, Traffic

PAY, ECHO, AUTH = MODULES / "pay-1.0.0.so", MODULES / "echo-1.0.0.so", MODULES / "auth-1.0.0.so"
CHARGE, CALL_ECHO, POKE = "com.example.pay.PayService/Charge", "com.example.echo.EchoService/Echo", "com.example.faulty.FaultyService/Poke"
LONG = {"bake": "10m"}


def phase(g, module, rollout, *phases):
    """Waits until this rollout tells one of these phases of this module."""
    return g.wait_event(lambda e: e["module"] == module and e["rollout"] == rollout and e["phase"] in phases, after=0)


def healthy(g, module, rollout):
    ev = phase(g, module, rollout, "Healthy", "Rejected", "RolledBack", "Superseded")
    assert ev["phase"] == "Healthy", ev
    return ev


def history(g, module):
    return {r["rollout"]: r for r in g.control(f"/v1/history?module={module}")[1]["rollouts"]}


def modules_of(row):
    return sorted(m["module"] for m in row["modules"])


def test_what_waited_in_etcd_is_judged_by_transaction(make, etcd):
    g = make(etcd)
    good = g.want({"pay": g.document(PAY)})
    bad = g.want({"echo": {**g.document(ECHO), "size": -1}})
    pair = g.want({"auth": g.document(AUTH), "faulty": {**g.document(MODULES / "faulty-1.0.0.so"), "colour": "green"}})
    g.start()
    healthy(g, "pay", good)
    assert phase(g, "echo", bad, "Rejected")["message"].startswith("size: ")
    for member in ("auth", "faulty"):  # a batch stays a batch
        assert phase(g, member, pair, "Rejected")["reason"] == "DocumentInvalid"
    assert g.call(CHARGE)[0] == 200 and g.call(CALL_ECHO)[0] == 404
    assert modules_of(history(g, "auth")[pair]) == ["auth", "faulty"] and modules_of(history(g, "pay")[good]) == ["pay"]
    # started again, it judges the same, and history does not grow by it
    before = {m: sorted(history(g, m)) for m in ("pay", "echo", "auth")}
    assert g.stop() == 0
    g.start()
    g.wait_event(lambda e: e["rollout"] == pair and e["phase"] == "Rejected")
    assert {m: sorted(history(g, m)) for m in ("pay", "echo", "auth")} == before
    assert g.call(CHARGE)[0] == 200


def test_changes_merged_by_an_outage_are_taken_apart_again(make, etcd):
    g = make(etcd).start()
    first = g.want({"pay": g.document(PAY), "echo": g.document(ECHO)})
    healthy(g, "echo", first)
    assert g.stop() == 0
    bad = g.want({"pay": {**g.document(MODULES / "pay-1.1.0.so"), "size": -1}})
    good = g.want({"echo": g.document(MODULES / "echo-1.0.1.so")})
    g.start()
    healthy(g, "echo", good)
    phase(g, "pay", bad, "Rejected")
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.0.0" and g.call(CALL_ECHO)[1]["x-grayling-version"] == "1.0.1"


def test_a_transaction_that_is_overwritten_in_part_while_the_host_is_down_is_seen_as_its_rest(make, etcd):
    """A start reads what is wanted now, as a new host does: what is left of it is a release of its own."""
    g = make(etcd).start()
    healthy(g, "echo", g.want({"pay": g.document(PAY), "echo": g.document(ECHO)}))
    assert g.stop() == 0
    batch = g.want({"pay": {**g.document(MODULES / "pay-1.1.0.so"), "size": -1}, "echo": g.document(MODULES / "echo-1.0.1.so")})
    newer = g.want({"pay": g.document(MODULES / "pay-1.3.0.so")})
    g.start()
    healthy(g, "echo", batch)
    healthy(g, "pay", newer)
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.3.0" and g.call(CALL_ECHO)[1]["x-grayling-version"] == "1.0.1"
    assert modules_of(history(g, "echo")[batch]) == ["echo"] and modules_of(history(g, "pay")[newer]) == ["pay"]


def test_three_rollouts_at_once_go_their_own_ways(grayling):
    g = grayling
    start = g.want({"pay": g.document(PAY), "echo": g.document(ECHO), "faulty": g.document(MODULES / "faulty-1.0.0.so")})
    healthy(g, "pay", start)
    with Traffic(g, CHARGE, clients=1) as pay, Traffic(g, CALL_ECHO, clients=1) as echo:
        ids = {"pay": g.want({"pay": g.document(MODULES / "pay-1.1.0.so", strategy=LONG)}),
               "faulty": g.want({"faulty": g.document(MODULES / "faulty-1.1.0.so", config={"mode": "handle-crash"}, strategy=LONG)}),
               "echo": g.want({"echo": g.document(MODULES / "echo-1.0.1.so", strategy=LONG)})}
        for module, rollout in ids.items():
            phase(g, module, rollout, "Baking")
        assert {m: g.module(m)["stable"]["version"] for m in ids} == {"pay": "1.1.0", "faulty": "1.1.0", "echo": "1.0.1"}
        g.call(POKE)
        assert phase(g, "faulty", ids["faulty"], "RolledBack")["reason"] == "Crashed"
        g.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"], after=phase(g, "echo", ids["echo"], "Baking")["seq"])
    assert pay.lost == [] and echo.lost == [] and set(pay.codes) == {200} and set(echo.codes) == {200}
    # the others' bakes go on, in the new worker
    status = {m["module"]: m for m in g.control("/v1/modules")[1]["modules"]}
    assert status["pay"]["rollout"]["phase"] == "Baking" and status["echo"]["rollout"]["phase"] == "Baking"
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.1.0" and g.call(POKE)[1]["x-grayling-version"] == "1.0.0"


def test_a_deletion_goes_with_its_transaction(grayling):
    g = grayling
    healthy(g, "echo", g.want({"echo": g.document(ECHO)}))
    moved = g.want({"echo": None, "pay": g.document(PAY)})
    healthy(g, "pay", moved)
    assert modules_of(history(g, "pay")[moved]) == ["echo", "pay"]
    assert g.call(CALL_ECHO)[0] == 404 and g.call(CHARGE)[0] == 200
    kept = g.want({"pay": None, "echo": {**g.document(ECHO), "size": -1}})  # neither changes
    phase(g, "echo", kept, "Rejected")
    assert g.call(CHARGE)[0] == 200


def test_a_newer_key_for_one_of_a_batch_leaves_the_other_wanted(grayling):
    g = grayling
    healthy(g, "pay", g.want({"pay": g.document(PAY), "echo": g.document(ECHO)}))
    batch = g.want({"pay": g.document(MODULES / "pay-1.1.0.so", strategy=LONG), "echo": g.document(MODULES / "echo-1.0.1.so", strategy=LONG)})
    phase(g, "echo", batch, "Baking")
    newer = g.want({"pay": g.document(MODULES / "pay-1.3.0.so")})
    phase(g, "pay", newer, "Baking")
    assert phase(g, "echo", batch, "Superseded")
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.3.0" and g.call(CALL_ECHO)[1]["x-grayling-version"] == "1.0.1"
    assert modules_of(history(g, "echo")[newer]) == ["echo", "pay"]


@contextlib.contextmanager
def looking_away(g):
    """What is written meanwhile reaches the supervisor together."""
    g.process.send_signal(signal.SIGSTOP)
    since = g.etcd.revision()
    yield
    told = g.etcd.watch(g.key("pay"), since + 1)  # etcd has told those who watch
    next(told), next(told)
    told.close()
    g.process.send_signal(signal.SIGCONT)


def test_a_transaction_that_is_overwritten_in_part_before_the_host_looks_is_whole(grayling):
    g = grayling
    healthy(g, "pay", g.want({"pay": g.document(PAY), "echo": g.document(ECHO)}))
    with looking_away(g):
        batch = g.want({"pay": g.document(MODULES / "pay-1.1.0.so"), "echo": g.document(MODULES / "echo-1.0.1.so")})
        newer = g.want({"pay": g.document(MODULES / "pay-1.3.0.so")})
    healthy(g, "pay", newer)
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.3.0" and g.call(CALL_ECHO)[1]["x-grayling-version"] == "1.0.1"
    rows = history(g, "echo")
    assert modules_of(rows[newer]) == modules_of(rows[batch]) == ["echo", "pay"] and rows[batch]["phase"] == "Superseded", rows


def test_the_rest_of_a_bad_transaction_is_not_carried_out(grayling):
    """Though the newer one replaces what was bad of it before the host looks."""
    g = grayling
    healthy(g, "pay", g.want({"pay": g.document(PAY), "echo": g.document(ECHO)}))
    with looking_away(g):
        bad = g.want({"pay": {**g.document(MODULES / "pay-1.1.0.so"), "size": -1}, "echo": g.document(MODULES / "echo-1.0.1.so")})
        good = g.want({"pay": g.document(MODULES / "pay-1.3.0.so")})
    healthy(g, "pay", good)
    phase(g, "echo", bad, "Rejected")
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.3.0" and g.call(CALL_ECHO)[1]["x-grayling-version"] == "1.0.0"
    assert modules_of(history(g, "pay")[good]) == ["pay"]


def test_a_wish_that_is_taken_back_is_not_carried_out(grayling):
    g = grayling
    old = g.document(PAY)
    healthy(g, "pay", g.want({"pay": old}))
    phase(g, "pay", g.want({"pay": g.document(MODULES / "pay-1.1.0.so", strategy=LONG)}), "Baking")
    healthy(g, "pay", g.want({"pay": old}))
    assert g.call(CHARGE)[1]["x-grayling-version"] == "1.0.0"


def test_a_document_may_be_back_before_the_worker_is(grayling):
    g = grayling
    old = g.document(MODULES / "faulty-1.0.0.so")
    healthy(g, "faulty", g.want({"faulty": old}))
    slow = g.want({"faulty": g.document(MODULES / "faulty-1.1.0.so", config={"mode": "handle-slow", "usec": 1500000},
                                        strategy={**LONG, "freeze_budget": "10s"})})
    phase(g, "faulty", slow, "Baking")
    with Traffic(g, POKE, clients=2):  # calls that the way back has to wait for
        code, said = g.control("/v1/modules/faulty/abort", "POST", {"actor": "alice", "reason": "slow"})
        assert code == 200, said
        g.want({"faulty": {**old, "reason": "as it was"}})
        phase(g, "faulty", slow, "RolledBack")
        g.until(lambda: g.module("faulty")["phase"] == "Healthy", lambda: json.dumps(g.module("faulty")))


def test_what_was_rolled_back_stays_in_history(make, etcd):
    g = make(etcd).start()
    healthy(g, "faulty", g.want({"faulty": g.document(MODULES / "faulty-1.0.0.so")}))
    bad = g.want({"faulty": g.document(MODULES / "faulty-1.1.0.so", config={"mode": "handle-crash"}, strategy=LONG)})
    phase(g, "faulty", bad, "Baking")
    g.call(POKE)
    phase(g, "faulty", bad, "RolledBack")
    assert g.stop() == 0
    g.start()
    phase(g, "faulty", bad, "Rejected")
    assert g.module("faulty")["reason"] == "Quarantined"
    assert [r["phase"] for r in history(g, "faulty").values()] == ["RolledBack", "Healthy"]


def test_a_file_is_one_rollout(make):
    g = make()
    g.want({"pay": g.document(PAY), "echo": {**g.document(ECHO), "size": -1}})
    (g.directory / "both.json").write_text(json.dumps({"modules": {"auth": g.document(AUTH), "faulty": g.document(MODULES / "faulty-1.0.0.so")}}))
    g.start()
    g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == "Healthy", after=0)
    g.wait_event(lambda e: e["module"] == "echo" and e["phase"] == "Rejected", after=0)
    g.wait_event(lambda e: e["module"] == "faulty" and e["phase"] == "Healthy", after=0)
    both = history(g, "faulty")
    assert len(both) == 1 and modules_of(next(iter(both.values()))) == ["auth", "faulty"]
    assert history(g, "pay").keys().isdisjoint(both) and history(g, "pay").keys().isdisjoint(history(g, "echo"))


def test_the_plan_shows_what_goes_together(grayling):
    g = grayling
    healthy(g, "pay", g.want({"pay": g.document(PAY)}))
    plan = g.control("/v1/plan", "POST", {"documents": {"pay": g.document(MODULES / "pay-1.1.0.so"), "echo": g.document(ECHO)}})[1]
    assert [r["modules"] for r in plan["rollouts"]] == [["echo", "pay"]] and plan["refused"] is False
    assert {(i["module"], i["kind"], i["group"]) for i in plan["items"]} == {("echo", "deploy", 1), ("pay", "replace", 1)}
    assert "pay 1.0.0 -> 1.1.0 (replace)" in plan["text"]
