"""Modules that need each other: what is missing or does not fit is refused with the chain that leads there, what may still be taken back is waited
for, batches load in the order of their needs, and everybody is told his peers. The modules are modules/members: m00 <- m01 <- ... <- m31."""
import json
import re
import signal

from harness import BUILD, MODULES, Traffic
import os
import subprocess

FACE = "com.example.members."
LONG = {"bake": "10m"}
ENDS = ("Healthy", "Rejected", "RolledBack", "Superseded")


def member(g, name, version="1.0.0", **more):
    return g.document(MODULES / f"{name}-{version}.so", **more)


def phase(g, module, rollout, *phases):
    """Waits until this rollout tells one of these phases of this module."""
    return g.wait_event(lambda e: e["module"] == module and e["rollout"] == rollout and e["phase"] in phases, after=0)


def healthy(g, documents):
    rollout = g.want(documents)
    for module in documents:
        ev = phase(g, module, rollout, *ENDS)
        assert ev["phase"] == "Healthy", ev
    return rollout


def refused(g, documents, reason, *words):
    """Every member is told; returns the sentence."""
    rollout = g.want(documents)
    for module in documents:
        ev = phase(g, module, rollout, *ENDS)
        assert ev["phase"] == "Rejected" and ev["reason"] == reason, ev
        for w in words:
            assert w in ev["message"], ev["message"]
    return ev["message"]


def waits(g, module, rollout, reason):
    """It was verified, went back to Pending and says what it waits for."""
    return g.wait_event(lambda e: e["module"] == module and e["rollout"] == rollout and e["phase"] == "Pending" and e["reason"] == reason, after=0)


def ask(g, face, method, body=None):
    status, _, answer = g.call(f"{FACE}{face}/{method}", body or {})
    assert status == 200, answer
    return json.loads(answer)[method.lower()]


def told(g, after=0):
    """Who was initialised by a worker, in order, as the modules say themselves."""
    log = (g.root / "graylingd.log").read_text(errors="replace")[after:]
    return re.findall(r"([\w-]+@[\w.]+) was told", log)


def log_size(g):
    return len((g.root / "graylingd.log").read_text(errors="replace"))


def grayctl(g, *args):
    return subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *(["--etcd", g.etcd.url] if g.etcd else []), *map(str, args)],
                          capture_output=True, text=True, env=dict(os.environ, NO_COLOR="1", GRAYLING_CONFIG=str(g.config)))


# -- what is missing ------------------------------------------------------------------------------------------


def test_what_nobody_provides_is_refused_with_the_chain(grayling):
    g = grayling
    refused(g, {"m01": member(g, "m01")}, "DependencyMissing", f"m01 1.0.0 -> {FACE}M00 ^1: nobody provides {FACE}M00")
    batch = {"m03": member(g, "m03"), "m02": member(g, "m02")}
    refused(g, batch, "DependencyMissing", f"m03 1.0.0 -> m02 1.0.0 -> {FACE}M01 ^1: nobody provides {FACE}M01")
    status = json.loads(g.etcd.get(g.status_key("m03")) or "{}")
    g.until(lambda: (json.loads(g.etcd.get(g.status_key("m03")) or "{}")).get("reason") == "DependencyMissing", lambda: status)
    for module in batch:  # the status of each says who failed
        assert g.module(module)["reason"] == "DependencyMissing" and "m02 1.0.0 -> " in g.module(module)["message"]
    # with what it needs, the same goes
    healthy(g, {f"m0{i}": member(g, f"m0{i}") for i in range(4)})
    assert ask(g, "M03", "Chain") == "m03@1.0.0 m02@1.0.0 m01@1.0.0 m00@1.0.0"


def test_another_major_version_names_both_sides(grayling):
    g = grayling
    healthy(g, {"m00": member(g, "m00", "2.0.0")})
    refused(g, {"m01": member(g, "m01")}, "ContractIncompatible", f"m01 1.0.0 -> {FACE}M00 ^1: m01 1.0.0 requires it, but m00 2.0.0 provides 2.0.0")


def test_a_caller_built_for_2_0_is_served_by_2_1(grayling):
    g = grayling
    healthy(g, {"m00": member(g, "m00", "2.0.0"), "m01": member(g, "m01", "2.0.0")})
    with Traffic(g, f"{FACE}M01/Chain", clients=2) as t:
        healthy(g, {"m00": member(g, "m00", "2.1.0")})
    assert set(t.codes) == {200} and t.lost == []
    assert ask(g, "M01", "Chain") == "m01@2.0.0 m00@2.1.0"
    refused(g, {"m00": member(g, "m00", "3.0.0")}, "ContractIncompatible", f"m01 2.0.0 -> {FACE}M00 ^2: m00 3.0.0 provides 3.0.0, and m01 2.0.0 requires it")


def test_a_major_version_goes_with_its_callers(grayling):
    g = grayling
    healthy(g, {f"m0{i}": member(g, f"m0{i}") for i in range(3)})
    refused(g, {"m01": member(g, "m01", "2.0.0")}, "ContractIncompatible")
    with Traffic(g, f"{FACE}M02/Chain", clients=2) as t:
        healthy(g, {f"m0{i}": member(g, f"m0{i}", "2.0.0") for i in range(3)})
    assert set(t.codes) == {200} and t.lost == []
    assert ask(g, "M02", "Chain") == "m02@2.0.0 m01@2.0.0 m00@2.0.0"
    # an operator's way back is a release as any
    refused(g, {"m00": member(g, "m00")}, "ContractIncompatible", "m01 2.0.0")


def test_cycles_are_named_and_optional_ones_are_none(grayling):
    g = grayling
    healthy(g, {"ring-a": member(g, "ring-a"), "ring-b": member(g, "ring-b")})
    refused(g, {"ring-a": member(g, "ring-a", "1.1.0")}, "DependencyMissing", "ring-a 1.1.0 -> ring-b 1.0.0 -> ring-a 1.1.0", "cycle")
    healthy(g, {"ring-a": member(g, "ring-a", "1.2.0")})
    assert ask(g, "RingA", "Peers") == {f"{FACE}RingB": "1.0.0"}


def test_an_interface_has_one_provider(grayling):
    g = grayling
    healthy(g, {"m00": member(g, "m00")})
    refused(g, {"double": member(g, "double")}, "ContractIncompatible", "double 1.0.0 provides", "m00 1.0.0")
    healthy(g, {"m00": None, "double": member(g, "double")})
    assert ask(g, "M00", "Chain") == "double@1.0.0"


def test_a_method_may_not_go_without_a_major_version(grayling):
    g = grayling
    healthy(g, {"m00": member(g, "m00")})
    refused(g, {"m00": member(g, "m00", "1.2.0")}, "ContractIncompatible", "M00/Peers is removed")


# -- what goes away -------------------------------------------------------------------------------------------


def test_removing_what_others_require_is_refused(grayling):
    g = grayling
    healthy(g, {f"m0{i}": member(g, f"m0{i}") for i in range(3)})
    rollout = g.want({"m00": None})
    ev = phase(g, "m00", rollout, *ENDS)
    assert (ev["phase"], ev["reason"]) == ("Rejected", "DependencyMissing"), ev
    assert f"m02 1.0.0 -> m01 1.0.0 -> {FACE}M00 ^1: m00 would be removed" in ev["message"]
    assert ask(g, "M02", "Chain") == "m02@1.0.0 m01@1.0.0 m00@1.0.0"
    g.want({"m00": member(g, "m00")})
    gone = g.want({f"m0{i}": None for i in range(3)})
    for i in range(3):
        assert phase(g, f"m0{i}", gone, *ENDS)["phase"] == "Healthy"
    assert g.call(f"{FACE}M02/Chain")[0] == 404


def test_one_after_the_other_is_removed_without_waiting_by_hand(grayling):
    g = grayling
    healthy(g, {"m00": member(g, "m00"), "m01": member(g, "m01")})
    first, second = g.want({"m01": None}), g.want({"m00": None})
    assert phase(g, "m01", first, *ENDS)["phase"] == "Healthy"
    assert phase(g, "m00", second, *ENDS)["phase"] == "Healthy"


# -- what is on its way ---------------------------------------------------------------------------------------


def test_who_comes_first_waits_for_what_it_needs(grayling):
    g = grayling
    first = g.want({"m01": member(g, "m01")})
    second = g.want({"m00": member(g, "m00", strategy={"bake": "2s"})})
    assert phase(g, "m00", second, *ENDS)["phase"] == "Healthy"
    ev = phase(g, "m01", first, *ENDS)
    if ev["phase"] == "Rejected":  # it was looked at before the second key was there
        assert ev["reason"] == "DependencyMissing"
    else:
        assert ask(g, "M01", "Chain") == "m01@1.0.0 m00@1.0.0"


def test_what_bakes_is_waited_for_and_then_it_goes_on(grayling):
    g = grayling
    first = g.want({"m00": member(g, "m00", strategy={"bake": "3s"})})
    phase(g, "m00", first, "Baking")
    second = g.want({"m01": member(g, "m01")})
    ev = waits(g, "m01", second, "DependencyMissing")
    assert f"m01 1.0.0 requires {FACE}M00 ^1 and waits for m00: rollout {first}" in ev["message"]
    settled = phase(g, "m00", first, *ENDS)
    ev = phase(g, "m01", second, *ENDS)
    assert settled["phase"] == ev["phase"] == "Healthy" and settled["seq"] < ev["seq"]
    assert g.module("m01")["reason"] is None


def test_the_way_back_wins_and_who_waited_is_told(grayling):
    g = grayling
    healthy(g, {"m00": member(g, "m00")})
    first = g.want({"m00": member(g, "m00", "1.1.0", strategy=LONG)})
    phase(g, "m00", first, "Baking")
    second = g.want({"elder": member(g, "elder")})  # content with 1.1 only
    waits(g, "elder", second, "DependencyMissing")
    third = g.want({"m01": member(g, "m01")})  # content with both: nothing to wait for
    assert phase(g, "m01", third, *ENDS)["phase"] == "Healthy"
    assert grayctl(g, "abort", "m00", "--local", "--reason", "not good").returncode == 0
    assert phase(g, "m00", first, *ENDS)["phase"] == "RolledBack"
    ev = phase(g, "elder", second, *ENDS)
    assert (ev["phase"], ev["reason"]) == ("Rejected", "ContractIncompatible") and "m00 1.0.0 provides 1.0.0" in ev["message"], ev
    assert ask(g, "M01", "Chain") == "m01@1.0.0 m00@1.0.0"


def test_the_deadline_ends_the_waiting(grayling):
    g = grayling
    first = g.want({"m00": member(g, "m00", strategy=LONG)})
    phase(g, "m00", first, "Baking")
    second = g.want({"m01": member(g, "m01", strategy={"deadline": "3s", "bake": "1s"})})
    waits(g, "m01", second, "DependencyMissing")
    ev = phase(g, "m01", second, *ENDS)
    assert (ev["phase"], ev["reason"]) == ("Rejected", "DependencyMissing") and f"rollout {first}" in ev["message"], ev
    assert g.module("m00")["rollout"]["phase"] == "Baking"


# -- what can be done without ---------------------------------------------------------------------------------


def test_an_optional_interface_may_be_missing_and_the_module_is_told(grayling):
    g = grayling
    healthy(g, {"guest": member(g, "guest")})
    assert ask(g, "GUEST", "Peers") == {f"{FACE}M00": None, f"{FACE}M01": None}
    assert ask(g, "GUEST", "Chain") == "guest@1.0.0 -"
    assert g.wait_event(lambda e: f"guest 1.0.0 does without {FACE}M00 ^1: nobody provides it" in e["message"], after=0)["module"] == "guest"
    assert g.module("guest")["phase"] == "Healthy"
    # calls find it as soon as it is there; what init() was told is as of the load
    healthy(g, {"m00": member(g, "m00"), "m01": member(g, "m01")})
    assert ask(g, "GUEST", "Chain") == "guest@1.0.0 m00@1.0.0"
    g.process.send_signal(signal.SIGUSR2)
    g.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])
    assert ask(g, "GUEST", "Peers") == {f"{FACE}M00": "1.0.0", f"{FACE}M01": None}  # M01 from 1.1 on
    gone = g.want({"m00": None, "m01": None})
    assert phase(g, "m00", gone, *ENDS)["phase"] == "Healthy"
    g.wait_event(lambda e: e["rollout"] == gone and f"guest 1.0.0 does without {FACE}M00 ^1" in e["message"], after=0)
    assert ask(g, "GUEST", "Chain") == "guest@1.0.0 -"


# -- order ----------------------------------------------------------------------------------------------------


def test_32_in_a_chain_go_as_one_and_in_order(grayling):
    g = grayling
    names = [f"m{i:02}" for i in range(32)]
    healthy(g, {n: member(g, n) for n in names})
    assert told(g) == [f"{n}@1.0.0" for n in names]
    at = log_size(g)
    with Traffic(g, f"{FACE}M31/Chain", body=b'{"depth": 7}', clients=2) as t:
        rollout = healthy(g, {n: member(g, n, "2.0.0") for n in reversed(names)})
    assert set(t.codes) == {200} and t.lost == []
    assert told(g, at) == [f"{n}@2.0.0" for n in names]
    assert ask(g, "M31", "Chain", {"depth": 7}) == " ".join(f"{n}@2.0.0" for n in reversed(names[24:]))
    assert ask(g, "M31", "Peers") == {f"{FACE}M30": "2.0.0"}
    row = next(r for r in g.control("/v1/history?module=m00")[1]["rollouts"] if r["rollout"] == rollout)
    assert len(row["modules"]) == 32
    # the old ones leave in the reverse order
    g.wait_loaded(32)
    log = (g.root / "graylingd.log").read_text(errors="replace")[at:]
    assert re.findall(r"([\w-]+@[\w.]+) is destroyed", log) == [f"{n}@1.0.0" for n in reversed(names)]
    # one that fails fails all, and every member is told
    mixed = {n: member(g, n, "2.0.0", config={"mark": "b"}) for n in names}
    mixed["m17"] = member(g, "m17", "2.0.0", config={"fail": "init"})
    at, rollout = log_size(g), g.want(mixed)
    for n in names:
        ev = phase(g, n, rollout, *ENDS)
        assert (ev["phase"], ev["reason"]) == ("RolledBack", "InitFailed") and "m17 2.0.0" in ev["message"], ev
    assert told(g, at) == [f"{n}@2.0.0" for n in names[:17]]  # who needs it was not even tried
    assert ask(g, "M31", "Chain", {"depth": 1}) == "m31@2.0.0 m30@2.0.0"


def test_a_start_and_a_new_worker_load_in_order_and_tell_the_same(grayling):
    g = grayling
    names = ["m05", "m00", "m03", "m01", "m04", "m02"]
    order = [f"{n}@1.1.0" for n in sorted(names)]
    healthy(g, {n: member(g, n, "1.1.0") for n in names})
    healthy(g, {"guest": member(g, "guest")})
    peers = ask(g, "GUEST", "Peers")
    assert peers == {f"{FACE}M00": "1.1.0", f"{FACE}M01": "1.1.0"}
    for again in ("worker", "daemon"):
        at = log_size(g)
        if again == "worker":
            g.process.send_signal(signal.SIGUSR2)
            g.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])
        else:
            assert g.stop() == 0
            g.start()
        loaded = told(g, at)
        assert [m for m in loaded if m.startswith("m")] == order and "guest@1.0.0" in loaded[2:], loaded
        assert ask(g, "GUEST", "Peers") == peers and ask(g, "M05", "Peers") == {f"{FACE}M04": "1.1.0"}


def test_a_gray_batch_comes_up_in_order_in_a_new_worker(grayling):
    g = grayling
    healthy(g, {"m00": member(g, "m00"), "m01": member(g, "m01")})
    steps = {"steps": [{"weight": 10}, {"pause": {}}, {"weight": 100}]}
    rollout = g.want({"m01": member(g, "m01", "2.0.0", strategy=steps), "m00": member(g, "m00", "2.0.0")})
    phase(g, "m01", rollout, "Paused")
    at = log_size(g)
    g.process.send_signal(signal.SIGUSR2)
    g.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])
    assert told(g, at) == ["m00@1.0.0", "m01@1.0.0", "m00@2.0.0", "m01@2.0.0"]
    seen = {ask(g, "M01", "Chain") for _ in range(60)}
    assert seen == {"m01@1.0.0 m00@1.0.0", "m01@2.0.0 m00@2.0.0"}
    # what somebody else needs is judged by both ends of it
    other = g.want({"m02": member(g, "m02", "2.0.0")})
    waits(g, "m02", other, "DependencyMissing")


# -- a directory ----------------------------------------------------------------------------------------------


def test_a_directory_is_judged_alike(make):
    g = make().start()
    g.want({"m01": member(g, "m01")})
    ev = g.wait_event(lambda e: e["module"] == "m01" and e["phase"] == "Rejected", after=0)
    assert ev["reason"] == "DependencyMissing" and f"nobody provides {FACE}M00" in ev["message"]
    tmp = g.directory / ".both.tmp"
    tmp.write_text(json.dumps({"modules": {"m02": member(g, "m02"), "m00": member(g, "m00"), "m01": member(g, "m01", config={"mark": "x"})}}))
    (g.directory / "m01.json").unlink()
    tmp.rename(g.directory / "both.json")
    g.wait_event(lambda e: e["module"] == "m02" and e["phase"] == "Healthy", after=0)
    assert ask(g, "M02", "Chain") == "m02@1.0.0 m01@1.0.0 m00@1.0.0"
