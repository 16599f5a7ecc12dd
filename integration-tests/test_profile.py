"""Where a running worker spends its processor time: grayctl profile, and perf, also of a version that was unloaded."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import xml.etree.ElementTree

import pytest

from harness import BUILD, MODULES, Traffic

METHOD = "com.example.faulty.FaultyService/Poke"
OLD, NEW = MODULES / "faulty-1.0.0.so", MODULES / "faulty-1.1.0.so"
BUSY = {"mode": "handle-busy", "usec": 2000}

# as docs/PROFILING.md has them
PROFILE = "grayctl profile --seconds 3 --module faulty --write busy"
RECORD = 'perf record -N -e cpu-clock -F 99 -g -p "$WORKER" -o perf.data'
SCRIPT = "perf script -i perf.data -F comm,ip,sym,dso"


def environment(g, **more):
    return {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}", "GRAYLING_CONTROL": str(g.run / "control.sock"), **more}


def profile(g, *args):
    command = [BUILD / "grayctl", "--control", g.run / "control.sock", "profile", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def folded(path):
    return [(line.rpartition(" ")[0].split(";"), int(line.rpartition(" ")[2])) for line in pathlib.Path(path).read_text().splitlines()]


def share_of_leaf(stacks, leaf):
    return sum(n for frames, n in stacks if frames[-1] == leaf) / sum(n for _, n in stacks)


def test_the_hot_function_of_a_module_is_found(grayling, tmp_path):
    g = grayling
    g.deploy("faulty", OLD, config=BUSY)
    with Traffic(g, METHOD, clients=2) as traffic:
        traffic.await_turns(2)
        p = subprocess.run(PROFILE + " -o json", shell=True, cwd=tmp_path, capture_output=True, text=True, env=environment(g))
    assert p.returncode == 0, p.stderr
    told = json.loads(p.stdout)
    assert told["samples"] > 0 and not told["lost"], told
    hottest = told["functions"][0]
    assert (hottest["function"], hottest["module"]) == ("hot_loop", "faulty-1.0.0"), told["functions"][:5]
    stacks = folded(tmp_path / "busy.folded")
    assert share_of_leaf(stacks, "hot_loop@faulty-1.0.0") > 0.5, stacks[:20]
    callers = [frames for frames, _ in stacks if frames[-1] == "hot_loop@faulty-1.0.0"]
    assert any("handle@faulty-1.0.0" in f and any("grayling" not in x and "@" not in x for x in f[1:]) for f in callers), callers[:5]
    svg = xml.etree.ElementTree.parse(tmp_path / "busy.svg")
    titles = [t.text for t in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert any(t.startswith("hot_loop of faulty-1.0.0: ") for t in titles), titles[:10]
    assert not list(svg.iter("{http://www.w3.org/2000/svg}script"))


def test_a_version_that_goes_meanwhile_keeps_its_names(grayling, tmp_path):
    g = grayling
    g.deploy("faulty", OLD, config=BUSY)
    with Traffic(g, METHOD, clients=2) as traffic:
        traffic.await_turns(2)
        p = profile(g, "--seconds", 20, "--write", tmp_path / "swapped")
        g.until(lambda: "SIGPROF" in caught_by(g))  # samples are being taken
        traffic.await_turns(20)
        g.deploy("faulty", NEW, config=BUSY, strategy={"bake": "100ms"})
        traffic.assert_served("1.0.0", "1.1.0")
        out, err = p.communicate()
    assert p.returncode == 0, err
    assert "Function" in out, out
    leaves = {frames[-1] for frames, _ in folded(tmp_path / "swapped.folded")}
    assert {"hot_loop@faulty-1.0.0", "hot_loop@faulty-1.1.0"} <= leaves, leaves


def caught_by(g):
    """Names of signals that the worker catches, of those asked for here."""
    mask = next(line for line in (pathlib.Path("/proc") / str(g.status()["worker"]["pid"]) / "status").read_text().splitlines() if line.startswith("SigCgt"))
    return {"SIGPROF"} if int(mask.split()[1], 16) >> 26 & 1 else set()


def test_what_cannot_be_is_refused(grayling, tmp_path):
    g = grayling
    for words, status, says in ((("--seconds", 0), 2, "--seconds 0"), (("--seconds", 301), 2, "300"), (("--hz", 1000), 2, "999"),
                                (("--seconds", 1, "--write", tmp_path / "no" / "where"), 3, "--write PREFIX")):
        p = profile(g, *words)
        assert (p.wait(), says in p.stderr.read()) == (status, True), words
    status, first = g.control("/v1/profile", "POST", {"usec": 300_000_000, "hz": 99})
    assert status == 200
    second = profile(g, "--seconds", 1, "--write", tmp_path / "second")
    assert second.wait() == 5 and "one is at once" in second.stderr.read()
    assert g.control(f"/v1/profile/{first['profile']}")[0] == 409, "it has not ended"
    assert g.control(f"/v1/profile/{first['profile'] + 1}")[0] == 404
    os.kill(g.status()["worker"]["pid"], 9)  # which ends the profile, and whoever waits is told
    status, why = g.control(f"/v1/profile/{first['profile']}?wait=60s")
    assert status == 503 and "has not come to its end" in why["message"], why
    g.until(lambda: (g.status().get("worker") or {}).get("pid"))
    assert not (tmp_path / "second.folded").exists()


def perf_works(tmp_path):
    if not shutil.which("perf"):
        return "perf is not installed (Debian: linux-perf)"
    r = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-o", tmp_path / "try.data", "true"], capture_output=True, text=True)
    return "" if r.returncode == 0 else f"perf may not record here: {r.stderr.strip()[-200:]}"


def test_perf_names_the_functions_of_a_version_that_was_unloaded(grayling, tmp_path):
    reason = perf_works(tmp_path)
    if reason:
        pytest.skip(reason)
    g, data = grayling, tmp_path / "perf.data"
    g.deploy("faulty", OLD, config=BUSY)
    worker = g.status()["worker"]["pid"]
    maps = pathlib.Path("/proc") / str(worker) / "maps"
    env = environment(g, WORKER=str(worker), HOME=str(tmp_path))
    with Traffic(g, METHOD, clients=2) as traffic:
        traffic.await_turns(2)
        perf = subprocess.Popen("exec " + RECORD, shell=True, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
        g.until(lambda: data.exists() and data.stat().st_size > 0)
        traffic.await_turns(60)
        g.deploy("faulty", NEW, config=BUSY, strategy={"bake": "100ms"})
        g.until(lambda: "faulty-1.0.0" not in maps.read_text(), maps.read_text)
        traffic.await_turns(20)
    perf.send_signal(signal.SIGINT)
    assert perf.wait() in (0, 130, -signal.SIGINT), perf.stderr.read()
    script = subprocess.run(SCRIPT, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True)
    hot = [line for line in script.stdout.splitlines() if "hot_loop" in line]
    for version in "1.0.0", "1.1.0":
        assert any(f"faulty-{version}-" in line for line in hot), (version, hot[:3], script.stderr[-300:])


def build(g, name, version="1.1.0"):
    """Bytes that no other release has; the same code."""
    path = g.incoming / f"{name}-build.so"
    path.write_bytes((MODULES / f"faulty-{version}.so").read_bytes() + name.encode())
    return path


def in_store(g):
    return {p.name for p in (g.state / "store").iterdir() if p.suffix == ".so"}


def test_the_store_keeps_what_is_evidence(grayling):
    """Eight of a module are kept besides those in use; a convicted one outlives many more."""
    g = grayling
    g.deploy("faulty", build(g, "good"), version="1.1.0")
    bad = g.document(build(g, "bad"), version="1.1.0", config={"mode": "handle-crash"}, strategy={"bake": "30m"})
    with Traffic(g, METHOD, clients=2):
        g.want({"faulty": bad})
        g.wait_phase("faulty", "RolledBack")
    assert [q["hash"] for q in g.status()["quarantine"]] == [bad["version_hash"]]
    files = {}
    for n in range(13):
        d = g.document(build(g, f"later-{n}"), version="1.1.0", strategy={"bake": "100ms"})
        g.want({"faulty": d})
        g.wait_phase("faulty", "Healthy")
        files[n] = d["version_hash"].removeprefix("sha256:")[:16]
    convicted = bad["version_hash"].removeprefix("sha256:")[:16]
    g.until(lambda: not any(files[0] in name for name in in_store(g)), lambda: f"the oldest release stays: {in_store(g)}")
    assert any(convicted in name for name in in_store(g)), in_store(g)
    assert any(files[12] in name for name in in_store(g))


def test_what_cannot_be_kept_is_not_begun(grayling, tmp_path):
    """Found before anything is sampled: with 300 s asked for, an answer that waited for them would not come in time."""
    old = tmp_path / "kept.folded"
    old.write_text("an older profile")
    p = profile(grayling, "--seconds", 300, "--write", tmp_path / "nowhere" / "busy")
    out, err = p.communicate(timeout=90)
    assert p.returncode == 3 and f"cannot be written to {tmp_path}/nowhere/busy.folded: No such file or directory" in err and not out, err
    (tmp_path / "kept.svg").mkdir()
    p = profile(grayling, "--seconds", 300, "--write", tmp_path / "kept")
    out, err = p.communicate(timeout=90)
    assert p.returncode != 0 and "kept.svg: Is a directory" in err and old.read_text() == "an older profile", err
    assert grayling.control("/v1/profile", "POST", {"actor": "test", "hz": 9, "usec": 1000000})[0] in (200, 202), "none is under way"
