#!/usr/bin/env python3
"""What looking costs those who are looked at: the same echo plain, while `grayctl profile` samples the worker, and with each request traced.

    observe.py [--rounds N] [--seconds N] [--output FILE]

Three supervisors are asked in turn in interleaved rounds. Traced: every request has a sampled `traceparent`, and its span goes to a collector
by OTLP. Prints Markdown. Fails when a request failed or got lost, no sample was taken or no span arrived; no time is asserted. The whole
takes about a minute."""
import argparse
import contextlib
import http.server
import os
import pathlib
import re
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import BUILD, MODULES, UnixHTTP  # noqa: E402

import clients  # noqa: E402
import report  # noqa: E402
from front_door import MOST, Contestant  # noqa: E402
from service import Noise, say, supervisor  # noqa: E402

RATES = (2000, 8000)
HZ = 99  # what grayctl profile takes by itself
MORE_USEC = 2_000_000  # a profile outlasts the load
TRACED = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def arguments():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--rounds", type=int, default=4)
    a.add_argument("--seconds", type=int, default=2)
    a.add_argument("--output", type=pathlib.Path, default=BUILD / "bench/observe.md")
    return a.parse_args()


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans and looks at none, so that it costs little beside what is measured."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        left = int(self.headers["content-length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16))) or left
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def collector():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    finally:
        server.shutdown()
        server.server_close()


class Profiled:
    """Loads while a profile is taken that begins before and ends after; `samples` are all that were taken in them."""

    def __init__(self, g):
        self.g, self.samples = g, 0

    def __call__(self, rate, seconds):
        status, begun = self.g.control("/v1/profile", "POST", {"hz": HZ, "usec": seconds * 1_000_000 + MORE_USEC})
        assert status == 200, begun
        result = clients.http(self.g.port, clients.ECHO, rate, seconds)
        self.samples += self._end(begun["profile"])
        return result

    def _end(self, number):
        c = UnixHTTP(self.g.run / "control.sock")
        with contextlib.closing(c):
            c.request("GET", f"/v1/profile/{number}?wait=60s")
            r = c.getresponse()
            text = r.read().decode()
        assert r.status == 200, text
        return int(re.search(r"^run \d+ \d+ \d+ (\d+) ", text, re.M)[1])


def spans(g):
    found = {}
    for line in g.metrics().splitlines():
        if line.startswith("grayling_spans_total{"):
            found[line.split('"')[1]] = int(float(line.rsplit(" ", 1)[1]))
    return found


def contestant(g, name, run):
    g.deploy("echo", MODULES / "echo-1.0.0.so")
    worker = g.status()["worker"]["pid"]
    return Contestant(name, run, lambda: [worker], MOST["http"], RATES)


def measure(found, rounds, seconds):
    for i in range(rounds):
        first = i % len(found)
        for rate in RATES:
            for c in found[first:] + found[:first]:
                c.measure(rate, seconds)


def main():
    a = arguments()
    noise, load = Noise(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="grayling-bench-") as d, contextlib.ExitStack() as stack:
        root = pathlib.Path(d)
        root.chmod(0o755)
        url = stack.enter_context(collector())
        plain, profiled = (stack.enter_context(supervisor(root, name)) for name in ("plain", "profiled"))
        traced = stack.enter_context(supervisor(root, "traced", sets=[f"Telemetry.Endpoint={url}"]))
        say(f"observe: {a.rounds} rounds at {', '.join(map(str, RATES))} requests/s")
        profile = Profiled(profiled)
        found = [contestant(plain, "nobody looks", lambda rate, s: clients.http(plain.port, clients.ECHO, rate, s)),
                 contestant(profiled, f"profiled at {HZ} Hz", profile),
                 contestant(traced, "each request traced", lambda rate, s: clients.http(traced.port, clients.ECHO, rate, s, TRACED))]
        measure(found, a.rounds, a.seconds)
        told = spans(traced)
    text = (f"{report.command()}\n\n{report.machine(load, noise.share())}\n\nMedians of {a.rounds} interleaved rounds of {a.seconds} s.\n\n"
            + report.latencies(found, RATES) + f"\n\n{profile.samples:,} samples; spans: "
            + ", ".join(f"{result} {n:,}" for result, n in sorted(told.items())) + ".\n")
    a.output.parent.mkdir(exist_ok=True)
    a.output.write_text(f"## What looking costs\n\n{text}")
    print(text)
    bad = sum(clients.failed(r) + r["due"] - r["answered"] for c in found for rate in RATES for r in c.samples[rate])
    return 1 if bad or not profile.samples or not told.get("exported") else 0


if __name__ == "__main__":
    sys.exit(main())
