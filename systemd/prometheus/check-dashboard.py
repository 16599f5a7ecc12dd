#!/usr/bin/env python3
"""Holds the Grafana dashboard to the metrics: every expression parses, asked of promtool as a file of rules, and names only what docs/METRICS.md
lists, with the labels that are there; every panel has its place and every variable is declared."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
dashboard = json.loads((here / "grayling-dashboard.json").read_text())
rows = re.findall(r"^\| `(grayling_\w+)` \| \w+ \| ([^|]*) \|", (here.parent.parent / "docs/METRICS.md").read_text(), re.M)
listed = {name: set(re.findall(r"`(\w+)`", labels)) | {"job", "instance", "le"} for name, labels in rows}
faults = []

queries = [v["definition"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
expressions = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])] + [a["expr"] for a in dashboard["annotations"]["list"]]
variables = {v["name"] for v in dashboard["templating"]["list"]} | {"__rate_interval", "__all"}
faults += [f"the variable ${v} is not declared" for v in sorted(set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) - variables)]
for text in queries + expressions:
    for name, matchers in re.findall(r"\b(grayling_\w+)(?:\{([^}]*)\})?", text):
        family = name if name in listed else re.sub(r"_(bucket|sum|count)$", "", name)
        unknown = set(re.findall(r"(\w+)=", matchers)) - listed.get(family, set())
        if family not in listed:
            faults.append(f"{name} is not listed in docs/METRICS.md: {text}")
        elif unknown:
            faults.append(f"{name} has no label {', '.join(sorted(unknown))}: {text}")

ids = [p["id"] for p in dashboard["panels"]]
cells = [(x, y) for p in dashboard["panels"] for g in [p["gridPos"]] for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])]
if len(ids) != len(set(ids)) or len(cells) != len(set(cells)) or any(x >= 24 for x, _ in cells):
    faults.append("two panels have one id or one place, or a panel is outside")
shown = set(re.findall(r"\bgrayling_\w+", " ".join(expressions)))
for name in ("requests_total", "request_duration_seconds_bucket", "route_weight_ratio", "rollbacks_total", "faults_total"):
    if f"grayling_{name}" not in shown:
        faults.append(f"grayling_{name} is shown nowhere")

if shutil.which("promtool"):
    with tempfile.TemporaryDirectory() as d:
        path = pathlib.Path(d) / "rules.yml"
        rules = [{"record": f"x:e{i}", "expr": e.replace("$__rate_interval", "5m")} for i, e in enumerate(expressions)]
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
        r = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
        if r.returncode != 0:
            faults.append(r.stdout + r.stderr)
else:
    print("promtool is not installed (package prometheus): expressions are not parsed")
print("\n".join(faults) or f"{len(expressions)} expressions")
sys.exit(1 if faults else 0)
