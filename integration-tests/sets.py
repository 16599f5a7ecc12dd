"""Families of modules that are released together, and clients that look at what one request sees of all of them.

A set is one release of a family: even sets are of version 1.0.0, odd ones of 1.1.0, and every set has digests of its own, since some end
convicted. Each member tells its set (modules/faulty); the observer module asks them all within one request and answers with what they
agree on, or with data_loss when they do not."""
import json
import pathlib
import subprocess
import sys
import threading

from harness import MODULES, PATIENCE, Traffic

LOOK = "com.example.sets.Observer/Look"
OBSERVER = MODULES / "observer-1.0.0.so"


def version_of(number):
    return ("1.0.0", "1.1.0")[number % 2]


def said(number):
    """What the observer answers when all members are of this set; None: of none."""
    return "null" if number is None else json.dumps({"version": version_of(number), "set": number}, separators=(",", ":"))


class Family:
    """The first n members of a family, as documents of one supervisor."""

    def __init__(self, g, name, n):
        self.g, self.name, self.n = g, name, n
        self.members = [f"{name}-{i}" for i in range(n)]

    def build(self, module, number, version=None):
        version = version or version_of(number)
        path = self.g.incoming / f"{module}-set-{number}.so"
        if not path.exists():
            path.write_bytes((MODULES / f"{module}-{version}.so").read_bytes() + f"set {number}".encode())
        return path

    def document(self, module, number, config=None, version=None, **strategy):
        version = version or version_of(number)
        return self.g.document(self.build(module, number, version), version=version, config={"set": number, **(config or {})},
                               strategy={"bake": "1ms", **strategy})

    def documents(self, number, **more):
        return {m: self.document(m, number, **more) for m in self.members}

    def ended(self, rollout):
        """Waits for the last event of that rollout of each member; returns them by member."""
        seen = {}
        for m in self.members:
            seen[m] = self.g.wait_event(lambda e: e["module"] == m and e["rollout"] == rollout and
                                        e["phase"] in ("Healthy", "RolledBack", "Rejected", "Superseded"), after=0)
        return seen

    def deploy(self, number, **more):
        """All of them at once; it must go well."""
        ended = self.ended(self.g.want(self.documents(number, **more)))
        assert {e["phase"] for e in ended.values()} == {"Healthy"}, (ended, self.g.log())

    def looks(self, clients=2):
        return Looks(self, clients)


class Looks(Traffic):
    """Clients that look at the family without a pause; what they saw is counted by set, and a mixed set is kept with its sentence."""

    def __init__(self, family, clients):
        super().__init__(family.g, LOOK, json.dumps({"family": family.name, "n": family.n}), clients)
        self.seen, self.failed, self.mixed = {}, {}, []

    def _answered(self, i, status, headers, body):
        with self.turned:
            self.codes[status] = self.codes.get(status, 0) + 1
            if status == 200:
                self.seen[body.decode()] = self.seen.get(body.decode(), 0) + 1
            else:
                why = json.loads(body)
                self.failed[why["code"]] = self.failed.get(why["code"], 0) + 1
                if why["code"] == "data_loss":
                    self.mixed.append(why["message"])
            self._turn(i)

    def take(self):
        """({what was said: how often}, {code: how often}), since the last take and after each client looked once more; none lost, none mixed."""
        self.await_turns(2)
        with self.turned:
            seen, failed = self.seen, self.failed
            self.seen, self.failed, self.codes = {}, {}, {}
            assert self.lost == [] and self.mixed == [], (self.lost, self.mixed, self.g.log())
        return seen, failed

    def assert_saw(self, *numbers, failed=()):
        """Since the last look only these sets were seen, and of failures only these codes."""
        seen, codes = self.take()
        assert set(seen) <= {said(n) for n in numbers} and set(codes) <= set(failed), (seen, codes, numbers)
        return seen


class Storm:
    """set_clients.py beside a test: everything that it saw, when it has ended."""

    def __init__(self, families, connections, seconds, requests=100_000_000):
        argv = [sys.executable, pathlib.Path(__file__).with_name("set_clients.py"), families[0].g.port, seconds, requests, connections,
                *(f"{f.name}:{f.n}" for f in families)]
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        """Ends it, and returns what it counted."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        return json.loads(out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Chronicle(threading.Thread):
    """Reads a supervisor's events as they come, and keeps the last phase of each rollout: the ring of events is shorter than a storm."""

    def __init__(self, g):
        super().__init__(daemon=True)
        self.g, self.over, self.told, self.changed = g, threading.Event(), {}, threading.Condition()
        self.failed = None

    def run(self):
        seq = 0
        try:
            while not self.over.is_set():
                for ev in self.g.events(seq, wait="1s"):
                    seq = ev["seq"]
                    with self.changed:
                        if ev.get("rollout") and ev.get("phase"):
                            self.told[(ev["rollout"], ev["module"])] = ev
                            self.changed.notify_all()
        except Exception as e:  # told where somebody waits
            with self.changed:
                self.failed = e
                self.changed.notify_all()

    def phase(self, rollout, module):
        with self.changed:
            ev = self.told.get((rollout, module))
            return ev and ev["phase"]

    def wait(self, rollout, module, holds):
        """Until holds(event) of that rollout's newest event; returns it."""
        def found():
            ev = self.told.get((rollout, module))
            return self.failed or (ev and holds(ev))
        with self.changed:
            assert self.changed.wait_for(found, PATIENCE), f"{rollout} {module}: {self.told.get((rollout, module))}\n{self.g.log()}"
            if self.failed:
                raise self.failed
            return self.told[(rollout, module)]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(PATIENCE)
