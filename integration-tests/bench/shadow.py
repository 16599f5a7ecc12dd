#!/usr/bin/env python3
"""What those who get stable's answers notice of a shadow: p99 at fixed rates with and without one.

    shadow.py [--rounds N] [--seconds N] [--output FILE]

Three supervisors with the same stable version, two of them with a candidate that answers copies of a tenth of its requests, once as fast
as stable and once more slowly than copies come, are asked in turn in interleaved rounds. Prints Markdown. Fails when a request failed or
got lost, or no copy was compared; no time is asserted. The whole takes about a minute."""
import argparse
import contextlib
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
SLOW_USEC = 2000  # of the pool's only thread, for each copy
CONFIGS = {"no shadow": None, f"{PERCENT} % shadow": {}, f"{PERCENT} % shadow, slow candidate": {"work_us": SLOW_USEC}}


def arguments():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--rounds", type=int, default=4)
    a.add_argument("--seconds", type=int, default=2)
    a.add_argument("--output", type=pathlib.Path, default=BUILD / "bench/shadow.md")
    return a.parse_args()


def begin_shadow(g, config):
    steps = [{"shadow": PERCENT}, {"pause": {}}, {"weight": 1}, {"weight": 100}]
    strategy = {"steps": steps, "shadow_ignore": ["$.fee_cents"], "deadline": "2h"}
    g.want({"pay": g.document(MODULES / "pay-1.1.0.so", config=config, strategy=strategy)})
    g.wait_event(lambda e: e["module"] == "pay" and "step 2 of 4" in (e["message"] or ""))


def contestant(g, name):
    worker = g.status()["worker"]["pid"]
    return Contestant(name, lambda rate, s: clients.http(g.port, clients.CHARGE, rate, s), lambda: [worker], MOST["http"], RATES)


def measure(servers, rounds, seconds):
    """Returns a contestant for each of CONFIGS with its samples, and what became of the copies by name."""
    for g, config in zip(servers, CONFIGS.values()):
        g.deploy("pay", MODULES / "pay-1.0.0.so")
        if config is not None:
            begin_shadow(g, config)
    found = [contestant(g, name) for g, name in zip(servers, CONFIGS)]
    for i in range(rounds):
        first = i % len(found)
        for rate in RATES:
            for c in found[first:] + found[:first]:
                c.measure(rate, seconds)
    seen = {name: g.module("pay")["rollout"]["shadow_seen"] for g, (name, config) in zip(servers, CONFIGS.items()) if config is not None}
    return found, seen


def main():
    a = arguments()
    noise = Noise()
    with tempfile.TemporaryDirectory(prefix="grayling-bench-") as d, contextlib.ExitStack() as stack:
        root = pathlib.Path(d)
        root.chmod(0o755)
        servers = [stack.enter_context(supervisor(root, f"s{i}")) for i in range(len(CONFIGS))]
        say(f"shadow: {a.rounds} rounds at {', '.join(map(str, RATES))} requests/s")
        found, seen = measure(servers, a.rounds, a.seconds)
    text = (f"Medians of {a.rounds} interleaved rounds of {a.seconds} s; others used {100 * noise.share():.0f} % of the processors.\n\n"
            + report.latencies(found, RATES) + "\n\nCopies:\n\n"
            + report.table(["", *(what.replace("_", " ") for what in next(iter(seen.values())))],
                           [[name, *(f"{n:,}" for n in s.values())] for name, s in seen.items()]) + "\n")
    a.output.write_text(f"## A shadow beside stable\n\n{text}")
    print(text)
    bad = sum(clients.failed(r) + r["due"] - r["answered"] for c in found for rate in RATES for r in c.samples[rate])
    return 1 if bad or not all(s["same"] for s in seen.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
