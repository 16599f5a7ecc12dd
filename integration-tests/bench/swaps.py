"""Changes of code under load: Grayling's swaps through its directory source, and nginx's reload under the same load."""
import os
import re
import select
import signal
import time

import clients
from harness import MODULES, PATIENCE
from peers import Missing, Nginx

RATE = 4000
EVERY = 0.15  # seconds from one change to the next, so that there is time outside of the windows
FROZEN = re.compile(r"dispatch was frozen for (\d+) us, (\d+) requests were parked")


def quantile(values, share):
    """Nearest rank, as the clients count."""
    values = sorted(values)
    return values[max(0, -(-int(len(values) * share * 1e6) // 1000000) - 1)] if values else 0


def swap_once(g, load, document):
    """One change, from the document written to Healthy; returns how long dispatch was frozen in microseconds."""
    begin = time.monotonic()
    g.want({"pay": document})
    swapped = g.wait_event(lambda e: e["module"] == "pay" and FROZEN.search(e["message"] or ""))
    g.wait_phase("pay", "Healthy")
    load.window(begin, time.monotonic())
    return int(FROZEN.search(swapped["message"]).group(1))


def measure_grayling(g, count):
    documents = [g.document(MODULES / f"pay-{v}.so", strategy={"bake": "1ms"}) for v in ("1.0.0", "1.1.0")]
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    schedule = clients.Schedule(EVERY)
    frozen = []
    with clients.Load(g.port, clients.CHARGE, RATE, "x-grayling-version") as load:
        for i in range(count):
            schedule.wait()
            frozen.append(swap_once(g, load, documents[(i + 1) % 2]))
    return {"count": len(frozen), "frozen": frozen, "load": load.result,
            "versions": sorted({v for v, _ in load.seen})}


def wait_for_exit(pids):
    deadline = time.monotonic() + PATIENCE
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise RuntimeError(f"the old worker {pid} did not end")
        finally:
            os.close(fd)


def measure_nginx(root, count):
    nginx = Nginx(root)  # raises Missing
    first = []
    try:
        schedule = clients.Schedule(2 * EVERY)
        with clients.Load(nginx.port, "/", RATE, "x-version") as load:
            for i in range(count):
                schedule.wait()
                version, old = str(i + 2), nginx.pids()
                nginx.configure(version)
                begin = time.monotonic()
                nginx.process.send_signal(signal.SIGHUP)
                first.append(load.first_answer(version, begin) - begin)
                wait_for_exit(old)
                load.window(begin, time.monotonic())
    finally:
        nginx.stop()
    return {"count": count, "first": first, "load": load.result}


def measure(g, root, swaps, reloads):
    grayling = measure_grayling(g, swaps)
    try:
        return grayling, measure_nginx(root, reloads), None
    except Missing as e:
        return grayling, None, f"nginx -s reload: {e}"
