#!/usr/bin/env python3
"""What those who get stable's answers notice of a shadow: p99 at fixed rates with and without one.

    shadow.py [--rounds N] [--seconds N] [--output FILE]

Two supervisors with the same stable version, one of them with a candidate that answers copies of a tenth of its requests, are asked in turn
in interleaved rounds. Prints Markdown. Fails when a request failed or got lost, or no copy was compared; no time is asserted. The whole
takes about a minute."""
import argparse
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
PERCENT = 10
NAMES = ("no shadow", f"{PERCENT} % shadow")


def arguments():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--rounds", type=int, default=6)
    a.add_argument("--seconds", type=int, default=3)
    a.add_argument("--output", type=pathlib.Path, default=BUILD / "bench/shadow.md")
    return a.parse_args()


def begin_shadow(g):
    steps = [{"shadow": PERCENT}, {"pause": {}}, {"weight": 1}, {"weight": 100}]
    strategy = {"steps": steps, "shadow_ignore": ["$.fee_cents"], "deadline": "2h"}
    g.want({"pay": g.document(MODULES / "pay-1.1.0.so", strategy=strategy)})
    g.wait_event(lambda e: e["module"] == "pay" and "step 2 of 4" in (e["message"] or ""))


def contestant(g, name):
    worker = g.status()["worker"]["pid"]
    return Contestant(name, lambda rate, s: clients.http(g.port, clients.CHARGE, rate, s), lambda: [worker], MOST["http"], RATES)


def measure(plain, shadowed, rounds, seconds):
    """Returns both contestants with their samples, and what became of the copies."""
    for g in (plain, shadowed):
        g.deploy("pay", MODULES / "pay-1.0.0.so")
    begin_shadow(shadowed)
    both = [contestant(g, name) for g, name in zip((plain, shadowed), NAMES)]
    for i in range(rounds):
        for rate in RATES:
            for c in both if i % 2 == 0 else reversed(both):
                c.measure(rate, seconds)
    return both, shadowed.module("pay")["rollout"]["shadow_seen"]


def main():
    a = arguments()
    noise = Noise()
    with tempfile.TemporaryDirectory(prefix="grayling-bench-") as d:
        root = pathlib.Path(d)
        root.chmod(0o755)
        with supervisor(root, "plain") as plain, supervisor(root, "shadowed") as shadowed:
            say(f"shadow: {a.rounds} rounds at {', '.join(map(str, RATES))} requests/s, with and without")
            both, seen = measure(plain, shadowed, a.rounds, a.seconds)
    text = (f"Medians of {a.rounds} interleaved rounds of {a.seconds} s; others used {100 * noise.share():.0f} % of the processors.\n\n"
            + report.latencies(both, RATES) + "\n\nOf the copies "
            + ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in seen.items()) + ".\n")
    a.output.write_text(f"## A shadow beside stable\n\n{text}")
    print(text)
    bad = sum(clients.failed(r) + r["due"] - r["answered"] for c in both for rate in RATES for r in c.samples[rate])
    return 1 if bad or not seen["same"] else 0


if __name__ == "__main__":
    sys.exit(main())
