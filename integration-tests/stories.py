"""What a supervisor and its workers live through while one of their fault points is armed. A story begins with the start of a supervisor, so
that what a start does is part of each; it is played until the supervisor is dead or nothing more comes of it. finish() is its end with nothing
armed: the state that is desired, wherever the first play broke off."""
import contextlib
import http.client
import json
import signal
import time

from harness import MODULES, PATIENCE, sha256
from pairs import NEW, OLD, POKE

DIED = "6f0c1d2e3a4b4c5d8e9f101112131409"  # the message of a worker that died
WORKERS_MAX = 3  # a point in the worker kills each that is built: so many are enough to see it


class Release:
    """A start, and both modules from the fetch to the end of the bake."""

    name = "release"
    again = set()  # points that another story passes, too, and that are of interest in this one
    lossless = True

    def __init__(self, bench):
        self.bench, self.g = bench, bench.g

    def play(self, **env):
        """Returns whether the supervisor is dead."""
        self.g.stop(signal.SIGKILL)
        (self.g.root / "graylingd.log").write_text("")
        self.prepare()
        self.g.start(wait=False, env=env)
        deadline = time.monotonic() + PATIENCE
        while self.g.process.poll() is None:
            assert time.monotonic() < deadline, f"{self.name} does not settle:\n{self.g.log()}"
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, http.client.HTTPException):  # it dies while it is asked
                if self.settled():
                    return False
                self.act()
                self.g.events(2**53 - 1, wait="100ms")
        return True

    def prepare(self):
        self.bench.want()

    def act(self):
        """What somebody does meanwhile."""

    def hopeless(self):
        return "did not begin" in self.g.log() or (self.g.root / "graylingd.log").read_text(errors="replace").count(DIED) >= WORKERS_MAX

    def serves(self):
        return self.g.status()["phase"] in ("Serving", "Degraded")

    def settled(self):
        if self.hopeless():
            return True
        phases = {m["phase"] for m in self.g.status()["modules"]}
        return self.serves() and not phases & {"Progressing", "Paused"} and self.bench.planned()

    def whole(self):
        """Which of the two is in force; anything between is a failure."""
        return "new" if self.bench.whole() == self.bench.pair else "old"

    def finish(self):
        self.bench.arrive(self.bench.pair)


class Gray(Release):
    """Copies of requests, a share of them, a gate, and an intent in etcd that promotes it to the swap."""

    name = "gray"
    steps = {"steps": [{"shadow": 50}, {"weight": 1}, {"pause": {}}, {"weight": 100}], "analysis": {"error_rate": {"max_increase": 0.5}},
             "deadline": "1h", "match": [{"header": "x-canary", "exact": "1"}]}

    def prepare(self):
        self.bench.want(**self.steps)

    def paused(self):
        m = self.g.module("pay")
        return m["rollout"] if m["phase"] == "Paused" else None

    def act(self):
        r = self.paused()
        if r:
            self.g.etcd.put("/grayling/v1/order/intents/pay", {"verb": "promote", "full": True, "rollout": r["id"], "step": r["step"], "actor": "ann"})

    def whole(self):
        """One request may see the candidate beside another that sees stable: what is in force is what the journal says."""
        served, journaled = self.bench.served(), self.bench.journaled()
        assert all(v in (o, n) for v, o, n in zip(served, OLD, NEW)) and journaled in (OLD, NEW), (served, journaled)
        return "new" if journaled == self.bench.pair else "old"

    def finish(self):
        def promoted():
            with contextlib.suppress(KeyError, TypeError):
                self.act()
            return all(self.g.module(m)["phase"] == "Healthy" for m in ("pay", "echo"))
        self.g.until(promoted, lambda: [self.g.module(m) for m in ("pay", "echo")])
        self.bench.arrive(self.bench.pair)


class Back(Release):
    """A version that crashes under its first request, is taken back, and quarantined, here and for the service."""

    name = "back"
    again = {"rollout.before-back", "back.answered", "back.committed", "rollout.phase", "quarantine.before-convict", "quarantine.convicted"}
    strategy = {"bake": "1h"}
    canary = {}

    def prepare(self):
        bad = self.bench.fresh("faulty-1.1.0")
        self.digest = sha256(bad)
        self.bench.revision = self.g.want({"faulty": self.g.document(bad, version="1.1.0", config={"mode": "handle-crash"}, strategy=self.strategy)})

    def act(self):
        if self.g.module("faulty")["phase"] in ("Progressing", "Paused"):
            self.g.call(POKE, headers=self.canary)

    def convicted(self):
        return self.digest in [c["hash"] for c in self.g.control("/v1/quarantine")[1]["quarantine"]]

    def in_etcd(self):
        return self.g.etcd.get(f"/grayling/v1/order/quarantine/{self.digest[7:]}")

    def settled(self):
        return super().settled() and (not self.convicted() or self.in_etcd())

    def whole(self):
        """Both modules that are none of it, and this one as the journal has it."""
        self.bench.whole()
        version = self.bench.journaled("faulty")[0]
        assert version in ("1.0.0", "1.1.0"), version
        return "new" if version == "1.1.0" else "old"

    def finish(self):
        """The version before serves. Who was killed before the crash was journaled meets it again; a conviction is never lost."""
        def back():
            with contextlib.suppress(KeyError, TypeError):
                self.act()
            m = self.g.module("faulty")
            return m["phase"] == "Degraded" and m["stable"]["version"] == "1.0.0" and self.convicted() and self.in_etcd()
        self.g.until(back, lambda: (self.g.module("faulty"), self.g.control("/v1/quarantine")))
        assert self.g.call(POKE, headers=self.canary)[1]["x-grayling-version"] == "1.0.0"


class GrayBack(Back):
    """The same before the swap: what goes back was never in force."""

    name = "gray back"
    strategy = {"steps": [{"weight": 1}, {"pause": {}}, {"weight": 100}], "analysis": {"error_rate": {"max_increase": 0.5}}, "deadline": "1h",
                "match": [{"header": "x-canary", "exact": "1"}]}
    canary = {"x-canary": "1"}


class Care(Release):
    """What operators do to the service: a new worker, a configuration that is read again, the end."""

    name = "care"
    lossless = False  # a plain graylingd that is stopped has let go of its sockets

    def prepare(self):
        self.asked = set()

    def once(self, what, sig):
        if what not in self.asked:
            self.asked.add(what)
            self.g.process.send_signal(sig)

    def act(self):
        if not self.serves():
            return
        self.once("replace", signal.SIGUSR2)
        if self.g.log().count(" serves ") > 1:
            self.once("reload", signal.SIGHUP)
        if "reloaded" in self.g.log():
            self.once("end", signal.SIGTERM)

    def settled(self):
        return self.hopeless()

    def whole(self):
        """It has ended in order and serves nothing, or it was killed, perhaps at its end; nothing was to change."""
        assert self.bench.journaled() == self.bench.pair
        return super().whole() if self.g.process.returncode and "drains and ends" not in self.g.log() else "new"


STORIES = (Release, Gray, Back, GrayBack, Care)


def deploy_faulty(bench):
    bench.g.deploy("faulty", MODULES / "faulty-1.0.0.so")
