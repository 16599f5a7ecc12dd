"""Latency of a running Grayling beside its peers at fixed rates, in interleaved rounds: what disturbs the machine disturbs all."""
import clients
from harness import MODULES
from peers import GrpcEcho, Missing, Nginx, cpu_seconds

RATES = (2000, 4000, 8000, 20000)  # the last is near what a gRPC server on two processors can answer
MOST = {"http": 200000, "grpc": 100000}  # due within one second: more than any server here answers, so it answers what it can
GRPC = ("gRPC C++ sync", "gRPC C++ async")


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


class Contestant:
    def __init__(self, name, run, pids, most, rates=RATES):
        self.name, self.run, self.pids, self.most = name, run, pids, most
        self.samples, self.throughput = {rate: [] for rate in rates}, []

    def saturate(self):
        result = self.run(self.most, 1)
        self.throughput.append(result["answered"] / result["seconds"])

    def measure(self, rate, seconds):
        pids = self.pids()
        before = cpu_seconds(pids)
        result = self.run(rate, seconds)
        result["cpu_usec"] = 1e6 * (cpu_seconds(pids) - before) / max(1, result["answered"])
        self.samples[rate].append(result)

    def figure(self, rate, name):
        return median([r[name] if name in r else r["all"][name] for r in self.samples[rate]])


def grayling_contestants(g):
    g.deploy("echo", MODULES / "echo-1.0.0.so")
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    worker = g.status()["worker"]["pid"]
    return [Contestant(f"Grayling, {name}", lambda rate, s, path=path: clients.http(g.port, path, rate, s), lambda: [worker],
                       MOST["http"])
            for name, path in (("echo", clients.ECHO), ("pay", clients.CHARGE))]


def peer_contestants(root, stack, missing):
    found = []
    for name, make, run, most in (
            ("nginx return 200", lambda: Nginx(root), lambda p: lambda rate, s: clients.http(p.port, "/", rate, s), MOST["http"]),
            (GRPC[0], lambda: GrpcEcho("sync"), lambda p: lambda rate, s: clients.grpc(p.port, rate, s), MOST["grpc"]),
            (GRPC[1], lambda: GrpcEcho("async"), lambda p: lambda rate, s: clients.grpc(p.port, rate, s), MOST["grpc"])):
        try:
            peer = make()
        except Missing as e:
            missing.append(f"{name}: {e}")
            continue
        stack.callback(peer.stop)
        found.append(Contestant(name, run(peer), peer.pids, most))
    return found


def measure(g, root, stack, rounds, seconds):
    """Returns the contestants with their samples, and why peers are missing."""
    missing = []
    all_of_them = grayling_contestants(g) + peer_contestants(root, stack, missing)
    for i in range(rounds):
        first = i % len(all_of_them)
        order = all_of_them[first:] + all_of_them[:first]
        for rate in RATES:
            for c in order:
                c.measure(rate, seconds)
        for c in order:
            c.saturate()
    return all_of_them, missing
