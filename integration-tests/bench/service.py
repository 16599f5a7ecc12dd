#!/usr/bin/env python3
"""The benchmark of a running service: latency beside its peers, changes under load, and the way from a key to the first new answer.

    service.py [--rounds N] [--seconds N] [--swaps N] [--releases N] [--output FILE]

Prints Markdown. Fails when a request was lost or refused in Grayling's changes, or a server did not run; no time is asserted. The whole
takes about seven minutes."""
import argparse
import contextlib
import os
import pathlib
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import BUILD, Etcd, Grayling  # noqa: E402

import clients  # noqa: E402
import front_door  # noqa: E402
import peers  # noqa: E402
import release  # noqa: E402
import report  # noqa: E402
import swaps  # noqa: E402

RELOADS = 20


def arguments():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--seconds", type=int, default=3)
    a.add_argument("--swaps", type=int, default=200)
    a.add_argument("--releases", type=int, default=100)
    a.add_argument("--output", type=pathlib.Path, default=BUILD / "bench/report.md")
    return a.parse_args()


class Noise:
    """How much of the processors others used, from its making until share() is asked; our children must have been waited for by then."""

    def __init__(self):
        self.began, self.before = time.monotonic(), self._used()

    @staticmethod
    def _used():
        ticks = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
        own = os.times()
        return (sum(ticks) - ticks[3] - ticks[4]) / peers.TICK - (own.user + own.system + own.children_user + own.children_system)

    def seconds(self):
        return time.monotonic() - self.began

    def share(self):
        return max(0, self._used() - self.before) / self.seconds() / len(os.sched_getaffinity(0))


@contextlib.contextmanager
def supervisor(root, name, etcd=None, sets=()):
    sub = root / name
    sub.mkdir()
    g = Grayling(sub, etcd, sets=[f"Dispatch.Threads={peers.THREADS}", *sets])
    try:
        yield g.start()
    finally:
        with contextlib.suppress(Exception):
            g.stop()
        worker = g.kill()
        if worker:  # the supervisor could not end it
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(a, root, sections, lost):
    """Fills the sections of the report in order, and what must not have been lost."""
    noise = Noise()
    with contextlib.ExitStack() as stack:
        g = stack.enter_context(supervisor(root, "front-door"))
        say(f"front door: {a.rounds} rounds at {', '.join(map(str, front_door.RATES))} requests/s")
        contestants, missing = front_door.measure(g, root, stack, a.rounds, a.seconds)
    sections["The front door beside its peers"] = report.front_door(contestants, missing, a.rounds, a.seconds, noise.share())
    with supervisor(root, "swaps") as g:
        say(f"swaps: {a.swaps} at {swaps.RATE} requests/s")
        (root / "nginx").mkdir()
        ours, nginx, missing = swaps.measure(g, root / "nginx", a.swaps, RELOADS)
        sections["Changes under load"] = report.swaps(ours, nginx, missing)
        lost["swaps"] = ours["load"]
        assert ours["versions"] == ["1.0.0", "1.1.0"], f"expected answers by both versions, got {ours['versions']}"
    etcd = Etcd(root)
    try:
        with supervisor(root, "release", etcd) as g:
            say(f"releases: {a.releases} of 1 MiB at {release.RATE} requests/s")
            result = release.measure(g, etcd, root, a.releases)
            sections["From the key to the first new answer"] = report.release(result)
            lost["releases"] = result["load"]
    finally:
        etcd.stop()
    say("calls and load cycles")
    sections["A call through the table"] = report.program("bench-call")
    sections["Loading and unloading"] = report.program("bench-load")


def main():
    a = arguments()
    noise, load = Noise(), os.getloadavg()[0]
    sections, lost = {}, {}
    with tempfile.TemporaryDirectory(prefix="grayling-bench-") as d:
        root = pathlib.Path(d)
        root.chmod(0o755)
        run(a, root, sections, lost)
    text = report.machine(load, noise.share()) + f" The run took {noise.seconds():.0f} s.\n"
    for name, body in sections.items():
        text += f"\n## {name}\n\n{body}\n"
    a.output.write_text(text)
    print(text)
    bad = {what: r["failed"] for what, r in lost.items() if clients.failed(r) or r["answered"] != r["due"]}
    if bad:
        print(f"requests were lost while the code changed: {bad}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
