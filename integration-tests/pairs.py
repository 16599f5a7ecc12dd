"""Two modules that are released together, under clients that never pause: what is killed at any instant is whole in one of two ways.

Either pair is a release: pay and echo at their old versions, or both at their new ones. Each release is one more transaction, of builds
with digests of their own, so that all of it is done each time: fetched, verified, stored, loaded."""
import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import tempfile
import time

from harness import MODULES, Etcd, Grayling, Traffic

ECHO = "com.example.echo.EchoService/Echo"
CHARGE = "com.example.pay.PayService/Charge"
POKE = "com.example.faulty.FaultyService/Poke"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
OLD, NEW = ("1.0.0", "1.0.0"), ("1.1.0", "1.0.1")  # pay, echo
CLIENTS = 2


class Pairs:
    """One supervisor, one etcd and the clients, for all that is done to them."""

    def __init__(self, g, traffic):
        self.g, self.traffic, self.turn, self.builds, self.revision = g, traffic, 0, 0, 0
        self.pair = OLD

    def fresh(self, name):
        """A build with a digest that the store does not know."""
        self.builds += 1
        path = self.g.incoming / f"build-{self.builds}.so"
        path.write_bytes((MODULES / f"{name}.so").read_bytes() + str(self.builds).encode())
        return path

    def want(self, **strategy):
        """The other pair of versions, in one transaction; returns it."""
        self.turn += 1
        self.pair = (OLD, NEW)[self.turn % 2]
        strategy = {"bake": "10ms", **strategy}
        self.revision = self.g.want({
            m: self.g.document(self.fresh(f"{m}-{v}"), version=v, strategy=strategy) for m, v in zip(("pay", "echo"), self.pair)})
        return self.pair

    def served(self):
        return tuple(self.g.call(m, BODY)[1]["x-grayling-version"] for m in (CHARGE, ECHO))

    def journaled(self, *modules):
        """What the journal says is in force. Nobody may hold it open."""
        with contextlib.closing(sqlite3.connect(f"file:{self.g.state}/journal.db?mode=ro", uri=True)) as db:
            rows = dict(db.execute("SELECT module, json_extract(release, '$.version') FROM committed"))
        return tuple(rows[m] for m in modules or ("pay", "echo"))

    def whole(self):
        """With the supervisor dead nothing changes: the worker that is left serves one table, and the journal holds one. Returns the latter."""
        served, journaled = self.served(), self.journaled()
        assert served in (OLD, NEW) and journaled in (OLD, NEW), (served, journaled)
        return journaled

    def arrive(self, pair):
        """Both modules end at what is desired, and serve it."""
        for module, version in zip(("pay", "echo"), pair):
            self.g.until(lambda: (m := self.g.module(module)) and m["phase"] == "Healthy" and m["stable"]["version"] == version,
                         lambda: f"{module}: {self.g.module(module)}, expected {version}")
        assert self.served() == pair, self.g.log()

    def planned(self):
        """The transaction was taken up, and something came of it."""
        rows = self.g.control("/v1/history?limit=1")[1]["rollouts"]
        return rows and int(rows[0]["rollout"]) >= self.revision and rows[0]["phase"] in ("Healthy", "RolledBack", "Rejected")

    def nobody_noticed(self, lost=0):
        codes, _, losses = self.traffic.take()
        assert set(codes) == {200} and len(losses) <= lost and not any("refused" in x.lower() for x in losses), (codes, losses)


@contextlib.contextmanager
def pairs(*sets):
    """Both modules deployed at their old versions, and two clients of pay."""
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        root = pathlib.Path(d)
        etcd, worker = Etcd(root), None
        (root / "g").mkdir()
        g = Grayling(root / "g", etcd, sets=["Service.StableAfter=0s", *sets])  # or so many kills in a row would be safe mode
        try:
            g.start()
            g.want({"pay": g.document(MODULES / "pay-1.0.0.so"), "echo": g.document(MODULES / "echo-1.0.0.so")})
            g.wait_phase("pay", "Healthy")
            with Traffic(g, CHARGE, BODY, clients=CLIENTS) as t:
                yield Pairs(g, t)
            assert g.stop() == 0, g.log()
        finally:
            worker = g.kill()
            if worker:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            etcd.stop()


def percentile(values, share):
    """By nearest rank; None of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def seconds(since):
    return time.monotonic() - since
