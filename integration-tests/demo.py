"""The demo's story: each step is one line with what was measured. Ends with status 0 and leaves nothing running (but with --keep)."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import BUILD, MODULES, Etcd, Grayling, Traffic

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
began = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)


def freeze(g):
    swaps = [e for e in g.events() if "the table was exchanged" in e["message"]]
    return swaps[-1]["message"].split(": ", 1)[1] if swaps else "no freeze was needed"


def ladder(*steps, **more):
    return {"steps": [*steps, {"weight": 100}], "analysis": {"error_rate": {"max_increase": 0.005}, "min_requests": 200}, "bake": "1s", **more}


def wait_step(g, number):
    g.wait_event(lambda e: e["module"] == "pay" and f"step {number} of" in e["message"])


def share(t, version):
    """(requests, percent that `version` answered) of a while in which nothing is changed."""
    t.take()
    t.await_turns(400)
    codes, versions, _ = t.take()
    n = sum(codes.values())
    return n, 100 * versions.get(version, 0) / n


def counted(t):
    return f"{len(t.lost)} lost, {sum(n for c, n in t.codes.items() if c != 200)} errors"


def promote(g):
    subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "promote", "pay"], check=True, capture_output=True)


def first(g):
    at = time.monotonic()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    status, headers, body = g.call(CHARGE, BODY)
    say(f"pay 1.0.0 was published and serves {1000 * (time.monotonic() - at):.0f} ms after its key was written, bake of 300 ms included: "
        f"HTTP {status}, {body.decode()}")


def gray(g):
    """1.1.0 gets a growing share; people look, and promote."""
    with Traffic(g, CHARGE, BODY) as t:
        gate = {"pause": {}}
        g.want({"pay": g.document(MODULES / "pay-1.1.0.so", strategy=ladder({"weight": 1}, gate, {"weight": 25}, gate))})
        for weight, pause in ((1, 2), (25, 4)):
            wait_step(g, pause)
            n, percent = share(t, "1.1.0")
            say(f"pay 1.1.0 has a weight of {weight} % beside 1.0.0: it answered {percent:.2f} % of {n:,} requests; grayctl promote pay")
            promote(g)
        g.wait_phase("pay", "Healthy")
        n, percent = share(t, "1.1.0")
        codes, lost = t.codes, t.lost
    say(f"pay 1.1.0 was judged, swapped in and baked: it answers {percent:.0f} % of {n:,} requests; {freeze(g)}; {counted(t)}")
    return not lost and set(codes) <= {200}


def regressed(g):
    """1.3.0 answers 3 % of its charges with `internal`: the statistics take it back."""
    with Traffic(g, CHARGE, BODY) as t:
        at = time.monotonic()
        g.want({"pay": g.document(MODULES / "pay-1.3.0.so", strategy=ladder({"weight": 5}, {"pause": {"duration": "5m"}}))})
        wait_step(g, 2)
        ev = g.wait_phase("pay", "RolledBack")
        took = time.monotonic() - at
    failed = sum(n for c, n in t.codes.items() if c != 200)
    say(f"pay 1.3.0 was published with a weight of 5 % and taken back by the numbers after {took:.1f} s: "
        f"{t.versions.get('1.3.0', 0):,} of {sum(t.codes.values()):,} requests had seen it, {failed} failed, {len(t.lost)} lost")
    say(f"why: {ev['reason']}: {ev['message']}")
    return not t.lost and ev["reason"] == "ErrorRateRegressed"


def crashed(g):
    """1.2.0 dereferences NULL on every 50th charge: contained, rescued, taken back."""
    with Traffic(g, CHARGE, BODY) as t:
        at = time.monotonic()
        g.want({"pay": g.document(MODULES / "pay-1.2.0.so", strategy=ladder({"weight": 10}, {"pause": {"duration": "5m"}}))})
        wait_step(g, 2)
        served = time.monotonic()
        ev = g.wait_phase("pay", "RolledBack")
        back = time.monotonic()
    say(f"pay 1.2.0 got a weight of 10 % {1000 * (served - at):.0f} ms after its key was written, crashed, and was taken back {1000 * (back - served):.0f} ms later: "
        f"{sum(t.codes.values()):,} requests, {counted(t)}")
    say(f"why: {ev['reason']}: {ev['message']}")
    return not t.lost and ev["reason"] == "Crashed"


def story(g):
    first(g)
    ok = [gray(g), regressed(g), crashed(g)]
    status, headers, _ = g.call(CHARGE, BODY)
    m = g.module("pay")
    say(f"now: pay {headers['x-grayling-version']} answers HTTP {status}; the module is {m['phase']} since the key still names 1.2.0, whose digest is quarantined")
    return all(ok) and status == 200 and headers["x-grayling-version"] == "1.1.0"


def main():
    directory, keep = "--directory" in sys.argv, "--keep" in sys.argv
    root = pathlib.Path(tempfile.mkdtemp(prefix="grayling-demo-"))
    root.chmod(0o755)
    etcd = g = None
    ok = False
    try:
        etcd = None if directory else Etcd(root)
        say("Grayling without etcd: documents are files in a directory" if directory else f"a throw-away etcd listens on {etcd.url}")
        (root / "g").mkdir()
        g = Grayling(root / "g", etcd).start()
        say(f"graylingd serves http://127.0.0.1:{g.port}, dashboard on http://127.0.0.1:{g.admin}/")
        ok = story(g)
        if keep:
            ctl = f"{BUILD}/grayctl --control {g.run}/control.sock"
            print(f"\nStill running (graylingd {g.process.pid}{f', etcd {etcd.process.pid}' if etcd else ''}). Try:\n"
                  f"  {ctl} status\n  {ctl} history pay\n"
                  f"  curl -s -X POST -H 'content-type: application/json' -d '{BODY}' http://127.0.0.1:{g.port}/{CHARGE}\n"
                  f"  curl -s http://127.0.0.1:{g.admin}/metrics\n"
                  f"The dashboard: http://127.0.0.1:{g.admin}/\n"
                  f"End it: kill {g.process.pid}{f' {etcd.process.pid}' if etcd else ''}; rm -r {root}")
            return 0 if ok else 1
        say("the end: everything is stopped")
    except Exception:
        if g:
            print(g.log(), file=sys.stderr)
        raise
    finally:
        if not (keep and ok):
            if g:
                with contextlib.suppress(Exception):
                    g.stop()
                worker = g.kill()
                if worker:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
            if etcd:
                etcd.stop(signal.SIGTERM)
            shutil.rmtree(root, ignore_errors=True)
    return 0 if ok else 1


sys.exit(main())
