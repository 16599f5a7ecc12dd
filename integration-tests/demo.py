"""The demo's story: each step is one line with what was measured. Ends with status 0 and leaves nothing running (but with --keep)."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
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


def story(g):
    at = time.monotonic()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    status, headers, body = g.call(CHARGE, BODY)
    say(f"pay 1.0.0 was published and serves {1000 * (time.monotonic() - at):.0f} ms after its key was written, bake of 300 ms included: "
        f"HTTP {status}, {body.decode()}")
    with Traffic(g, CHARGE, BODY) as t:
        g.deploy("pay", MODULES / "pay-1.1.0.so", strategy={"bake": "1s"})
    seen = ", ".join(f"{n:,} by {v}" for v, n in sorted(t.versions.items()))
    say(f"pay 1.1.0 replaced it under traffic: {sum(t.codes.values()):,} requests ({seen}), {len(t.lost)} lost, "
        f"{sum(n for c, n in t.codes.items() if c != 200)} errors; {freeze(g)}")
    with Traffic(g, CHARGE, BODY) as t:
        at = time.monotonic()
        g.want({"pay": g.document(MODULES / "pay-1.2.0.so", strategy={"bake": "5m"})})
        g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == "Baking")
        served = time.monotonic()
        ev = g.wait_phase("pay", "RolledBack")
        back = time.monotonic()
    say(f"pay 1.2.0 served {1000 * (served - at):.0f} ms after its key was written, crashed, and was taken back {1000 * (back - served):.0f} ms later: "
        f"{sum(t.codes.values()):,} requests, {len(t.lost)} lost, {sum(n for c, n in t.codes.items() if c != 200)} errors")
    say(f"why: {ev['reason']}: {ev['message']}")
    status, headers, _ = g.call(CHARGE, BODY)
    m = g.module("pay")
    say(f"now: pay {headers['x-grayling-version']} answers HTTP {status}; the module is {m['phase']} since the key still names 1.2.0, whose digest is quarantined")
    return not t.lost and status == 200 and headers["x-grayling-version"] == "1.1.0"


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
        say(f"graylingd serves http://127.0.0.1:{g.port}, metrics on http://127.0.0.1:{g.admin}/metrics")
        ok = story(g)
        if keep:
            ctl = f"{BUILD}/grayctl --control {g.run}/control.sock"
            print(f"\nStill running (graylingd {g.process.pid}{f', etcd {etcd.process.pid}' if etcd else ''}). Try:\n"
                  f"  {ctl} status\n  {ctl} history pay\n"
                  f"  curl -s -X POST -H 'content-type: application/json' -d '{BODY}' http://127.0.0.1:{g.port}/{CHARGE}\n"
                  f"  curl -s http://127.0.0.1:{g.admin}/metrics\n"
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
