"""kill -9 of the supervisor or of a worker at random instants, while releases go by and clients never pause.

Three modules are released together, and one request sees all of them: a set that is mixed is never seen, and what is served and what the journal
says after each death is one set that was asked for. GRAYLING_KILLS says how often (2,000 take about half an hour), GRAYLING_KILLS_SEED which
instants, GRAYLING_KILLS_REPORT where the figures go (JSON)."""
import contextlib
import json
import os
import pathlib
import random
import signal
import sqlite3
import tempfile
import time

from harness import PATIENCE, Etcd, Grayling
from pairs import percentile, seconds
from sets import LOOK, OBSERVER, Family, said

KILLS = int(os.environ.get("GRAYLING_KILLS", 40))
SEED = int(os.environ.get("GRAYLING_KILLS_SEED", 1812))
CLIENTS = 2
LASTING = 5  # a release is waited for after so many deaths at the latest: else none would ever end


def workers(supervisor):
    """Pids of the living ones; other children come and go."""
    for pid in pathlib.Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if pathlib.Path(f"/proc/{pid}/comm").read_text() == "grayling-worker\n":
                yield int(pid)


class Killing:
    def __init__(self, g, family, chance):
        self.g, self.family, self.chance = g, family, chance
        self.body = json.dumps({"family": family.name, "n": family.n})
        self.number, self.asked, self.rollout = 0, {0}, 0
        self.figures = {"supervisor": {"answered": [], "ready": []}, "worker": {"answered": []}}
        self.ends = {"old": 0, "new": 0}

    def release(self):
        """The next set is desired, whatever became of the one before."""
        self.number += 1
        self.asked.add(self.number)
        self.rollout = self.g.want(self.family.documents(self.number))
        for path in self.g.incoming.glob(f"*-set-{self.number - 2 * LASTING - 2}.so"):
            path.unlink()

    def answered(self):
        """What a client that comes anew is told, and after how long."""
        since = time.monotonic()
        while True:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # it was the dead one's; nobody is refused
                code, _, body = self.g.call(LOOK, self.body)
                assert code == 200, (code, body)
                return seconds(since), body.decode()
            assert seconds(since) < PATIENCE, self.g.log()

    def journaled(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.g.state}/journal.db?mode=ro", uri=True)) as db:
            return {r[0] for r in db.execute("SELECT json_extract(release, '$.config.set') FROM committed WHERE module != 'observer'")}

    def judge(self, body):
        """With the supervisor dead nothing moves: what is served is one set, what is journaled is one set, and both were asked for."""
        sets, known = self.journaled(), {said(n) for n in self.asked}
        assert len(sets) == 1 and sets <= self.asked and body in known, (sets, body)
        self.ends["new" if sets == {self.number} else "old"] += 1

    def supervisor(self):
        self.g.process.kill()
        self.g.process.wait()
        usec, body = self.answered()
        self.judge(body)
        since = time.monotonic()
        self.g.start()
        self.figures["supervisor"]["answered"].append(usec)
        self.figures["supervisor"]["ready"].append(seconds(since))

    def wait_for_a_worker(self, dead):
        """One holds the sockets again: the next may be the supervisor's turn, and with both dead nobody would listen."""
        self.g.until(lambda: (w := self.g.status()["worker"]) and w["pid"] != dead and pathlib.Path(f"/proc/{w['pid']}").exists())

    def worker(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            living = list(workers(self.g.process.pid))
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                if living:
                    dead = self.chance.choice(living)
                    os.kill(dead, signal.SIGKILL)
                    usec, _ = self.answered()
                    self.figures["worker"]["answered"].append(usec)
                    return self.wait_for_a_worker(dead)
        raise AssertionError("there is no worker")

    def arrive(self):
        """All members serve the newest set."""
        members = self.family.members
        self.g.until(lambda: self.answered()[1] == said(self.number) and all(self.g.module(m)["phase"] == "Healthy" for m in members),
                     lambda: [self.g.module(m) for m in members])

    def report(self):
        told = {"kills": sum(len(f["answered"]) for f in self.figures.values()), "seed": SEED, "releases": self.number, **self.ends, "between": 0}
        for who, figures in self.figures.items():
            for what, values in figures.items():
                told[f"{who} {what}"] = {"n": len(values), "p50": percentile(values, .5), "p99": percentile(values, .99), "max": max(values, default=None)}
        path = os.environ.get("GRAYLING_KILLS_REPORT")
        if path:
            pathlib.Path(path).write_text(json.dumps(told, indent=1))


@contextlib.contextmanager
def killing():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        root = pathlib.Path(d)
        etcd = Etcd(root)
        (root / "g").mkdir()
        g = Grayling(root / "g", etcd, sets=["Service.StableAfter=0s"])  # or so many kills in a row would be safe mode
        try:
            family = Family(g.start(), "plain", 3)
            g.deploy("observer", OBSERVER)
            family.deploy(0)
            yield Killing(g, family, random.Random(SEED))
            assert g.stop() == 0, g.log()
        finally:
            worker = g.kill()
            if worker:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            etcd.stop()


def test_random_instants():
    with killing() as k, k.family.looks(CLIENTS) as looks:
        for i in range(KILLS):
            if i % LASTING == 0 or k.chance.random() < .5:
                k.release()
            looks.await_turns(k.chance.randrange(1, 200))
            k.chance.choice((k.supervisor, k.worker))()
            with looks.turned:  # a client may be late to see what it lost: all of them are counted, never more than were in flight
                assert len(looks.lost) <= CLIENTS * len(k.figures["worker"]["answered"]), (looks.lost, k.g.log())
                assert not any("refused" in x.lower() for x in looks.lost), (looks.lost, k.g.log())
                assert looks.mixed == [] and not looks.failed, (looks.mixed, looks.failed)
            if i % LASTING == LASTING - 1:
                k.arrive()
        k.arrive()
        assert set(looks.seen) <= {said(n) for n in k.asked}
        k.report()
        assert min(k.ends.values()) > 0 or KILLS < 40, k.ends
