"""What a scraper reads of a busy instance: every family that docs/METRICS.md lists and no other, in both dialects; series end with their version;
a real Prometheus takes it in and its alerts fire; the commands of the runbooks are commands."""
import json
import re
import subprocess
import urllib.parse
import urllib.request

import pytest

from documents import blocks
from harness import BUILD, MODULES, PATIENCE, SOURCE, Traffic, free_port

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})
AUTH = MODULES / "auth-1.0.0.so"
OLD, NEW, CRASHES = (MODULES / f"pay-{v}.so" for v in ("1.0.0", "1.1.0", "1.2.0"))
HELD = {"steps": [{"weight": 50}, {"pause": {}}, {"weight": 100}], "deadline": "1h"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scrape(g, accept="text/plain"):
    request = urllib.request.Request(f"http://127.0.0.1:{g.admin}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=PATIENCE) as r:
        return r.headers["content-type"], r.read().decode()


def families(text):
    """{family: (type, names of labels)} of a scrape; the label le is the histogram's own."""
    begun = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)
    types = dict(begun)
    assert len(types) == len(begun), "a family is there twice"
    labels = {name: set() for name in types}
    for name, inside in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.M):
        family = name if name in types else re.sub(r"_(bucket|sum|count|total|info)$", "", name)
        labels[family] |= set(re.findall(r'(\w+)="', inside or "")) - {"le"}
    return {name: (types[name], labels[name]) for name in types}


def documented():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", (SOURCE / "docs/METRICS.md").read_text(), re.M)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def versions(text):
    return set(re.findall(r'module="pay",version="([^"]*)"', text))


@pytest.fixture
def busy(grayling):
    """A refused release, one that was taken back, one that waits at its gate with a shadow beside, one in its bake, under traffic."""
    g = grayling
    g.want({"auth": g.document(AUTH, strategy={"bake": "1h"})})
    g.wait_phase("auth", "Baking")
    g.deploy("pay", OLD)
    with Traffic(g, CHARGE, BODY, clients=2) as t:
        g.want({"pay": {**g.document(NEW), "version_hash": "sha256:" + "0" * 64}})
        g.wait_phase("pay", "Rejected")
        g.want({"pay": g.document(CRASHES, strategy={"bake": "1h"})})
        g.wait_phase("pay", "RolledBack")
        g.want({"pay": g.document(NEW, strategy={**HELD, "steps": [{"shadow": 100}, *HELD["steps"]]})})
        g.wait_phase("pay", "Paused")
        t.await_turns(50)
        g.until(lambda: "shadow_noise_total{" in g.metrics() and "route_observed_ratio{" in g.metrics())
        yield g


def test_every_family_is_listed_and_promtool_finds_nothing(busy):
    kind, text = scrape(busy)
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (check.returncode, check.stdout + check.stderr) == (0, "")
    seen, listed = families(text), documented()
    assert seen == listed, {k: (seen.get(k), listed.get(k)) for k in {*seen, *listed} if seen.get(k) != listed.get(k)}
    assert 'rollbacks_total{module="pay",reason="Crashed"} 1' in text and 'refused_total{reason="DigestMismatch"} 1' in text
    assert re.search(r"^grayling_rollback_duration_seconds_count 1$", text, re.M)
    assert re.search(r'^grayling_swaps_total\{module="pay",result="ok"\} [1-9]', text, re.M)
    assert re.search(r'^grayling_rollout_moved_time_seconds\{module="pay",phase="Paused"\} 1\d{9}', text, re.M)

    kind, text = scrape(busy, OPENMETRICS)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8" and text.endswith("\n# EOF\n")
    assert set(families(text)) == {re.sub(r"_(info|total)$", "", name) for name in listed}


def test_series_end_with_their_version(make, etcd):
    g = make(etcd).start()
    with Traffic(g, CHARGE, BODY, clients=1):
        for turn in range(3):
            for so, version in ((OLD, "1.0.0"), (NEW, "1.1.0")):
                g.deploy("pay", so, reason=str(turn))
                g.wait_loaded(1)
                assert versions(g.metrics()) == {version}
        g.want({"pay": g.document(OLD, strategy={"bake": "1h"})})
        g.wait_phase("pay", "Baking")
        assert versions(g.metrics()) == {"1.0.0", "1.1.0"} and 'rollout_bake_left_seconds{module="pay"} 3' in g.metrics()
        g.want({"pay": None})
        g.wait_event(lambda e: e["module"] == "pay" and e["phase"] == "Healthy" and not e["version"])
        g.wait_loaded(0)
        assert 'module="pay"' not in g.metrics()


class Prometheus:
    """One Prometheus on loopback that scrapes one instance with the shipped rules."""

    def __init__(self, g):
        self.root = g.root / "prometheus"
        self.root.mkdir()
        self.port = free_port()
        (self.root / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{SOURCE}/systemd/prometheus/grayling.rules.yml]
scrape_configs:
  - job_name: grayling
    static_configs: [{{targets: ["127.0.0.1:{g.admin}"]}}]
""")

    def __enter__(self):
        with open(self.root / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.root}/prometheus.yml", f"--storage.tsdb.path={self.root}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def log(self):
        return (self.root / "log").read_text(errors="replace")[-3000:]

    def api(self, path, **query):
        """None until it listens."""
        assert self.process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=PATIENCE) as r:
                return json.load(r)["data"]
        except OSError:
            return None

    def firing(self):
        return {(a["labels"]["alertname"], a["labels"].get("reason")) for a in (self.api("alerts") or {"alerts": []})["alerts"]
                if a["state"] == "firing"}


def test_a_real_prometheus_scrapes_it_and_alerts_fire(grayling):
    g = grayling
    g.deploy("pay", OLD)
    with Prometheus(g) as p, Traffic(g, CHARGE, BODY, clients=1):
        g.until(lambda: (p.api("query", query="grayling_requests_total > 0") or {}).get("result"), p.log)
        assert p.firing() == set()
        g.want({"pay": {**g.document(NEW), "version_hash": "sha256:" + "0" * 64}})
        g.wait_phase("pay", "Rejected")
        g.until(lambda: ("GraylingArtifactRefused", "DigestMismatch") in p.firing(), p.log)
        g.want({"pay": g.document(CRASHES, strategy={"bake": "1h"})})
        g.wait_phase("pay", "RolledBack")
        g.until(lambda: ("GraylingRolledBack", "Crashed") in p.firing(), p.log)
        assert {a for a, _ in p.firing()} == {"GraylingArtifactRefused", "GraylingRolledBack"}
        target = p.api("targets")["activeTargets"][0]
        assert (target["health"], target["lastError"]) == ("up", ""), target
        names = {n for n in p.api("label/__name__/values") if n.startswith("grayling_")}
        gray = {"grayling_route_observed_ratio", "grayling_rollout_bake_left_seconds", "grayling_rollout_moved_time_seconds"}
        used = set(re.findall(r"\bgrayling_\w+", "".join(r["query"] for r in p.api("rules")["groups"][0]["rules"])))
        assert used - gray <= names, used - names


def commands():
    """Each line of a runbook's blocks that begins with grayctl."""
    for page in sorted((SOURCE / "docs/runbooks").glob("*.md")):
        for line in "".join(b.text for b in blocks(page) if b.language == "sh").splitlines():
            if line.startswith("grayctl "):
                yield page.stem, line


def test_the_commands_of_the_runbooks_are_commands(busy):
    """Run as they stand: refused by what the host is in just now, some of them, but none for how it is written."""
    g, said = busy, []
    digest = g.control("/v1/quarantine")[1]["quarantine"][0]["hash"]
    g.config.write_text(f"[Service]\nName={g.service}\n[Source]\nEtcd={g.etcd.url}\n")
    env = {"PATH": f"{BUILD}:/usr/bin:/bin", "GRAYLING_CONTROL": str(g.run / "control.sock"), "GRAYLING_CONFIG": str(g.config), "LANG": "C.UTF-8"}
    found = list(commands())
    assert len(found) > 20, found
    for page, line in found:
        line = line.replace("SHA256", digest)
        r = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE, env=env)
        if r.returncode not in (0, 3, 4, 5):
            said.append((page, line, r.returncode, r.stderr))
    assert not said, said
