#!/usr/bin/env python3
"""Holds alerts, their pages and the metrics together: every alert has a page and every page an alert, every reason has a section, rules name
only metrics that docs/METRICS.md lists, and promtool agrees with the rules and with their cases."""
import pathlib
import re
import shutil
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
root = here.parent.parent
pages = root / "docs/runbooks"
rules = (here / "grayling.rules.yml").read_text()
cases = (here / "grayling.rules-test.yml").read_text()
faults = []


def same(what, left, right):
    faults.extend(f"{what}: {x} is only in the first" for x in left if x not in right)
    faults.extend(f"{what}: {x} is only in the second" for x in right if x not in left)


alerts = re.findall(r"- alert: (\w+)", rules)
same("alerts and pages", alerts, [p.stem for p in pages.glob("Grayling*.md")])
same("alerts and their runbook_url", alerts, re.findall(r"runbook_url: file:///usr/share/doc/grayling/runbooks/(\w+)\.md", rules))
for p in pages.glob("Grayling*.md"):
    headings = re.findall(r"^#+ (.*)", p.read_text(), re.M)
    if headings != [p.stem, "What it means", "What to look at", "What to do"]:
        faults.append(f"{p.name}: its headings are {headings}")
for alert in alerts:
    checks = re.findall(rf"alertname: {alert}\n +exp_alerts:( \[\])?\n", cases)
    if set(checks) != {"", " []"}:
        faults.append(f"{alert}: grayling.rules-test.yml has to show it firing and not firing")

reasons = re.findall(r'X\([A-Z_]+, +"(\w+)"\)', (root / "supervisor/base/error.h").read_text())
text = (pages / "REASONS.md").read_text()
sections = re.findall(r"^## (\w+)\n\n- \*\*Means\*\*: .+\n- \*\*Look at\*\*: .+\n- \*\*Do\*\*: .+\n", text, re.M)
same("reasons and REASONS.md", reasons, re.findall(r"^## (.*)", text, re.M))
same("reasons and whole sections", reasons, sections)

listed = set(re.findall(r"^\| `(grayling_\w+)`", (root / "docs/METRICS.md").read_text(), re.M))
expressions = re.sub(r"^ +(#|summary:|description:|runbook_url:).*$", "", rules, flags=re.M)
for name in sorted(set(re.findall(r"\bgrayling_\w+", expressions))):
    if name not in listed and re.sub(r"_(bucket|sum|count)$", "", name) not in listed:
        faults.append(f"the rules name {name}, which docs/METRICS.md does not list")

# Labels and their values, which promtool cannot know: a selector that fits nothing never fires.
rows = re.findall(r"^\| `(grayling_\w+)` \| \w+ \| ([^|]*) \|", (root / "docs/METRICS.md").read_text(), re.M)
labels = {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows}
phases = set(re.findall(r'X\([A-Z_]+, "(\w+)"\)', (root / "supervisor/state/journal.h").read_text()))
for name, selector in re.findall(r"\b(grayling_\w+)\{([^}]*)\}", expressions):
    for label, value in re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', selector):
        if label not in labels.get(name, ()):
            faults.append(f"the rules ask {name} for the label {label}, which docs/METRICS.md does not give it")
        known = {"phase": phases, "reason": set(reasons) if name == "grayling_rollbacks_total" else None}.get(label)
        if known is not None:
            faults.extend(f"the rules ask {name} for {label} {v}, which there is not" for v in value.split("|") if v not in known)

if shutil.which("promtool"):
    for command in (["check", "rules", "grayling.rules.yml"], ["test", "rules", "grayling.rules-test.yml"]):
        r = subprocess.run(["promtool", *command], cwd=here, capture_output=True, text=True)
        if r.returncode != 0:
            faults.append(f"promtool {' '.join(command)}:\n{r.stdout}{r.stderr}")
else:
    print("promtool is not installed (package prometheus): rules are not tried")
print("\n".join(faults) or f"{len(alerts)} alerts and {len(reasons)} reasons, each with its page")
sys.exit(1 if faults else 0)
