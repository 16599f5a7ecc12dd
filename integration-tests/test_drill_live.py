"""Drills against a running instance: what runs there beside them is not disturbed, and nothing of them is left, also when their runner dies."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from harness import BUILD, MODULES, SOURCE, Traffic
from output_schema import check

CHARGE = "com.example.pay.PayService/Charge"
DRILLS = SOURCE / "integration-tests" / "drills"
LIVE = sorted(DRILLS.glob("live-*.drill"))
STUCK = """shows it waits for a person who does not come
given drill-faulty 1.0.0
put drill-faulty 1.1.0 with {"strategy": {"steps": [{"weight": 50}, {"pause": {}}, {"weight": 100}]}}
expect event drill-faulty Healthy within 10m
"""


def command(g, *words):
    return [BUILD / "grayctl", "--control", g.run / "control.sock", "drill", *words, "--results", g.root / "results"]


def drill(g, *words):
    return subprocess.run(command(g, *words), capture_output=True, text=True)


def report(g):
    r = drill(g, "report", "-o", "json")
    check(json.loads(r.stdout), "drill")
    return r.returncode, {d["drill"]: d for d in json.loads(r.stdout)["items"]}


def below(pid):
    """Its children and theirs, from the top."""
    children = [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [g for c in children for g in below(c)]


def modules(g):
    return [m["module"] for m in g.status()["modules"]]


def state(g):
    """What another run of the same instance would find."""
    keys = g.etcd.post("kv/range", {"key": "L21vZHVsZXMv", "range_end": "L21vZHVsZXMw"}).get("kvs", [])
    pay = g.module("pay")
    return [k["key"] for k in keys], modules(g), pay["phase"], pay["stable"]["hash"], pay["observed_revision"]


@pytest.fixture
def g(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    return grayling


def test_nothing_of_a_drill_is_left(g):
    before = state(g)
    with Traffic(g, CHARGE, clients=2) as t:
        r = drill(g, "run", "--live", "--strict", *LIVE)
        assert r.returncode == 0, r.stderr + g.log()
        t.assert_served("1.0.0")
    assert state(g) == before
    status, results = report(g)
    assert status == 0 and {d["verdict"] for d in results.values()} == {"passed"} and all(d["live"] for d in results.values()), results
    assert results["live-crash"]["detect_usec"] is not None and results["live-crash"]["lost"] == 0


def test_a_runner_that_dies_disarms_its_drill(g):
    """Runner and guards are killed at once, in the middle: the keys end with their lease."""
    before = state(g)
    stuck = pathlib.Path(g.root / "stuck.drill")
    stuck.write_text(STUCK)
    with Traffic(g, CHARGE, clients=2) as t:
        p = subprocess.Popen(command(g, "run", "--live", stuck), start_new_session=True, env=dict(os.environ, TMPDIR=str(g.root)),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        g.wait_event(lambda e: e["module"] == "drill-faulty" and e["phase"] == "Paused")
        assert modules(g) == ["drill-faulty", "pay"]
        for pid in below(p.pid):
            os.kill(pid, signal.SIGSTOP)
        for pid in [p.pid, *below(p.pid)]:
            os.kill(pid, signal.SIGKILL)
        p.wait()
        g.until(lambda: modules(g) == ["pay"], lambda: modules(g))
        t.assert_served("1.0.0")
    assert state(g) == before
    status, results = report(g)
    assert status == 4 and results["stuck"]["verdict"] == "aborted", results


def test_only_modules_of_drills(g):
    before = state(g)
    r = drill(g, "run", "--live", "--strict", DRILLS / "crash-at-full-traffic.drill", DRILLS / "etcd-silent.drill")
    assert r.returncode == 4 and "begins with drill-" in r.stderr and "throw-away one only" in r.stderr, r.stderr
    assert {d["verdict"] for d in report(g)[1].values()} == {"skipped"}
    assert state(g) == before


def test_a_directory_disarms_nothing(make):
    g = make().start()
    r = drill(g, "run", "--live", LIVE[0])
    assert r.returncode == 4 and "need etcd as its source" in r.stderr, (r.returncode, r.stderr)


@pytest.mark.parametrize("victim", ["outer guard", "inner guard", "runner"])
def test_whichever_dies_no_instance_is_left(g, tmp_path, victim):
    """Of a throw-away one: a guard that is left ends what the runner started, and removes its directory."""
    stuck = pathlib.Path(g.root / "stuck.drill")
    stuck.write_text(STUCK)
    p = subprocess.Popen(command(g, "run", stuck), env=dict(os.environ, TMPDIR=str(tmp_path)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def find():
        return [d for d in tmp_path.glob("grayling-drill-*/1/run/control.sock")]
    g.until(find, lambda: list(tmp_path.iterdir()))
    inner, runner, *started = below(p.pid)
    assert started
    os.kill({"outer guard": p.pid, "inner guard": inner, "runner": runner}[victim], 9)
    assert p.wait(60) == (-9 if victim == "outer guard" else 130)
    g.until(lambda: list(tmp_path.iterdir()) == [] and not any(pathlib.Path(f"/proc/{c}").exists() for c in (inner, runner, *started)),
            lambda: (list(tmp_path.iterdir()), started))
    assert report(g)[1]["stuck"]["verdict"] == "aborted"
