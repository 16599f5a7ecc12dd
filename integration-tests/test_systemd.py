"""The installed service under a real systemd: its unit, its sandbox, its journal, its sockets."""
import hashlib
import json
import os
import pathlib
import subprocess

import pytest

from harness import BUILD, MODULES, SOURCE

RIG = pathlib.Path(__file__).with_name("systemd-rig.sh")
CONF = """[Service]
Name=order
[Source]
Etcd=
Directory=/etc/grayling/modules.d
[Dispatch]
Listen=127.0.0.1:8080
[Artifacts]
FileRoots=/etc/grayling/incoming
"""
SETUP = """#!/bin/sh
set -e
DESTDIR=$1 cmake --install {build} >/dev/null
mkdir -p $1/etc/grayling/modules.d $1/etc/grayling/incoming
cp {conf} $1/etc/grayling/grayling.conf
cp {modules}/pay-1.0.0.so {modules}/pay-1.1.0.so $1/etc/grayling/incoming/
cp {document} $1/etc/grayling/modules.d/pay.json
"""


def analyze(*args):
    return subprocess.run(["systemd-analyze", "--no-pager", *args], capture_output=True, text=True)


def document(version):
    digest = hashlib.sha256((MODULES / f"pay-{version}.so").read_bytes()).hexdigest()
    return json.dumps({"version": version, "version_hash": f"sha256:{digest}", "source": [f"file:///etc/grayling/incoming/pay-{version}.so"],
                       "strategy": {"bake": "100ms"}})


def test_the_unit_is_hardened():
    r = analyze("security", "--offline=yes", "--threshold=15", BUILD / "systemd/grayling.service")
    assert r.returncode == 0, r.stdout[-2000:] + r.stderr


def test_the_units_are_understood(tmp_path):
    """systemd-analyze exits 0 on a key it does not know: what counts is its silence."""
    unit = (BUILD / "systemd/grayling.service").read_text().splitlines()
    lines = [f"ExecStart={BUILD}/graylingd" if line.startswith("ExecStart=") else line for line in unit if not line.startswith("Documentation=")]
    (tmp_path / "grayling.service").write_text("\n".join(lines) + "\n")
    (tmp_path / "grayling.socket").write_text((SOURCE / "systemd/grayling.socket").read_text())
    r = analyze("verify", tmp_path / "grayling.service", tmp_path / "grayling.socket")
    complaints = [line for line in r.stderr.splitlines() if "grayling" in line]
    assert r.returncode == 0 and complaints == [], r.stderr


class Rig:
    def __init__(self, root):
        self.env = dict(os.environ, RIG_NAME=f"grayling-{os.getpid()}", RIG_SETUP=str(root / "setup"))

    def verb(self, *args):
        return subprocess.run([RIG, *args], env=self.env, capture_output=True, text=True, timeout=120)

    def run(self, *args):
        r = self.verb("exec", *args)
        assert r.returncode == 0, (args, r.stdout, r.stderr, self.journal_text())
        return r.stdout

    def journal_text(self):
        return self.verb("exec", "journalctl", "--no-pager", "-n", "60", "-u", "grayling.service").stdout

    def main_pid(self):
        return self.run("systemctl", "show", "-P", "MainPID", "grayling.service").strip()


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    root = tmp_path_factory.mktemp("rig")
    (root / "conf").write_text(CONF)
    (root / "document").write_text(document("1.0.0"))
    (root / "setup").write_text(SETUP.format(build=BUILD, modules=MODULES, conf=root / "conf", document=root / "document"))
    (root / "setup").chmod(0o755)
    rig = Rig(root)
    r = rig.verb("check")
    if r.returncode == 77:
        pytest.skip(f"no systemd can be booted here: {r.stdout.strip()}")
    try:
        r = rig.verb("start")
        assert r.returncode == 0, r.stderr
        yield rig
    finally:
        rig.verb("stop")


def status(rig, *more):
    return rig.run("grayctl", "status", "pay", "--wait", "--timeout", "30s", *more)


def test_the_service_starts_and_serves(rig):
    rig.run("systemctl", "start", "grayling.socket", "grayling.service")
    assert rig.run("systemctl", "is-active", "grayling.service").strip() == "active"
    status(rig)
    answer = rig.run("curl", "-sSi", "-d", "{}", "-H", "content-type: application/json", "http://127.0.0.1:8080/com.example.pay.PayService/Charge")
    assert " 200 " in answer.splitlines()[0] and "x-grayling-version: 1.0.0" in answer.lower(), answer


def test_reload_keeps_the_process(rig):
    before = rig.main_pid()
    rig.run("systemctl", "reload", "grayling.service")
    assert rig.main_pid() == before


def test_restart_refuses_no_connection(rig):
    """The socket is systemd's: a connection made while the service is down waits for the next one."""
    rig.run("systemctl", "stop", "grayling.service")
    answer = rig.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8080/-/healthy")
    assert answer == "200"


def test_the_journal_has_fields(rig):
    entries = [json.loads(line) for line in rig.run("journalctl", "--no-pager", "-o", "json", "-u", "grayling.service").splitlines()]
    told = [e for e in entries if e.get("GRAYLING_MODULE") == "pay"]
    assert told and all(len(e["MESSAGE_ID"]) == 32 for e in told)


def test_the_catalog_explains(rig):
    rig.run("journalctl", "--update-catalog")
    assert "Subject: Grayling started" in rig.run("journalctl", "--no-pager", "-x", "-u", "grayling.service")
