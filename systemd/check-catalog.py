#!/usr/bin/env python3
"""Holds code and catalog equal: every MESSAGE_ID of log.h has one entry with a subject and a text, and no entry is left over."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
code = dict(re.findall(r'#define (GR_MSG_\w+)\s+"([0-9a-f]{32})"', (root / "supervisor/base/log.h").read_text()))
entries = re.split(r"^-- ", (root / "systemd/grayling.catalog").read_text(), flags=re.M)[1:]
catalog = {e[:32]: e for e in entries}
faults = [f"{name} ({i}) has no entry in grayling.catalog" for name, i in code.items() if i not in catalog]
faults += [f"entry {i} is used by no code" for i in catalog if i not in code.values()]
faults += [f"entry {i} has no subject or no text" for i, e in catalog.items() if "Subject: " not in e or len(e.strip().splitlines()) < 5]
if len(catalog) != len(entries) or len(set(code.values())) != len(code):
    faults.append("an id stands twice")
sources = [p.read_text() for d in ("supervisor", "watchers", "verifier") for p in (root / d).rglob("*.c")]
faults += [f"{name} is told by no code" for name in code if not any(re.search(rf"\b{name}\b", s) for s in sources)]
print("\n".join(faults) or f"{len(code)} kinds of event, each with its text")
sys.exit(1 if faults else 0)
