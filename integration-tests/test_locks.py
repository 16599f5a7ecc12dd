"""Upgrade locks: who only changes together waits for the rest, comes into force in one store, and goes back in one."""
import json
import os
import subprocess

from harness import BUILD, MODULES, Traffic

CHAIN = "com.example.members.{}/Chain"
LONG = {"bake": "10m"}


def grayctl(g, *words, stdin=None):
    return subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *map(str, words)], capture_output=True, text=True,
                          input=stdin, env=dict(os.environ, SUDO_USER="alice"), timeout=90)


def doc(g, module, version, **more):
    return g.document(MODULES / f"{module}-{version}.so", **more)


def all_of(g, *modules, version, **more):
    return {m: doc(g, m, version, **more) for m in modules}


def phase(g, module, rollout, *phases):
    return g.wait_event(lambda e: e["module"] == module and (rollout is None or e["rollout"] == rollout) and e["phase"] in phases, after=0)


def waiting(g, module, rollout, *names):
    """Until the rollout says that it waits for exactly these."""
    ev = g.wait_event(lambda e: e["module"] == module and (rollout is None or e["rollout"] == rollout) and e["reason"] == "UpgradeLockIncomplete"
                      and f"waits for {' and '.join(names)}:" in e["message"], after=0)
    assert ev["phase"] == "Pending", ev
    return ev


def healthy(g, rollout, *modules):
    for m in modules:
        ev = phase(g, m, rollout, "Healthy", "Rejected", "RolledBack")
        assert ev["phase"] == "Healthy", ev


def serves(g, **versions):
    return {m: ((g.module(m) or {}).get("stable") or {}).get("version") for m in versions} == versions


def settled(g, **versions):
    """Until these serve, and nothing is on its way."""
    g.until(lambda: serves(g, **versions) and all(g.module(m)["phase"] == "Healthy" for m in versions), lambda: json.dumps(g.status()["modules"]))


def members(g, rollout):
    rows = [r for r in g.control("/v1/history?module=drawer")[1]["rollouts"] if r["rollout"] == rollout]
    return sorted(m["module"] for m in rows[0]["modules"])


def till(g, **more):
    """desk and drawer 1.0.0 are in force, as a group."""
    first = g.want(all_of(g, "desk", "drawer", version="1.0.0", **more))
    healthy(g, first, "desk", "drawer")
    return first


def test_one_waits_and_the_rest_brings_both_into_force_at_once(grayling):
    g = grayling
    till(g)
    alone = g.want({"desk": doc(g, "desk", "2.0.0")})
    ev = waiting(g, "desk", alone, "drawer")
    assert 'desk and drawer only change together (group "till")' in ev["message"]
    m = g.module("desk")
    assert (m["phase"], m["reason"], m["rollout"]["phase"]) == ("Progressing", "UpgradeLockIncomplete", "Pending")
    assert m["candidate"]["version"] == "2.0.0" and serves(g, desk="1.0.0", drawer="1.0.0")
    swaps = swapped(g)
    rest = g.want({"drawer": doc(g, "drawer", "2.0.0")})
    healthy(g, rest, "desk", "drawer")
    assert phase(g, "desk", alone, "Superseded") and members(g, rest) == ["desk", "drawer"]
    assert serves(g, desk="2.0.0", drawer="2.0.0") and swapped(g) == swaps + 1
    assert not g.module("desk")["reason"]


def swapped(g, module="desk"):
    return sum(float(line.split()[-1]) for line in g.metrics().splitlines() if line.startswith(f'grayling_swaps_total{{module="{module}",result="ok"}}'))


def test_a_waiting_one_blocks_nobody_and_its_deadline_refuses_it(grayling):
    g = grayling
    till(g)
    alone = g.want({"desk": doc(g, "desk", "2.0.0", strategy={"deadline": "10s"})})
    waiting(g, "desk", alone, "drawer")
    healthy(g, g.want({"engine": doc(g, "engine", "1.0.0")}), "engine")
    healthy(g, g.want({"printer": doc(g, "printer", "1.0.0")}), "printer")  # new to the group: nothing that serves changes
    ev = phase(g, "desk", alone, "Rejected")
    assert ev["reason"] == "UpgradeLockIncomplete" and "drawer" in ev["message"] and "deadline" in ev["message"]
    assert serves(g, desk="1.0.0", drawer="1.0.0", printer="1.0.0") and g.module("desk")["phase"] == "Degraded"


def test_one_that_fails_leaves_all_of_them_old(grayling):
    g = grayling
    till(g)
    waiting(g, "desk", g.want({"desk": doc(g, "desk", "2.0.0")}), "drawer")
    bad = g.want({"drawer": doc(g, "drawer", "2.0.0", config={"fail": "init"})})  # in the worker, not in the sandbox
    ev = phase(g, "desk", bad, "RolledBack")
    assert ev["reason"] == "InitFailed" and "nothing was found wrong with desk 2.0.0" in ev["message"] and "drawer 2.0.0" in ev["message"]
    assert phase(g, "drawer", bad, "RolledBack")["reason"] == "InitFailed"
    assert serves(g, desk="1.0.0", drawer="1.0.0")
    # mended, it needs desk's document again: that one ended with the batch
    good = g.want(all_of(g, "desk", "drawer", version="2.0.0"))
    healthy(g, good, "desk", "drawer")


def test_one_that_never_gets_so_far_leaves_the_other_waiting(grayling):
    g = grayling
    till(g)
    alone = g.want({"desk": doc(g, "desk", "2.0.0")})
    waiting(g, "desk", alone, "drawer")
    bad = g.want({"drawer": doc(g, "drawer", "2.0.0", config={"fail": "preflight"})})
    assert phase(g, "drawer", bad, "Rejected")["reason"] == "InitFailed"
    assert g.module("desk")["reason"] == "UpgradeLockIncomplete" and serves(g, desk="1.0.0", drawer="1.0.0")
    healthy(g, g.want({"drawer": doc(g, "drawer", "2.0.0")}), "desk", "drawer")
    assert serves(g, desk="2.0.0", drawer="2.0.0")


def test_what_was_written_unchanged_in_the_same_transaction_may_stay(grayling):
    g = grayling
    till(g)
    healthy(g, g.want({"desk": doc(g, "desk", "2.0.0"), "drawer": doc(g, "drawer", "1.0.0")}), "desk")
    assert serves(g, desk="2.0.0", drawer="1.0.0")
    waiting(g, "desk", g.want({"desk": doc(g, "desk", "2.0.0", config={"mark": "x"})}), "drawer")  # a configuration is a release too


def test_a_removal_waits_too(grayling):
    g = grayling
    till(g)
    alone = g.want({"drawer": None})
    waiting(g, "drawer", alone, "desk")
    assert "drawer's removal" in g.module("drawer")["message"] and g.call(CHAIN.format("DRAWER"))[0] == 200
    rest = g.want({"desk": None})
    healthy(g, rest, "desk", "drawer")
    assert g.call(CHAIN.format("DRAWER"))[0] == 404 and g.call(CHAIN.format("DESK"))[0] == 404


def test_true_locks_a_module_to_what_it_requires(grayling):
    g = grayling
    healthy(g, g.want(all_of(g, "driver", "engine", version="1.0.0")), "driver", "engine")
    alone = g.want({"driver": doc(g, "driver", "2.0.0")})
    ev = waiting(g, "driver", alone, "engine")
    assert "driver only changes together with engine, which provides com.example.members.Engine" in ev["message"]
    healthy(g, g.want({"engine": doc(g, "engine", "2.0.0")}), "driver", "engine")
    assert serves(g, driver="2.0.0", engine="2.0.0")
    waiting(g, "engine", g.want({"engine": doc(g, "engine", "3.0.0")}), "driver")  # and the other way round


def test_a_restart_waits_on_and_joins_what_came_meanwhile(make, etcd):
    g = make(etcd).start()
    till(g)
    alone = g.want({"desk": doc(g, "desk", "2.0.0")})
    waiting(g, "desk", alone, "drawer")
    assert g.stop() == 0
    g.start()
    g.until(lambda: (g.module("desk") or {}).get("reason") == "UpgradeLockIncomplete")
    assert serves(g, desk="1.0.0", drawer="1.0.0")
    assert g.stop() == 0
    g.want({"drawer": doc(g, "drawer", "2.0.0")})  # two transactions, and nobody saw either
    g.start()
    g.until(lambda: serves(g, desk="2.0.0", drawer="2.0.0"), lambda: json.dumps(g.status()["modules"]))


def test_abort_gives_a_waiting_one_up(grayling):
    g = grayling
    till(g)
    waiting(g, "desk", g.want({"desk": doc(g, "desk", "2.0.0")}), "drawer")
    r = grayctl(g, "promote", "desk", "--full", "--etcd", g.etcd.url)
    assert r.returncode == 5 and "waits for drawer" in r.stderr, r
    explained = grayctl(g, "explain", "desk")
    assert "waits for drawer" in explained.stdout and "next: grayctl apply what it waits for" in explained.stdout, explained
    r = grayctl(g, "abort", "desk", "--reason", "not yet", "--etcd", g.etcd.url)
    assert r.returncode == 0, r
    g.until(lambda: g.module("desk")["phase"] == "Healthy", lambda: json.dumps(g.module("desk")))
    assert json.loads(g.etcd.get(g.key("desk")))["version"] == "1.0.0" and serves(g, desk="1.0.0", drawer="1.0.0")


def test_a_group_goes_back_together(grayling):
    g = grayling
    till(g)
    healthy(g, g.want(all_of(g, "desk", "drawer", version="2.0.0")), "desk", "drawer")
    with Traffic(g, CHAIN.format("DESK"), clients=1) as traffic:
        r = grayctl(g, "undo", "desk", "--etcd", g.etcd.url)  # a release that is in force
        assert r.returncode == 0, r
        settled(g, desk="1.0.0", drawer="1.0.0")
        assert json.loads(g.etcd.get(g.key("drawer")))["version"] == "1.0.0"
        third = g.want(all_of(g, "desk", "drawer", version="3.0.0", strategy=LONG))
        phase(g, "desk", third, "Baking")
        r = grayctl(g, "abort", "drawer", "--etcd", g.etcd.url)  # a rollout that bakes
        assert r.returncode == 0, r
        settled(g, desk="1.0.0", drawer="1.0.0")
        r = grayctl(g, "undo", "desk", "--to", "2.0.0", "--etcd", g.etcd.url)
        assert r.returncode == 0, r
        settled(g, desk="2.0.0", drawer="2.0.0")
    assert traffic.lost == [] and set(traffic.codes) == {200}


def test_the_plan_says_what_is_known_before_the_bytes_are(grayling):
    g = grayling
    till(g)
    plan = g.control("/v1/plan", "POST", {"documents": {"desk": doc(g, "desk", "2.0.0")}})[1]
    assert "waits for drawer" in plan["rollouts"][0]["waits"] and "waits for drawer" in plan["text"], plan
    both = g.control("/v1/plan", "POST", {"documents": all_of(g, "desk", "drawer", version="2.0.0")})[1]
    assert not both["rollouts"][0]["waits"] and both["refused"] is False
    waiting(g, "desk", g.want({"desk": doc(g, "desk", "2.0.0")}), "drawer")
    rest = g.control("/v1/plan", "POST", {"documents": {"drawer": doc(g, "drawer", "2.0.0")}})[1]
    assert "takes along" in rest["rollouts"][0]["waits"] and "desk" in rest["rollouts"][0]["waits"], rest


def test_a_directory_waits_as_well(make):
    g = make().start()
    both = g.directory / "till.json"
    both.write_text(json.dumps({"modules": all_of(g, "desk", "drawer", version="1.0.0")}))
    g.until(lambda: serves(g, desk="1.0.0", drawer="1.0.0") and g.module("desk")["rollout"]["phase"] == "Healthy")
    both.write_text(json.dumps({"modules": {"desk": doc(g, "desk", "2.0.0"), "drawer": doc(g, "drawer", "1.0.0")}}))
    waiting(g, "desk", None, "drawer")
    both.write_text(json.dumps({"modules": all_of(g, "desk", "drawer", version="2.0.0")}))
    g.until(lambda: serves(g, desk="2.0.0", drawer="2.0.0"), lambda: json.dumps(g.status()["modules"]))
