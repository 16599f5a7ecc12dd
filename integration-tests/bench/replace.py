#!/usr/bin/env python3
"""Replacements of the worker under load, by SIGUSR2 and by grayctl in turn, beside reloads of nginx and of HAProxy under the same load.

    replace.py [--rate N] [--times N] [--output FILE]

Prints Markdown. Fails when a request failed or got lost in Grayling's replacements; no time is asserted. The whole takes about two minutes."""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import BUILD, MODULES  # noqa: E402

import clients  # noqa: E402
import report  # noqa: E402
from peers import Haproxy, Missing, Nginx  # noqa: E402
from service import Noise, supervisor  # noqa: E402
from swaps import wait_for_exit  # noqa: E402

EVERY = 1.0  # seconds from one to the next


def arguments():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--rate", type=int, default=8000)
    a.add_argument("--times", type=int, default=10)
    a.add_argument("--output", type=pathlib.Path, default=BUILD / "bench/replace.md")
    return a.parse_args()


def replace(g, by_signal):
    before = g.status()["worker"]["pid"]
    if by_signal:
        g.process.send_signal(signal.SIGUSR2)
    else:
        subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "worker", "replace"], check=True, capture_output=True)
    g.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])
    return before


def measure_grayling(g, rate, times):
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    schedule = clients.Schedule(EVERY)
    old = []
    with clients.Load(g.port, clients.CHARGE, rate, "x-grayling-version") as load:
        for i in range(times):
            schedule.wait()
            begin = time.monotonic()
            old.append(replace(g, i % 2 == 0))
            load.window(begin, time.monotonic())
        wait_for_exit(old)
    assert len(set(old)) == times, old
    return load.result


def measure_peer(make, root, rate, times):
    """A window reaches until the worker before is gone; for each reload the next version has been seen."""
    peer = make(root)  # raises Missing
    try:
        schedule = clients.Schedule(EVERY)
        with clients.Load(peer.port, "/", rate, "x-version") as load:
            for i in range(times):
                schedule.wait()
                old = peer.pids()
                peer.configure(str(i + 2))
                begin = time.monotonic()
                peer.reload()
                load.first_answer(str(i + 2), begin)
                wait_for_exit(old)
                load.window(begin, time.monotonic())
    finally:
        peer.stop()
    return load.result


def main():
    a = arguments()
    noise, load = Noise(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="grayling-bench-") as d:
        root = pathlib.Path(d)
        with supervisor(root, "replace") as g:
            ours = measure_grayling(g, a.rate, a.times)
        rows = [report.load_row("Grayling, worker replaced", ours, a.times, "")]
        missing = ""
        for make in (Nginx, Haproxy):
            try:
                rows.append(report.load_row(f"{make.name}, reloaded", measure_peer(make, root, a.rate, a.times), a.times, ""))
            except Missing as e:
                missing += f"\n\nLeft out: {e}."
    text = (f"## The worker replaced under load\n\n{report.command()}\n\n{report.machine(load, noise.share())}\n\n"
            f"{a.times} replacements at {a.rate:,} requests/s.\n\n{report.table(report.CHANGE_HEAD, rows)}{missing}\n")
    a.output.parent.mkdir(parents=True, exist_ok=True)
    a.output.write_text(text)
    print(text)
    return 1 if clients.failed(ours) or ours["answered"] != ours["due"] else 0


if __name__ == "__main__":
    sys.exit(main())
