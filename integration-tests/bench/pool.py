#!/usr/bin/env python3
"""What the hand-over of `execution: pool` costs a call that would not have needed it: the same echo, inline and in the pool.

    pool.py [--rounds N] [--seconds N] [--output FILE]

Two supervisors are asked in turn in interleaved rounds. Prints Markdown. Fails when a request failed or got lost; no time is asserted.
The whole takes about half a minute."""
import argparse
import contextlib
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import BUILD, MODULES  # noqa: E402

import clients  # noqa: E402
import report  # noqa: E402
from front_door import MOST, Contestant  # noqa: E402
from service import Noise, say, supervisor  # noqa: E402

RATES = (2000, 8000)
VERSIONS = {"inline": "1.0.0", "pool": "1.3.0"}


def arguments():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--rounds", type=int, default=4)
    a.add_argument("--seconds", type=int, default=2)
    a.add_argument("--output", type=pathlib.Path, default=BUILD / "bench/pool.md")
    return a.parse_args()


def contestant(g, name):
    g.deploy("echo", MODULES / f"echo-{VERSIONS[name]}.so")
    worker = g.status()["worker"]["pid"]
    return Contestant(name, lambda rate, s: clients.http(g.port, clients.ECHO, rate, s), lambda: [worker], MOST["http"], RATES)


def measure(servers, rounds, seconds):
    found = [contestant(g, name) for g, name in zip(servers, VERSIONS)]
    for i in range(rounds):
        first = i % len(found)
        for rate in RATES:
            for c in found[first:] + found[:first]:
                c.measure(rate, seconds)
    return found


def main():
    a = arguments()
    noise, load = Noise(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="grayling-bench-") as d, contextlib.ExitStack() as stack:
        root = pathlib.Path(d)
        root.chmod(0o755)
        servers = [stack.enter_context(supervisor(root, name)) for name in VERSIONS]
        say(f"pool: {a.rounds} rounds at {', '.join(map(str, RATES))} requests/s")
        found = measure(servers, a.rounds, a.seconds)
    text = (f"{report.command()}\n\n{report.machine(load, noise.share())}\n\nMedians of {a.rounds} interleaved rounds of {a.seconds} s.\n\n"
            + report.latencies(found, RATES) + "\n")
    a.output.parent.mkdir(exist_ok=True)
    a.output.write_text(f"## A call in the pool\n\n{text}")
    print(text)
    return 1 if sum(clients.failed(r) + r["due"] - r["answered"] for c in found for rate in RATES for r in c.samples[rate]) else 0


if __name__ == "__main__":
    sys.exit(main())
