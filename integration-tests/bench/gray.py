#!/usr/bin/env python3
"""The benchmark of gray releases: how exact shares are, what a decision costs, how soon a candidate is gone, and how soon a bad one is found.

    gray.py [--seconds N] [--rollbacks N] [--finds N] [--output FILE]

Prints Markdown. Fails when a request of a sound version failed or got lost, or a server did not run; no time is asserted. The whole takes
two minutes, and up to ten where the disk is slow."""
import argparse
import os
import pathlib
import re
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import BUILD, MODULES  # noqa: E402

import clients  # noqa: E402
import report  # noqa: E402
from service import Noise, say, supervisor  # noqa: E402
from swaps import quantile  # noqa: E402

RATE = 4000  # requests a second, where shares are counted
ROLLBACK_RATE = 4000
FIND_RATE = 2000
LOAD_SECONDS = 600  # the most that a load may take; when it is over, those rollbacks that were made are reported
SHARES = (1, 5, 25, 50)  # percent
WINDOWS = (100, 1000, 10000)  # requests
USERS = 100000
GATE = {"pause": {}}
ERRORS = {"error_rate": {"max_increase": 0.005}}
CALLS = re.compile(r"^((?:whole way|\.\.\.).*?) +(\d+\.\d) +(\d+\.\d)$", re.MULTILINE)  # what bench-call prints


def arguments():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--seconds", type=int, default=6)
    a.add_argument("--rollbacks", type=int, default=1000)
    a.add_argument("--finds", type=int, default=10)
    a.add_argument("--output", type=pathlib.Path, default=BUILD / "bench/gray.md")
    return a.parse_args()


def want(g, path, *steps, version=None, **strategy):
    strategy = {"steps": [*steps, {"weight": 100}], "analysis": ERRORS, "deadline": "2h", **strategy}
    g.want({"pay": g.document(path, version=version, strategy=strategy)})


def wait_step(g, text):
    return g.wait_event(lambda e: e["module"] == "pay" and text in (e["message"] or ""))


def order(g, verb, **body):
    code, answer = g.control(f"/v1/modules/pay/{verb}", "POST", {"actor": "bench", **body})
    assert code == 200, answer


def wait_for_candidate(load, after, changes=1):
    """Until that many changes between the versions were read, all of them later than that time."""
    def came():
        return len(load.seen) >= changes and load.seen[-changes][1] >= after
    with load.changed:
        assert load.changed.wait_for(came, 60), "the candidate does not answer"


# --- shares -------------------------------------------------------------------------------------------------------------------------------


def sequence(load, begin, end):
    """Which of the answers between two times were the candidate's, in the order in which they were read."""
    answers = bytearray()
    for value, n, last in load.runs:
        if begin <= last < end:
            answers += (b"\1" if value == "candidate" else b"\0") * n
    return answers


def largest_deviation(answers, n, share):
    """The most that any n answers in a row have more or less of the candidate's than their share."""
    inside, most = sum(answers[:n]), 0.0
    for i in range(n, len(answers) + 1):
        most = max(most, abs(inside - n * share))
        if i < len(answers):
            inside += answers[i] - answers[i - n]
    return most


def measure_shares(g, seconds, sticky):
    steps = [s for share in SHARES for s in ({"weight": share}, GATE)]
    want(g, MODULES / "pay-1.1.0.so", *steps, **({"sticky": "header:x-user-id"} if sticky else {}))
    rows, pause = [], clients.Schedule(seconds)
    with clients.Load(g.port, clients.CHARGE, RATE, "x-grayling-role", users=USERS if sticky else 0) as load:
        spans = []
        for i, share in enumerate(SHARES):
            wait_step(g, f"step {2 * i + 2} of")
            pause.due = time.monotonic() + seconds
            begin = time.monotonic() + 0.1  # what was under way is answered by then
            pause.wait()
            spans.append((share, begin, time.monotonic()))
            if i + 1 < len(SHARES):
                order(g, "promote", rollout=g.module("pay")["rollout"]["id"], step=2 * i + 1)
        order(g, "abort")
        g.wait_phase("pay", "RolledBack")
    for share, begin, end in spans:
        answers = sequence(load, begin, end)
        seen = 100 * sum(answers) / len(answers)
        rows.append([f"{share} %", "users" if sticky else "turns", f"{len(answers):,}", f"{seen:.3f} %",
                     *(f"{largest_deviation(answers, n, share / 100):.1f}" if n <= len(answers) else "–" for n in WINDOWS)])
    return rows, load.result


def shares(g, seconds, lost):
    rows = []
    for sticky in (False, True):
        say(f"shares at {RATE} requests/s, {'sticky' if sticky else 'by turns'}")
        more, lost[f"shares, {'sticky' if sticky else 'by turns'}"] = measure_shares(g, seconds, sticky)
        rows += more
    return (f"At {RATE:,} requests/s over HTTP; the largest deviation that any so many answers in a row had from their share, in requests. "
            f"Answers are read in another order than decided. Sticky: {USERS:,} users by turns, so that chance decides which of a window's users are "
            "in the share.\n\n"
            + report.table(["weight", "by", "answers", "seen", *(f"of {n:,}" for n in WINDOWS)], rows))


# --- the way back -------------------------------------------------------------------------------------------------------------------------


def go_back_once(g, load, again):
    """One rollout, taken back at half of the traffic. When it was ordered, when the order was answered, when the rollout had ended."""
    began = time.monotonic()
    again()
    g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == "Paused")  # the last that the step writes
    wait_for_candidate(load, time.monotonic(), changes=20)
    ordered = time.monotonic()
    order(g, "abort")
    answered = time.monotonic()
    g.wait_phase("pay", "RolledBack")
    return began, ordered, answered, time.monotonic()


def last_answers(load, cycles):
    """Of each cycle the time from the order to the candidate's last answer, in milliseconds; 0: none came after the order."""
    ends = [began for began, *_ in cycles[1:]] + [float("inf")]
    lasts = [last for value, _, last in load.runs if value == "candidate"]
    took, at = [], 0
    for (_, ordered, *_), end in zip(cycles, ends):
        newest = 0
        while at < len(lasts) and lasts[at] < end:
            newest = lasts[at]
            at += 1
        took.append(max(0, 1000 * (newest - ordered)))
    return took


def rollbacks(g, count, lost):
    say(f"rollbacks: {count} at {ROLLBACK_RATE} requests/s")
    with clients.Load(g.port, clients.CHARGE, ROLLBACK_RATE, "x-grayling-role", seconds=LOAD_SECONDS) as load:
        cycles = [go_back_once(g, load, lambda: want(g, MODULES / "pay-1.1.0.so", {"weight": 50}, GATE))]
        while len(cycles) < count and time.monotonic() < cycles[0][0] + LOAD_SECONDS - 30:
            cycles.append(go_back_once(g, load, lambda: order(g, "retry")))
    lost["rollbacks"] = load.result
    rows = [["**the candidate's last answer was read**", *report.millis(last_answers(load, cycles))],
            ["the order was answered (its row is on the disk)", *report.millis([1000 * (a - o) for _, o, a, _ in cycles])],
            ["RolledBack was told", *report.millis([1000 * (e - o) for _, o, _, e in cycles])]]
    r = load.result
    return (f"{len(cycles):,} rollbacks of a candidate with half of the traffic, by an operator's order, under {ROLLBACK_RATE:,} requests/s; "
            f"{r['due'] - r['answered']:,} of {r['due']:,} requests failed or lost. Counted from before the order is written to the control "
            "socket.\n\n"
            + report.table(["from the order until", "p50 ms", "p99 ms", "max ms"], rows))


# --- detection ----------------------------------------------------------------------------------------------------------------------------


def find_once(g, root, i, share):
    path = root / f"bad-{i}.so"
    path.write_bytes((MODULES / "pay-1.3.0.so").read_bytes() + f"{i}".encode())  # what is found is never tried again
    with clients.Load(g.port, clients.CHARGE, FIND_RATE, "x-grayling-role") as load:
        want(g, path, {"weight": share}, GATE, version="1.3.0")
        ev = g.wait_phase("pay", "RolledBack")
    assert ev["reason"] == "ErrorRateRegressed", ev
    runs = [(n, last) for value, n, last in load.runs if value == "candidate"]
    first = next(at for value, at in load.seen if value == "candidate")
    bad = load.result["failed"]["status"]
    return {"requests": sum(n for n, _ in runs) + bad, "bad": bad, "seconds": runs[-1][1] - first,
            "lost": clients.failed(load.result) - bad}


def finds(g, root, count):
    rows, i, lost = [], 0, 0
    for share in (5, 25):
        say(f"finding 1.3.0 at {share} %, {count} times")
        found = []
        for _ in range(count):
            i += 1
            found.append(find_once(g, root, i, share))
        lost += sum(f["lost"] for f in found)
        q = lambda what, fmt, found=found: [fmt.format(quantile([f[what] for f in found], s)) for s in (0, 0.5, 1)]  # noqa: E731
        for what, name, fmt in (("requests", "requests of the candidate", "{:,}"), ("bad", "bad responses", "{:,}"),
                                ("seconds", "seconds from its first to its last answer", "{:.2f}")):
            rows.append([f"{share} %", name, *q(what, fmt)])
    text = (f"pay 1.3.0 (3 % INTERNAL) beside 1.0.0 (none), {FIND_RATE:,} requests/s, max_increase 0.005, {count} builds each; the numbers are "
            f"looked at every 250 ms. {lost} requests lost.\n\n")
    return text + report.table(["weight", "", "least", "median", "most"], rows), lost


# --- the decision -------------------------------------------------------------------------------------------------------------------------


def decisions():
    text = report.program("bench-call")
    found = [(m.group(1), float(m.group(2)), float(m.group(3))) for m in CALLS.finditer(text)]
    assert found and found[0][0].startswith("whole way"), text
    (name, *base), *ways = found
    rows = [[name, f"{base[0]:.1f}", "", f"{base[1]:.1f}", ""]]
    for name, one, two in ways:
        rows.append([name, f"{one:.1f}", f"{one - base[0]:+.1f}", f"{two:.1f}", f"{two - base[1]:+.1f}"])
    return "`bench-call`\n\n" + report.table(["nanoseconds a call", "1 thread", "the decision", "2 threads", "the decision"], rows)


def run(a, root, sections, lost):
    with supervisor(root, "gray") as g:
        g.deploy("pay", MODULES / "pay-1.0.0.so")
        sections["Shares"] = shares(g, a.seconds, lost)
        sections["From the decision to 100 % stable"] = rollbacks(g, a.rollbacks, lost)
        sections["Until a bad version is found"], missing = finds(g, root, a.finds)
    say("decisions")
    sections["What a decision costs"] = decisions()
    return missing


def main():
    a = arguments()
    noise, before, sections, lost = Noise(), os.getloadavg()[0], {}, {}
    with tempfile.TemporaryDirectory(prefix="grayling-bench-") as d:
        root = pathlib.Path(d)
        root.chmod(0o755)
        missing = run(a, root, sections, lost)
    text = report.machine(before, noise.share()) + f" The run took {noise.seconds():.0f} s.\n"
    for name, body in sections.items():
        text += f"\n## {name}\n\n{body}\n"
    a.output.write_text(text)
    print(text)
    bad = {what: r["failed"] for what, r in lost.items() if clients.failed(r) or r["answered"] != r["due"]}
    if bad or missing:
        print(f"requests were lost: {bad}, {missing} while bad versions were found", file=sys.stderr)
    return 1 if bad or missing else 0


if __name__ == "__main__":
    sys.exit(main())
