"""From a key written to etcd to the first answer by the new version, for a module of 1 MiB that nobody has seen before, under load.
The stations are read where the service itself tells them: /metrics and the event stream."""
import datetime
import re
import time

import clients
from harness import MODULES
from swaps import FROZEN

RATE = 4000
EVERY = 0.2
SUM = re.compile(r"^grayling_release_station_duration_seconds_sum\{station=\"(\w+)\"\} (\S+)$", re.MULTILINE)


def make_release(root, i):
    """The same module of 1 MiB under a version, and so with a digest, of its own."""
    version = f"{2 + i // 100}.{i // 10 % 10}.{i % 10}"
    old = (MODULES / "echo-1.0.1.so").read_bytes()
    new = old.replace(b'"version":"1.0.1","abi"', f'"version":"{version}","abi"'.encode())
    assert new != old, "the contract of echo 1.0.1 was not found in its file"
    path = root / f"echo-{version}.so"
    path.write_bytes(new)
    return version, path


def station_sums(g):
    return {name: float(value) for name, value in SUM.findall(g.metrics())}


def monotonic_of(event):
    """An event's wall time as time.monotonic()."""
    at = datetime.datetime.fromisoformat(event["at"].replace("Z", "+00:00")).timestamp()
    return at - time.time() + time.monotonic()


def release_once(g, etcd, load, version, path):
    """Milliseconds of one release, by station."""
    document, before = g.document(path, strategy={"bake": "1ms"}), station_sums(g)
    events = []

    def healthy(e):
        if e["module"] == "echo" and e["version"] == version:
            events.append(e)
        return e["module"] == "echo" and e["phase"] == "Healthy" and e["version"] == version

    begin = time.monotonic()
    etcd.put(g.key("echo"), document)
    written = time.monotonic()
    first = load.first_answer(version, begin)
    g.wait_event(healthy)
    load.window(begin, time.monotonic())
    after = station_sums(g)
    planned = next(monotonic_of(e) for e in events if e["phase"] == "Pending")
    frozen = next(int(m.group(1)) for m in (FROZEN.search(e["message"] or "") for e in events) if m)
    took = {name: 1000 * (after[name] - before.get(name, 0)) for name in after}
    return {"total": 1000 * (first - begin), "put": 1000 * (written - begin), "watch": 1000 * (planned - begin), **took,
            "freeze": frozen / 1000, "rest": 1000 * (first - planned) - sum(took.values()) - frozen / 1000}


def measure(g, etcd, root, count):
    g.deploy("echo", MODULES / "echo-1.0.0.so")
    releases = [make_release(root, i) for i in range(count)]
    schedule = clients.Schedule(EVERY)
    with clients.Load(g.port, clients.ECHO, RATE, "x-grayling-version") as load:
        took = []
        for version, path in releases:
            schedule.wait()
            took.append(release_once(g, etcd, load, version, path))
    return {"count": count, "took": took, "load": load.result, "bytes": releases[0][1].stat().st_size}
