#!/usr/bin/env python3
"""Holds the include law of docs and design: which part of the tree may see which.

Every #include that names a file of ours is resolved as the compiler would, and judged by the part that it
comes from and the part that it goes to. Cycles between parts and between headers are refused too.

    check-include-law.py [ROOT]        status 0: the law holds; 1: every offence on a line of its own
"""
import os
import re
import sys

BASE = "supervisor/base"
TRANSPORT = "watchers/transport"
WATCHERS = "watchers"
VERIFIER = "verifier"
DISPATCH = "supervisor/dispatch"
STATE = "supervisor/state"
ROLLOUT = "supervisor/rollout"
CONTROL = "supervisor/control"
CLI = "supervisor/cli"
WORKER = "supervisor/worker"
ABI = "modules/include"

# The law itself: a part may include itself and these. The ABI header is open to whoever deals with modules.
BELOW_STATE = {BASE, TRANSPORT, WATCHERS, VERIFIER, DISPATCH, ABI}
LAW = {
    BASE: set(),
    TRANSPORT: {BASE},
    WATCHERS: {BASE, TRANSPORT},
    VERIFIER: {BASE, TRANSPORT, ABI},
    DISPATCH: {BASE, ABI},
    STATE: BELOW_STATE,
    ROLLOUT: BELOW_STATE | {STATE},
    CONTROL: BELOW_STATE | {STATE, ROLLOUT, CLI},
    CLI: BELOW_STATE | {STATE, ROLLOUT, CONTROL},
    WORKER: {BASE, DISPATCH, ABI},
    "systemd": {BASE},
    ABI: set(),
    "modules": {ABI},
    "modules/sdk": {BASE, ABI},
    "modules/examples/host": {BASE, DISPATCH, ABI},  # shows that dispatch serves any host program
    "integration-tests": {BASE, DISPATCH, ABI},
    "integration-tests/countdown": BELOW_STATE | {STATE, CONTROL},  # pieces of the way of a release
    "integration-tests/analysis": BELOW_STATE | {STATE, ROLLOUT},  # judges simulated canaries
    "cmake": set(),
}
# Programs that live beside a library and see more than it.
PROGRAMS = {
    "verifier/preflight-main.c": {DISPATCH},
    "modules/artifact-test.c": {BASE},  # reads the built modules as the product will
}

ROOTS = ("", "supervisor", "modules/include")  # where the compiler looks
SOURCE = (".c", ".h", ".cc", ".hpp")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def source_files(root):
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders[:] = [f for f in folders if not f.startswith(("build", "."))]
        for name in sorted(files):
            if name.endswith(SOURCE):
                yield os.path.relpath(os.path.join(folder, name), root)


def part_of(path):
    """The longest part that holds the path; None for a file outside every part."""
    holders = [part for part in LAW if path.startswith(part + "/")]
    return max(holders, key=len, default=None)


def resolve(root, path, name, quoted):
    """The file of ours that an include names; None when it is the system's."""
    folders = ([os.path.dirname(path)] if quoted else []) + list(ROOTS)
    for folder in folders:
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def read_edges(root, path):
    """Yields (line, target or None, name, quoted) for every include of a file."""
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    for match in INCLUDE.finditer(text):
        name, quoted = match.group(1) or match.group(2), match.group(1) is not None
        line = text.count("\n", 0, match.start()) + 1
        yield line, resolve(root, path, name, quoted), name, quoted


def find_cycle(graph):
    """One cycle as a list that ends where it began; None without one."""
    done, trail = set(), []

    def visit(node):
        if node in trail:
            return trail[trail.index(node):] + [node]
        if node in done:
            return None
        trail.append(node)
        for target in sorted(graph.get(node, ())):
            cycle = visit(target)
            if cycle:
                return cycle
        trail.pop()
        done.add(node)
        return None

    for node in sorted(graph):
        cycle = visit(node)
        if cycle:
            return cycle
    return None


def check(root):
    offences, files, parts = [], {}, {}
    for path in source_files(root):
        here = part_of(path)
        if here is None:
            offences.append(f"{path}: belongs to no part that the law knows; add it to LAW")
            continue
        allowed = LAW[here] | {here} | PROGRAMS.get(path, set())
        for line, target, name, quoted in read_edges(root, path):
            if target is None:
                if quoted:
                    offences.append(f'{path}:{line}: "{name}" is no file of this tree')
                continue
            there = part_of(target)
            files.setdefault(path, set()).add(target)
            if there != here and path not in PROGRAMS:
                parts.setdefault(here, set()).add(there)
            if there not in allowed:
                may = ", ".join(sorted(LAW[here])) or "nothing else of ours"
                offences.append(f"{path}:{line}: {here} must not see {target}; it may see {may}")
    for graph, what in ((parts, "parts"), (files, "files")):
        cycle = find_cycle(graph)
        if cycle:
            offences.append(f"cycle of {what}: " + " -> ".join(cycle))
    if not files:
        offences.append(f"{root}: no source file found, nothing was checked")
    return offences


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    offences = check(os.path.abspath(root))
    for offence in offences:
        print(offence)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
