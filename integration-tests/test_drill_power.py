"""The power fails at any instant, and what was not synced is lost in any part: the next start serves one table, the newest that somebody was
told of or one that was asked for since, and remembers who was convicted; nobody is needed for that, and no candidate pays for it.

One play of releases, a conviction and two restarts is recorded; from the record come the state directories that a cut could have left, and
graylingd is started on each, without its source and without the files of the artifacts. Each run tries 24 of them, others on the next day
(GRAYLING_POWER_SEED); GRAYLING_POWER_CUTS=N so many, GRAYLING_POWER_REPORT=FILE tells of them as JSON."""
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import time

import power
from harness import BUILD, MODULES, Etcd, Grayling, free_port, sha256
from pairs import NEW, OLD, POKE

CUTS = int(os.environ.get("GRAYLING_POWER_CUTS", "24"))
SEED = int(os.environ.get("GRAYLING_POWER_SEED", time.time() // 86400))
HOW = ("nothing", "some", "some", "some", "everything")  # of what was not synced is there


class Play:
    """What is recorded; what clients were told and what they asked for is marked in it."""

    def __init__(self, root):
        self.root, self.log = root, root / "record"
        self.log.write_bytes(b"")
        self.etcd = Etcd(root)
        (root / "g").mkdir()
        self.g = Grayling(root / "g", self.etcd, sets=["Service.StableAfter=0s"], env={
            "LD_PRELOAD": str(BUILD / "tests" / "grayling-record.so"), "GRAYLING_RECORD_LOG": str(self.log),
            "GRAYLING_RECORD_ROOT": str(root / "g" / "state"), "GRAYLING_BOOT_ID": "before",
            "ASAN_OPTIONS": ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))})
        self.builds = 0

    def fresh(self, name):
        self.builds += 1
        path = self.g.incoming / f"build-{self.builds}.so"
        path.write_bytes((MODULES / f"{name}.so").read_bytes() + str(self.builds).encode())
        return path

    def release(self, pair):
        power.mark(self.log, f"want {pair[0]} {pair[1]}")
        self.g.want({m: self.g.document(self.fresh(f"{m}-{v}"), version=v, strategy={"bake": "10ms"}) for m, v in zip(("pay", "echo"), pair)})
        for m, v in zip(("pay", "echo"), pair):
            self.g.until(lambda: (now := self.g.module(m)) and now["phase"] == "Healthy" and now["stable"]["version"] == v)
        power.mark(self.log, f"have {pair[0]} {pair[1]}")

    def convict(self):
        self.g.deploy("faulty", MODULES / "faulty-1.0.0.so")
        bad = self.fresh("faulty-1.1.0")
        power.mark(self.log, f"guilty {sha256(bad)}")
        self.g.want({"faulty": self.g.document(bad, version="1.1.0", config={"mode": "handle-crash"}, strategy={"bake": "1h"})})
        self.g.wait_phase("faulty", "Baking")
        self.g.call(POKE)
        self.g.until(lambda: sha256(bad) in [c["hash"] for c in self.g.control("/v1/quarantine")[1]["quarantine"]])
        power.mark(self.log, f"convicted {sha256(bad)}")

    def run(self):
        try:
            self.g.start()
            self.release(OLD)
            self.convict()
            self.release(NEW)
            assert self.g.stop() == 0, self.g.log()
            self.g.start()
            self.release(OLD)
            self.g.stop(signal.SIGKILL)
            self.g.start()
            self.release(NEW)
            assert self.g.stop() == 0, self.g.log()
        finally:
            end(self.g)
            self.etcd.stop()
        return power.read(self.log)


def end(g):
    worker = g.kill()
    if worker:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


class Told:
    """What clients know at an instant of the record."""

    def __init__(self):
        self.pairs, self.guilty, self.convicted = {(None, None)}, set(), set()

    def take(self, text):
        what, *words = text.split()
        if what == "want":
            self.pairs.add(tuple(words))
        elif what == "have":
            self.pairs = {tuple(words)}
        else:
            (self.guilty if what == "guilty" else self.convicted).add(words[0])


class Away:
    """An etcd that is not there."""

    def __init__(self):
        self.url = f"http://127.0.0.1:{free_port()}"


def try_out(root, image, told, boot):
    """One start on what is left. Returns the pair that it serves, and how many seconds it took."""
    root.mkdir()
    g = Grayling(root, Away(), env={"GRAYLING_BOOT_ID": boot})
    power.lay_out(image, g.state)
    try:
        since = time.monotonic()
        g.start()
        ready = time.monotonic() - since
        g.until(lambda: not any(m["phase"] == "Progressing" for m in g.status()["modules"] if m["module"] != "faulty"), g.status)
        status = g.status()
        stable = {m["module"]: (m.get("stable") or {}).get("version") for m in status["modules"]}
        pair = stable.get("pay"), stable.get("echo")
        assert pair in told.pairs, f"{pair} is in force, expected one of {told.pairs}: {status}"
        for method, v in zip(("com.example.pay.PayService/Charge", "com.example.echo.EchoService/Echo"), pair):
            code, headers, _ = g.call(method)
            assert (code, headers.get("x-grayling-version")) == ((200, v) if v else (404, None)), (method, code, headers, status)
        convicted = {c["hash"] for c in status["quarantine"]}
        assert told.convicted <= convicted <= told.guilty, f"{convicted} are convicted, expected at least {told.convicted}"
        assert status["safe_mode"] is False and not [e for e in g.events() if "that is try" in e["message"]], g.log()
        assert "grayling_journal_damaged 0" in g.metrics(), status
        return pair, ready
    finally:
        end(g)


def instants(records, chance):
    """Places in the record, of which more are at syncs and names than amid the bytes of a file."""
    edges = [i for i, r in enumerate(records) if r.kind not in "wm"]
    while True:
        yield chance.choice(edges) + 1 if chance.random() < .7 else chance.randrange(len(records)) + 1


def cuts(records, root, n, chance):
    """(instant, how much is left, image, told) of n different images, in the order of the record."""
    seen, wanted, place = set(), collections.defaultdict(list), instants(records, chance)
    for _ in range(n):
        wanted[next(place)].append(chance.choice(HOW))
    disk, told = power.Disk(root), Told()
    for i, r in enumerate(records, 1):
        told.take(r.path) if r.kind == "m" else disk.take(r)
        for how in wanted[i]:
            image = disk.image(power.some(chance) if how == "some" else getattr(power, how))
            mark = hashlib.sha256(repr(sorted(image.items())).encode()).digest()
            if mark not in seen:
                seen.add(mark)
                yield i, how, image, told
    there, expected = power.is_there(root), disk.image(power.everything)
    assert there.keys() == expected.keys() and all(there[k] == expected[k] for k in there), \
        f"the record does not tell all: {sorted(there)} {sorted(expected)} {[k for k in there if there[k] != expected.get(k)]}"


def test_a_power_cut_at_any_instant(root):
    play, chance, rows, red = Play(root), random.Random(SEED), [], []
    records = play.run()
    for i, how, image, told in cuts(records, play.g.state, CUTS, chance):
        try:
            pair, ready = try_out(root / f"cut-{len(rows)}", image, told, f"boot-{i}")
            rows.append({"instant": i, "left": how, "served": "new" if pair == NEW else "old" if pair == OLD else "none", "ready": round(ready, 3)})
        except AssertionError as e:
            red.append(f"after record {i} ({records[i - 1].kind} {records[i - 1].path}), {how} of what was not synced: {str(e)[:3000]}")
            print(red[-1], sorted((k, len(v) if isinstance(v, bytes) else v) for k, v in image.items()))
            rows.append({"instant": i, "left": how, "served": "red", "ready": 0})
        if rows[-1]["served"] != "red" or not os.environ.get("GRAYLING_POWER_KEEP"):
            shutil.rmtree(root / f"cut-{len(rows) - 1}")
    told = {"seed": SEED, "records": len(records), "syncs": sum(r.kind == "e" for r in records), "states": len(rows), "red": red,
            **{k: sum(r[key] == k for r in rows) for key, names in (("served", ("old", "new", "none")), ("left", ("nothing", "some", "everything")))
               for k in names}}
    if os.environ.get("GRAYLING_POWER_REPORT"):
        pathlib.Path(os.environ["GRAYLING_POWER_REPORT"]).write_text(json.dumps({**told, "rows": rows}, indent=1))
    assert not red and rows, "\n".join(red)
