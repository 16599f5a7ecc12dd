"""The swap storm: two families of four that change together, random transactions, clients that never pause, and not one request that saw a
mixed set or failed.

Seeded: GRAYLING_STORM_SEED repeats what was written (not when). GRAYLING_STORM_SECONDS says how long, 60 by default."""
import collections
import itertools
import json
import os
import random
import time

from sets import OBSERVER, Chronicle, Family, Storm, said

SECONDS = int(os.environ.get("GRAYLING_STORM_SECONDS", "60"))
SEED = int(os.environ.get("GRAYLING_STORM_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
OVER = ("Healthy", "RolledBack", "Rejected", "Superseded")
ERRORS = {"error_rate": {"max_increase": 0.005}}
NEVER = {**ERRORS, "min_requests": 1000000}
LADDER = {"steps": [{"weight": 30}, {"pause": {"requests": 20}}, {"weight": 70}, {"pause": {"requests": 20}}, {"weight": 100}],
          "analysis": {**ERRORS, "min_requests": 50}, "deadline": "1h"}
STRATEGIES = [{}, {}, {"bake": "100ms"}, LADDER]

# What one member of a set may have wrong: the configuration, other fields of its document, other fields of its strategy.
SPOILS = {
    "document": ({}, {"size": -1}, {}),
    "digest": ({}, {"version_hash": "sha256:" + "0" * 64}, {}),
    "fetch": ({}, {"source": ["file:///nowhere.so"]}, {}),
    "preflight": ({"mode": "init-crash"}, {}, {}),
    "init": ({"mode": "init-fail"}, {}, {}),
    "init in the worker": ({"mode": "init-fail", "worker_only": True}, {}, {}),
    "self-test in the worker": ({"mode": "self-test-fail", "worker_only": True}, {}, {}),
    "crash in the bake": ({"mode": "handle-crash", "every": 20}, {}, {"bake": "10m", "analysis": NEVER}),
    "crash at a weight": ({"mode": "handle-crash", "every": 20}, {},
                          {"steps": [{"weight": 50}, {"pause": {}}, {"weight": 100}], "analysis": NEVER, "deadline": "1h"}),
}
# What is drawn, each once before the pile is shuffled anew; the first pile is short, so that a slow machine meets what tells most.
FIRST = [("foul", "crash in the bake"), ("fair", None), ("part", "rest"), ("foul", "crash at a weight"), ("race", None)]
PILE = [("fair", None)] * 3 + [("race", None)] * 3 + [("foul", spoil) for spoil in SPOILS] + \
       [("part", how) for how in ("rest", "rest", "newer", "late", "bad rest")]


class Weather:
    """What is written, and what has to come of it."""

    def __init__(self, g, chronicle, seed):
        self.g, self.chronicle, self.random = g, chronicle, random.Random(seed)
        self.families = [Family(g, name, 4) for name in ("north", "south")]
        self.numbers, self.done = itertools.count(), collections.Counter()
        self.good, self.shown = {}, collections.defaultdict(set)
        self.last = {}  # by family: its newest rollout, and a member that was written in it
        self.pile = self.random.sample(FIRST, len(FIRST))

    def pick(self):
        """One family, or both in one transaction."""
        return self.random.choice([self.families[:1], self.families[1:], self.families])

    def whole(self, families, spoil=None, strategy=None):
        """Writes a set of each of these families in one transaction, one member of all of them spoiled or none; returns the rollout."""
        number, documents = next(self.numbers), {}
        config, fields, its_strategy = SPOILS[spoil] if spoil else ({}, {}, {})
        strategy = strategy or its_strategy or self.random.choice(STRATEGIES)
        culprit = self.random.choice([m for f in families for m in f.members])
        for f in families:
            for m in f.members:
                documents[m] = {**f.document(m, number, config=config if m == culprit else None, **strategy), **(fields if m == culprit else {})}
            self.shown[f.name].add(number)
        rollout = self.g.want(documents)
        for f in families:
            self.last[f.name] = rollout, f.members[0]
        self.good[rollout] = None if spoil else ([f.name for f in families], number)
        return rollout

    def await_end(self, rollout, families):
        return [self.chronicle.wait(rollout, m, lambda e: e["phase"] in OVER) for f in families for m in f.members]

    def settle(self, families):
        for f in families:
            if f.name in self.last:
                self.chronicle.wait(*self.last[f.name], lambda e: e["phase"] in OVER)

    # -- the actions -------------------------------------------------------------------------------------------

    def fair(self, _):
        families = self.pick()
        rollout = self.whole(families)
        ended = self.await_end(rollout, families)
        assert {e["phase"] for e in ended} == {"Healthy"}, ended
        for f in families:
            self.assert_in_force(f, self.good[rollout][1])

    def foul(self, spoil):
        families = self.pick()
        ended = self.await_end(self.whole(families, spoil), families)
        assert len({(e["phase"], e["reason"]) for e in ended}) == 1 and ended[0]["phase"] in ("Rejected", "RolledBack"), ended

    def race(self, _):
        """Several whole sets, good and bad, one behind the other; the last one is waited for. Where the member that spoils a set is written anew
        in time, the rest is sound: what only ends by a crash is left out."""
        for _ in range(self.random.randint(2, 4)):
            families = self.pick()
            rollout = self.whole(families, self.random.choice([None, None, *(s for s, (_, _, strategy) in SPOILS.items() if not strategy)]))
        self.await_end(rollout, families)
        self.settle(self.families)

    def some(self, family, number, members, spoil=None, **strategy):
        """Writes these members of a set, the last one spoiled or none; returns the rollout."""
        config, fields, _ = SPOILS[spoil] if spoil else ({}, {}, {})
        documents = {m: family.document(m, number, **strategy) for m in members}
        documents[members[-1]] = {**family.document(members[-1], number, config=config, **strategy), **fields}
        self.shown[family.name].add(number)
        rollout = self.g.want(documents)
        self.last[family.name] = rollout, members[0]
        return rollout

    def part(self, how):
        """Some of a family: they wait, nobody else does, and the rest brings them along, or something newer replaces them, or their time is up."""
        self.settle(self.families)
        family = self.random.choice(self.families)
        other = next(f for f in self.families if f is not family)
        number, members = next(self.numbers), self.random.sample(family.members, 4)
        n = self.random.randint(1, 3)
        waiting = self.some(family, number, members[:n], **({"deadline": "5s"} if how == "late" else {}))
        self.chronicle.wait(waiting, members[0], lambda e: e["reason"] in ("UpgradeLockIncomplete", "DeadlineExceeded"))
        if self.random.random() < 0.5:
            assert {e["phase"] for e in self.await_end(self.whole([other]), [other])} == {"Healthy"}
        if how == "late":  # a slow machine may need all of it to verify them
            ended = [self.chronicle.wait(waiting, m, lambda e: e["phase"] in OVER) for m in members[:n]]
            assert {e["phase"] for e in ended} == {"Rejected"}, ended
            assert {e["reason"] for e in ended} <= {"UpgradeLockIncomplete", "DeadlineExceeded"}, ended
            return
        if how == "newer":
            assert {e["phase"] for e in self.await_end(self.whole([family]), [family])} == {"Healthy"}
            return
        rest = self.some(family, number, members[n:], "self-test in the worker" if how == "bad rest" else None)
        self.good[rest] = None if how == "bad rest" else ([family.name], number)
        expected = ("RolledBack", "SelfTestFailed") if how == "bad rest" else ("Healthy", None)
        for m in members:
            ev = self.chronicle.wait(rest, m, lambda e: e["phase"] in OVER)
            assert (ev["phase"], ev["reason"] or None) == expected, ev

    def turn(self):
        if not self.pile:
            self.pile = self.random.sample(PILE, len(PILE))
        action, what = self.pile.pop()
        self.done[f"{action} {what}" if what else action] += 1
        getattr(self, action)(what)

    # -- the end -----------------------------------------------------------------------------------------------

    def assert_in_force(self, family, number):
        status, _, body = self.g.call("com.example.sets.Observer/Look", {"family": family.name, "n": family.n})
        assert (status, body.decode()) == (200, said(number)), (family.name, number, status, body)

    def assert_converged(self):
        """Everything is at rest, and each family is at one good set: the newest that became Healthy."""
        for f in self.families:
            for m in f.members:
                self.g.until(lambda: self.g.module(m)["phase"] in ("Healthy", "Degraded"), lambda: self.g.module(m))
            healthy = [r["rollout"] for r in self.g.control(f"/v1/history?module={f.members[0]}&limit=10000")[1]["rollouts"]
                       if r["phase"] == "Healthy"]
            number = max(self.good[r][1] for r in healthy if self.good.get(r) and f.name in self.good[r][0])
            self.assert_in_force(f, number)


def test_no_request_sees_a_mixed_set(make, etcd, capsys):
    with capsys.disabled():
        print(f"\n  GRAYLING_STORM_SEED={SEED}", flush=True)
    g = make(etcd).start()
    g.deploy("observer", OBSERVER)
    with Chronicle(g) as chronicle:
        w = Weather(g, chronicle, SEED)
        w.await_end(w.whole(w.families, strategy={"bake": "1ms"}), w.families)  # nobody calls yet
        over = time.monotonic() + SECONDS
        with Storm(w.families, connections=2, seconds=SECONDS + 300) as storm:
            while time.monotonic() < over:
                w.turn()
            # the end: a good set of each, and then bad ones only
            for f in w.families:
                w.await_end(w.whole([f]), [f])
            w.await_end(w.whole(w.families, "self-test in the worker"), w.families)
            w.assert_converged()
            result = storm.end()
        with capsys.disabled():
            print(f"  {result['requests']} requests, {sum(len(s) for s in result['seen'].values())} sets seen, "
                  f"{dict(sorted(w.done.items()))}", flush=True)
    assert result["n_bad"] == 0, f"seed {SEED}: {json.dumps(result['bad'], indent=1)}\n{g.log()}"
    for f in w.families:
        assert set(result["seen"][f.name]) <= {said(n) for n in w.shown[f.name]}, f"seed {SEED}: {result['seen']}"
    assert g.stop() == 0, g.log()
