"""Each fault point of the programs, killed there and failing there, under load.

The points are read from the programs, so that none is left out: one that no story passes is a failure. Whatever was hit, what serves and what
the journal says is wholly old or wholly new, no connection is refused, no more than the calls in flight are lost, and the next start ends at
what is desired. GRAYLING_SWEEP=all sweeps every point at many of its passages and takes most of an hour, a pattern those whose names it finds; else each run does a
share, another one each day (GRAYLING_SWEEP_SEED). The table of what was done is written to GRAYLING_SWEEP_REPORT (JSON; beside it, as text)."""
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time

import pytest

from harness import BUILD
from pairs import CLIENTS, pairs, percentile, seconds
from stories import STORIES, Release, deploy_faulty

PROGRAMS = ("graylingd", "grayling-worker", "grayling-store", "grayling-preflight")
ELSEWHERE = {"handover.export", "handover.import", "handover.imported",  # by test_drill_state.py, whose modules have state
             "fs.unlink"}  # by supervisor/base/fs-test.c: a full disk, or damage for the fifth time
# The only worker dies while the next supervisor asks it for its sockets: without a descriptor store nobody holds them then.
NOBODY_LEFT = {"worker.describe"}
PASSAGES = (1, 2, 3, 5, 8, 13, 21)
WHICH = os.environ.get("GRAYLING_SWEEP", "").replace("all", "")  # a pattern of names; all of them
ALL = "GRAYLING_SWEEP" in os.environ
SHARE = 10  # one in so many
SEED = int(os.environ.get("GRAYLING_SWEEP_SEED", time.time() // 86400 % SHARE))
ERRORS = {"fetch.write": "ENOSPC", "store.write": "ENOSPC", "fs.write": "ENOSPC", "journal.before-commit": "ENOSPC", "preflight.spawn": "EAGAIN",
          "worker.spawn": "EAGAIN", "orphan.release": "EPIPE", "rollout.before-swap": "EPIPE", "fs.rename": "EROFS"}


def points():
    """{name: whether it can fail}, as the programs list them."""
    found = {}
    for program in PROGRAMS:
        section = subprocess.run(["objcopy", "-O", "binary", "--only-section=gr_fault_points", BUILD / program, "/dev/stdout"],
                                 capture_output=True, check=True).stdout
        found.update({name[1:].decode(): name[:1] == b"?" for name in section.split(b"\0") if name})
    return found


class Sweep:
    def __init__(self, bench):
        self.bench, self.rows, self.red, self.unmet = bench, [], [], []
        self.trace = bench.g.root / "trace"

    def is_hit(self, point):
        return f"hit:{point}" in self.trace.read_text().split()

    def run(self, story, point, nth, action):
        """One play with the point armed, and the start after it. Returns whether it was passed so often."""
        g = self.bench.g
        self.trace.write_text("")
        dead = story.play(GRAYLING_FAULT=f"{point}:{nth}:{action}", GRAYLING_FAULT_TRACE=str(self.trace))
        hit = self.is_hit(point)
        code = g.process.returncode
        if dead and hit and action != "kill" and code > 0:
            assert ":" in g.log().splitlines()[-1], f"it ended with {code} and without a sentence: {g.log()}"
        g.stop(signal.SIGKILL)
        state = story.whole()
        since = time.monotonic()
        g.start()
        ready = seconds(since)
        story.finish()
        hit = hit or self.is_hit(point)  # by the worker that was left, when the next supervisor came
        if story.lossless and point not in NOBODY_LEFT:
            self.bench.nobody_noticed(lost=0 if code == -signal.SIGKILL else 3 * CLIENTS)
        else:
            self.bench.traffic.take()
        if hit:
            self.rows.append({"story": story.name, "point": point, "passage": nth, "action": action, "ended": code if dead else None,
                              "state": state, "ready": round(ready, 3), "converged": round(seconds(since), 3)})
        return hit

    def passages(self, story, point, action, chance):
        """Hits the point at some of its passages. Where the story's timing decides whether it is passed at all, that may not come this time."""
        hits = 0
        for nth in PASSAGES if ALL else (chance.choice(PASSAGES), 1, 1):
            if self.run(story, point, nth, action):
                hits += 1
                if not ALL:
                    break
            elif ALL:
                break
        if not hits:
            self.unmet.append(f"{story.name} {point} {action}")

    def report(self, listed):
        path = os.environ.get("GRAYLING_SWEEP_REPORT")
        ready, converged = ([r[k] for r in self.rows] for k in ("ready", "converged"))
        kills = [r for r in self.rows if r["action"] == "kill"]
        told = {"seed": SEED, "points": len(listed), "swept": len({r["point"] for r in self.rows}), "runs": len(self.rows), "kills": len(kills),
                "errors": len(self.rows) - len(kills), "old": sum(r["state"] == "old" for r in self.rows),
                "new": sum(r["state"] == "new" for r in self.rows), "between": 0, "red": self.red, "unmet": self.unmet,
                "ready_seconds": {"p50": percentile(ready, .5), "p99": percentile(ready, .99)},
                "converged_seconds": {"p50": percentile(converged, .5), "p99": percentile(converged, .99)}}
        if path:
            pathlib.Path(path).write_text(json.dumps({**told, "rows": self.rows}, indent=1))
            head = "\n".join(f"{k}: {v}" for k, v in told.items())
            pathlib.Path(path).with_suffix(".txt").write_text(head + "\n\n" + "\n".join(
                f"{r['story']:8} {r['point']:26} {r['passage']:3} {r['action']:14} {r['state']:4} {r['ready']:7.3f} {r['converged']:7.3f}" for r in self.rows))
        return told


@pytest.fixture(scope="module")
def bench():
    with pairs() as b:
        deploy_faulty(b)
        yield b


def passed_by(bench, story):
    """The points that the story passes when nothing fails."""
    trace = bench.g.root / "trace"
    trace.write_text("")
    story.play(GRAYLING_FAULT_TRACE=str(trace))
    bench.g.stop(signal.SIGKILL)
    bench.g.start()
    story.finish()
    bench.traffic.take()
    return set(trace.read_text().split())


def test_each_point(bench):
    """Where it can be killed and where it can fail: the end is whole."""
    listed = points()
    assert len(listed) >= 60, listed
    cases, left = [], set(listed) - ELSEWHERE
    for story in (s(bench) for s in STORIES):
        mine = (left | story.again) & passed_by(bench, story)
        left -= mine
        cases += [(story, p, a) for p in sorted(mine) for a in ("kill", *([f"error:{ERRORS.get(p, 'EIO')}"] if listed[p] else []))]
    assert not left, f"no story passes {sorted(left)}"
    chance = random.Random(SEED)
    sweep = Sweep(bench)
    for story, point, action in [c for i, c in enumerate(cases) if (re.search(WHICH, c[1]) if ALL else (i + SEED) % SHARE == 0)]:
        sweep.report(listed)  # as far as it is: whatever ends the rest
        try:
            sweep.passages(story, point, action, chance)
        except AssertionError as e:
            sweep.red.append(f"{story.name} {point} {action}: {str(e)[:3000]}")
            print(sweep.red[-1])
            if not ALL:
                break
            bench.g.stop(signal.SIGKILL)
            bench.g.start()
            with contextlib.suppress(AssertionError):
                story.finish()
            bench.traffic.take()
    told = sweep.report(listed)
    assert not sweep.red, "\n".join(sweep.red)
    assert told["runs"] > 0 and len(told["unmet"]) <= 1 + told["runs"] // 10, told["unmet"]


def test_the_worker_is_killed_under_the_freeze(bench):
    """Each worker dies as soon as a release has its gates closed: the release is given up, and the same one succeeds when they live."""
    story = Release(bench)
    assert not story.play(GRAYLING_FAULT="swap.frozen:2:kill")  # the first passage puts the table in force that a worker is built with
    bench.g.stop(signal.SIGKILL)
    bench.whole()
    bench.g.start()
    story.finish()
    bench.nobody_noticed(lost=3 * CLIENTS)


def test_an_error_under_the_freeze(bench):
    story = Release(bench)
    assert not story.play(GRAYLING_FAULT="swap.frozen:2:error:EIO")
    m = bench.g.module("pay")
    assert m["reason"] == "StateHandoverFailed" and m["stable"]["version"] != bench.pair[0], m
    bench.g.stop(signal.SIGKILL)
    bench.whole()
    bench.g.start()
    story.finish()
    bench.nobody_noticed()
