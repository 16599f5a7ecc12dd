"""Each command of the runbooks, typed on a host that is in the state that its alert tells of: the service under a real systemd, with an etcd beside it.
What it ends with is in the table, and a word that whoever reads the runbook is there for."""
import re
import shutil

import pytest

from documents import blocks
from harness import MODULES, SOURCE, Etcd
from systemd_service import CHARGE, UNIT, Service, installed

CONF = """[Service]
Name=order
[Source]
Etcd=http://127.0.0.1:2379
[Dispatch]
Listen=127.0.0.1:8080
[Admin]
Listen=127.0.0.1:9464
[Artifacts]
FileRoots=/etc/grayling/incoming
"""
RUNBOOKS = sorted((SOURCE / "docs/runbooks").glob("Grayling*.md"))
TEXTS = [*sorted((SOURCE / "docs/runbooks").glob("*.md")), SOURCE / "docs/OPERATING.md"]
OLD, NEW, CRASHING = (MODULES / f"pay-1.{n}.0.so" for n in range(3))


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with installed(tmp_path_factory.mktemp("rig"), CONF) as rig:
        yield rig


class GuestEtcd(Etcd):
    """An etcd that the guest's systemd runs, where the runbooks look for it."""

    def __init__(self, rig):
        self.rig, self.port, self.url, self.process = rig, 2379, "http://127.0.0.1:2379", None

    def start(self):
        self.rig.run("systemd-run", "--quiet", "--collect", "--unit=beside", "--service-type=notify", "etcd", "--data-dir", "/run/etcd", "--unsafe-no-fsync",
                     "--logger", "zap", "--log-level", "error")

    def stop(self):
        self.rig.run("systemctl", "stop", "beside.service")

    def replace(self):
        """Another cluster answers under the same address."""
        self.stop()
        shutil.rmtree(self.rig.path("/run/etcd"))
        self.start()


@pytest.fixture(scope="module")
def host(rig):
    """pay 1.0.0 in force out of etcd."""
    s = Service(rig)
    s.etcd = GuestEtcd(rig)
    s.etcd.start()
    rig.run("systemctl", "start", UNIT)
    s.until(lambda: s.status()["source"]["up"], s.status)
    in_force(s, OLD)
    return s


def version_of(so):
    return so.stem.rsplit("-", 1)[1]


def in_force(g, so):
    """Whatever was before: this version, Healthy."""
    revision = g.want({"pay": g.document(so, reason=f"{so.name} {g.etcd.revision()}")})
    g.until(lambda: g.status()["source_revision"] >= revision and (m := g.module("pay")) and m["phase"] == "Healthy" and
            m["stable"]["version"] == version_of(so), lambda: g.module("pay"))
    g.seen = max((e["seq"] for e in g.events()), default=0)


# --- how hosts get to where their alerts are raised ---------------------------------------------------------------


def refused(g):
    in_force(g, OLD)
    document = g.document(NEW, strategy={"bake": "1h"})
    (g.incoming / NEW.name).rename(g.incoming / "elsewhere.so")
    g.want({"pay": document})
    g.wait_phase("pay", "Rejected")


def the_artifact_comes(g):
    (g.incoming / "elsewhere.so").rename(g.incoming / NEW.name)


def worker_dies(g):
    in_force(g, OLD), in_force(g, NEW)
    worker = g.worker()
    g.rig.run("kill", "-9", str(guest_pid(g, worker)))
    g.until(lambda: (g.status().get("worker") or {}).get("pid") not in (None, 0, worker))


def guest_pid(g, pid):
    return pid  # what the daemon tells is a number of the guest already


def start_refused(g):
    """graylingd dies, and the next one is refused for its configuration; the worker serves on."""
    in_force(g, OLD)
    (g.drop_ins / "bad.conf").write_text("[Dispatch]\nListen=nonsense\n")
    cursor = g.rig.cursor()
    g.rig.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", UNIT)
    g.rig.wait_journal(cursor, lambda e: "bad.conf" in str(e.get("MESSAGE")))


def mended(g):
    (g.drop_ins / "bad.conf").unlink()


def etcd_away(g):
    in_force(g, OLD), in_force(g, NEW)
    g.etcd.stop()
    g.until(lambda: not g.status()["source"]["up"])


def rolled_back(g):
    in_force(g, OLD)
    g.want({"pay": g.document(CRASHING, strategy={"bake": "1h"})})
    g.wait_phase("pay", "Baking")
    while g.module("pay")["rollout"]["phase"] == "Baking":
        g.call(CHARGE)
    g.wait_phase("pay", "RolledBack")


def at_a_gate(g):
    in_force(g, OLD)
    g.want({"pay": g.document(NEW, strategy={"steps": [{"weight": 25}, {"pause": {}}, {"weight": 100}], "sticky": "header:x-user-id", "bake": "1h"})})
    g.wait_event(lambda e: e.get("phase") == "Paused")


def held(g):
    in_force(g, OLD)
    g.etcd.replace()
    g.until(lambda: g.status()["source"]["held"], g.status)


def nothing(g):
    pass


SITUATIONS = {"GraylingArtifactRefused": refused, "GraylingCrashLoop": worker_dies, "GraylingDown": start_refused, "GraylingEtcdUnreachable": etcd_away,
              "GraylingRolledBack": rolled_back, "GraylingRolloutStuck": at_a_gate, "GraylingWeightDrift": at_a_gate, "GraylingWatchStalled": held}
AFTER = {"GraylingEtcdUnreachable": lambda g: (g.etcd.start(), g.until(lambda: g.status()["source"]["up"]))}
# runbook -> command -> (status, what it shows, what happens before)
TYPED = {
    "GraylingArtifactRefused": {
        "grayctl status pay": (4, "FetchFailed", nothing),
        "grayctl history pay": (0, "Rejected", nothing),
        "grayctl events pay": (0, "FetchFailed", nothing),
        "grayctl retry pay --reason 'the artifact is there now'": (0, "pay", the_artifact_comes),
    },
    "GraylingCrashLoop": {
        "grayctl status": (0, "pay", nothing),
        "grayctl get pay": (0, "Stable", nothing),
        "grayctl events": (0, "the worker ended with signal 9", nothing),
        "journalctl -u grayling -x --since -30min": (0, "the worker ended with signal 9", nothing),
        "coredumpctl list": (None, "", nothing),
        "journalctl -k --grep oom": (1, "", nothing),  # nothing was found, as here
        "grayctl undo pay --reason 'crashes since this morning'": (0, "1.1.0 -> 1.0.0", nothing),
        "grayctl safe-mode leave --reason 'the disk was replaced'": (5, "safe mode", nothing),  # obeyed: test_systemd.py
    },
    "GraylingDown": {
        "systemctl status grayling": (3, "grayling", nothing),
        "journalctl -u grayling -x --since -15min": (0, "bad.conf", nothing),
        "coredumpctl list graylingd": (None, "", nothing),
        "curl -s http://127.0.0.1:8080/-/healthy": (0, "", nothing),
        "graylingd --check-config --config /etc/grayling/grayling.conf": (0, "", mended),
        "systemctl start grayling": (0, "", nothing),
    },
    "GraylingEtcdUnreachable": {
        "grayctl status": (0, "did not answer", nothing),
        "grayctl doctor": (4, "did not answer", nothing),
        "grayctl events": (0, "SourceUnreachable", nothing),
        "etcdctl --endpoints http://127.0.0.1:2379 endpoint health": (1, "unhealthy", nothing),
        "grayctl undo pay --local --reason 'etcd is away'": (0, "1.1.0 -> 1.0.0", nothing),
    },
    "GraylingRolledBack": {
        "grayctl explain pay": (0, "SIGSEGV", nothing),
        "grayctl history pay": (0, "Crashed", nothing),
        "grayctl status pay": (4, "Crashed", nothing),
        "journalctl -u grayling -x GRAYLING_MODULE=pay": (0, "SIGSEGV", nothing),
        "grayctl quarantine list": (0, "Crashed", nothing),
        "grayctl quarantine lift SHA256 --reason 'the database was down'": (0, "may run again", nothing),
        "grayctl retry pay --reason 'the database is back'": (0, "pay", nothing),
        "grayctl undo pay --reason 'waits for a mended build'": (0, "1.0.0", nothing),
    },
    "GraylingRolloutStuck": {
        "grayctl get pay": (0, "Paused", nothing),
        "grayctl explain pay": (0, "grayctl promote pay", nothing),
        "grayctl events pay": (0, "Paused", nothing),
        "grayctl promote pay": (0, "100 %", nothing),
        "grayctl abort pay --reason 'nobody needs it'": (0, "is taken back", nothing),
    },
    "GraylingWeightDrift": {
        "grayctl get pay -o wide": (0, "25 %", nothing),
        "grayctl plan pay --request 'x-user-id: 7'": (0, "pay", nothing),
    },
    "GraylingWatchStalled": {
        "grayctl status": (0, "accept-rewind", nothing),
        "curl -s http://127.0.0.1:9464/metrics | grep grayling_etcd": (0, "grayling_etcd_watch_restarts_total", nothing),
        "etcdctl --endpoints http://127.0.0.1:2379 endpoint status --cluster -w table": (0, "IS LEADER", nothing),
        "grayctl source accept-rewind --reason 'restored from the backup of this morning'": (0, "is followed again", nothing),
    },
}


def commands(runbook):
    return [line.strip() for b in blocks(runbook) if b.language == "sh" for line in b.text.splitlines()]


def typed(g, command):
    if "SHA256" in command:
        command = command.replace("SHA256", g.status()["quarantine"][0]["hash"])
    return g.rig.try_run("bash", "-o", "pipefail", "-c", command)


def test_every_command_is_in_the_table():
    assert {r.stem: commands(r) for r in RUNBOOKS} == {name: list(table) for name, table in TYPED.items()}


@pytest.mark.parametrize("runbook", sorted(SITUATIONS, key=lambda name: name == "GraylingWatchStalled"))  # which takes the documents away stands last
def test_a_runbook_as_it_is_typed(host, runbook):
    SITUATIONS[runbook](host)
    try:
        for command, (status, shows, before) in TYPED[runbook].items():
            if command.startswith("coredumpctl") and not shutil.which("coredumpctl"):
                continue
            before(host)
            r = typed(host, command)
            assert status in (None, r.returncode) and shows in r.stdout + r.stderr, (command, r, host.rig.journal_text())
    finally:
        AFTER.get(runbook, nothing)(host)


# In running text: programs other than grayctl, which test_documents.py parses.
SPAN = re.compile(r"`((?:systemctl|journalctl|coredumpctl|etcdctl|curl|promtool|df|sha256sum|cat|openssl|dmesg|ip|ss)(?: [^`]*)?)`")
SPANS = {
    "systemctl reload grayling": "systemctl reload grayling",
    "systemctl restart grayling": "systemctl restart grayling",
    "coredumpctl": "coredumpctl list",
    "curl -fI": "curl -fI http://127.0.0.1:9464/metrics",
    "df": "df",
    "sha256sum": "sha256sum /etc/grayling/incoming/pay-1.0.0.so",
    "cat /proc/pressure/io": "test ! -e /proc/pressure/io || cat /proc/pressure/io",
}


def test_every_span_is_in_the_table():
    found = {span for text in TEXTS for span in SPAN.findall(text.read_text())}
    assert found == set(SPANS), found ^ set(SPANS)


@pytest.mark.parametrize("span", SPANS)
def test_a_command_of_the_text(host, span):
    if span == "coredumpctl" and not shutil.which("coredumpctl"):
        pytest.skip("systemd-coredump is not installed")
    host.rig.run("bash", "-c", SPANS[span])
