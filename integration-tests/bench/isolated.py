"""One caller's round trips into an isolated module, beside the same module in the worker and beside gRPC over a Unix socket. The three run in
turns, so that what disturbs the machine disturbs all; the report, isolated.md, has the medians."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from front_door import median  # noqa: E402
from harness import BUILD  # noqa: E402

ROUNDS = 5


def rows(program):
    """[name, bytes, p50, p99, p99.9] of each line."""
    out = subprocess.run([program], check=True, capture_output=True, text=True, env=dict(os.environ, GRAYLING_BUILD=str(BUILD))).stdout
    return [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in out.splitlines()]


def main():
    programs = [BUILD / "bench-isolated", *(p for p in [BUILD / "bench/grpc-unix"] if p.exists())]
    found, before = {}, os.getloadavg()[0]
    for _ in range(ROUNDS):
        for program in programs:
            for name, size, *usec in rows(program):
                found.setdefault((name, size), []).append([float(u) for u in usec])
    lines = ["### A call into an isolated module", "",
             f"One caller, 20,000 calls one after the other, medians of {ROUNDS} rounds in turns. Load average before {before:.2f}, "
             f"after {os.getloadavg()[0]:.2f}.", "", "|  | bytes | p50 µs | p99 µs | p99 least–most | p99.9 µs |", "|---|---|---|---|---|---|"]
    for (name, size), rounds in found.items():
        p50, p99, p999 = (median([r[i] for r in rounds]) for i in range(3))
        lines.append(f"| {name} | {size} | {p50:,.2f} | {p99:,.2f} | {min(r[1] for r in rounds):,.2f}–{max(r[1] for r in rounds):,.2f} | {p999:,.2f} |")
    if len(programs) == 1:
        lines.append("\ngRPC was not built (packages libgrpc++-dev, protobuf-compiler-grpc).")
    text = "\n".join(lines) + "\n"
    (BUILD / "bench").mkdir(exist_ok=True)
    (BUILD / "bench/isolated.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
