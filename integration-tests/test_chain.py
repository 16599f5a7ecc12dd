"""A batch of 32 modules in one chain of dependencies (modules/members): one transaction from the files to the table, loaded in the order of needs,
unloaded in the reverse, and its freeze beside that of one module.

GRAYLING_FREEZES: how many swaps of each kind are measured."""
import json
import os
import re
import statistics
import subprocess

import pytest

from harness import BUILD, MODULES, PATIENCE, Traffic

CHAIN = [f"m{i:02}" for i in range(32)]
FREEZES = int(os.environ.get("GRAYLING_FREEZES", "2"))
FROZEN = re.compile(r"dispatch was frozen for (\d+) us")
ENDS = ("Healthy", "Rejected", "RolledBack", "Superseded")


def documents(g, version, modules=CHAIN, mark="", **strategy):
    return {m: g.document(MODULES / f"{m}-{version}.so", config={"mark": mark}, strategy={"bake": "1ms", "deadline": "10m", **strategy})
            for m in modules}


def healthy(g, rollout, modules=CHAIN):
    for m in modules:
        ev = g.wait_event(lambda e: e["module"] == m and e["rollout"] == rollout and e["phase"] in ENDS, after=0)
        assert ev["phase"] == "Healthy", ev


def members(g, rollout):
    rows = {r["rollout"]: r for r in g.control("/v1/history?limit=100")[1]["rollouts"]}
    return sorted(m["module"] for m in rows[rollout]["modules"])


def answer(g, module):
    """The versions of this module and of those below it, within one request, as deep as calls may go."""
    status, _, body = g.call(f"com.example.members.{module.upper()}/Chain", {"depth": 6})
    assert status == 200, body
    return json.loads(body)["chain"]


def assert_whole(g, version):
    for i in (6, 13, 20, 27, 31):
        assert answer(g, CHAIN[i]) == " ".join(f"{m}@{version}" for m in reversed(CHAIN[i - 6:i + 1]))


def logged(g, what, after):
    return re.findall(rf"(m\d\d)@[\d.]+ {what}", (g.root / "graylingd.log").read_text(errors="replace")[after:])


def grayctl(g, *words):
    return subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *map(str, words)], capture_output=True, text=True,
                          timeout=PATIENCE, env=dict(os.environ, NO_COLOR="1"))


def write_files(g, version):
    folder = g.root / version
    folder.mkdir()
    for m, d in documents(g, version).items():
        (folder / f"{m}.json").write_text(json.dumps(d))
    return sorted(folder.iterdir())


@pytest.fixture
def chain(grayling):
    healthy(grayling, grayling.want(documents(grayling, "1.0.0")))
    assert_whole(grayling, "1.0.0")
    return grayling


class Chains(Traffic):
    """Counts answers by the set of versions in them."""

    def _answered(self, i, status, headers, body):
        chain = json.loads(body).get("chain", "").split() if status == 200 else [body.decode()]
        super()._answered(i, status, {"x-grayling-version": "+".join(sorted({c.split("@")[-1] for c in chain}))}, body)


def test_files_to_table_as_one_transaction(chain):
    g, files = chain, write_files(chain, "2.0.0")  # none of them fits beside any of 1.0.0
    plan = grayctl(g, "plan", *(w for f in files for w in ("-f", f)))
    assert plan.returncode == 0, plan.stderr
    lines = [line for line in plan.stdout.splitlines() if re.match(r"\s*\d+\s+m\d\d\s+replace\s+1\.0\.0\s+2\.0\.0", line)]
    assert len(lines) == 32 and len({line.split()[0] for line in lines}) == 1, plan.stdout  # one group
    assert max(len(line) for line in plan.stdout.splitlines()) <= 120, plan.stdout
    before, size = g.etcd.revision(), len((g.root / "graylingd.log").read_text(errors="replace"))
    with Chains(g, "com.example.members.M31/Chain", clients=2, body=json.dumps({"depth": 6})) as t:
        applied = grayctl(g, "apply", *(w for f in files for w in ("-f", f)))
        assert applied.returncode == 0, applied.stderr
        rollout = before + 1
        healthy(g, rollout)
        codes, versions, lost = t.take()
    assert lost == [] and set(codes) == {200} and set(versions) <= {"1.0.0", "2.0.0"}, (codes, versions, lost)
    assert members(g, rollout) == CHAIN
    assert_whole(g, "2.0.0")
    g.wait_loaded(32)
    assert logged(g, "was told", size) == CHAIN
    assert logged(g, "is destroyed", size) == CHAIN[::-1]


def test_more_than_etcd_takes_is_refused_with_a_sentence(grayling):
    folder = grayling.root / "many"
    folder.mkdir()
    one = json.dumps(documents(grayling, "1.0.0", ["m00"])["m00"])
    files = [folder / f"x{i}.json" for i in range(129)]
    for f in files:
        f.write_text(one)
    before = grayling.etcd.revision()
    r = grayctl(grayling, "apply", *files)
    assert r.returncode != 0 and "129 modules at once; etcd takes at most 128 in one transaction" in r.stderr, (r.returncode, r.stderr)
    assert grayling.etcd.revision() == before
    # as many as it takes are one transaction, and answered one by one
    r = grayctl(grayling, "apply", *files[:128])
    assert r.returncode == 0 and grayling.etcd.revision() == before + 1, r.stderr


def frozen(g, rollout):
    ev = g.wait_event(lambda e: e["rollout"] == rollout and FROZEN.search(e["message"] or ""), after=0)
    return int(FROZEN.search(ev["message"]).group(1))


def test_the_freeze_of_32_beside_that_of_one(chain, capsys):
    g, took = chain, {1: [], 32: []}
    with Chains(g, "com.example.members.M31/Chain", clients=2, body=json.dumps({"depth": 6})) as t:
        for i in range(FREEZES):
            for n in took:
                modules = CHAIN[-n:]
                rollout = g.want(documents(g, "1.0.0", modules, mark=f"{n}-{i}", freeze_budget="10s"))
                healthy(g, rollout, modules)
                took[n].append(frozen(g, rollout))
        codes, _, lost = t.take()
    assert lost == [] and set(codes) == {200}, (codes, lost)
    with capsys.disabled():
        print("".join(f"\n  dispatch was frozen for {statistics.median(us):.0f} us (median of {len(us)}, longest {max(us)}) in a batch of {n}"
                      for n, us in took.items()), flush=True)
