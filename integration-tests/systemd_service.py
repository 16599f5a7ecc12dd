"""graylingd as the service of a booted guest (rig.py), and clients that notice what it loses."""
import contextlib
import http.client

import pytest

from harness import BUILD, MODULES, Grayling, Traffic
from rig import Rig, missing

CHARGE = "com.example.pay.PayService/Charge"
MSG_STARTED = "6f0c1d2e3a4b4c5d8e9f101112131401"
MSG_SAFE_MODE = "6f0c1d2e3a4b4c5d8e9f101112131451"
MSG_WORKER_STARTED = "6f0c1d2e3a4b4c5d8e9f101112131408"
UNIT = "grayling.service"
SETUP = """#!/bin/sh
set -e
DESTDIR=$1 cmake --install {build} >/dev/null
mkdir -p $1/etc/grayling/incoming $1/etc/grayling/grayling.conf.d $1/etc/systemd/system/grayling.service.d
cp {conf} $1/etc/grayling/grayling.conf
cp {drop_in} $1/etc/systemd/system/grayling.service.d/00-test.conf
{more}
"""
# A build with sanitizers looks for leaks by tracing itself, which the unit's sandbox rightly refuses; and tests start it often. Drop-ins are
# read in the order of their names, whatever their directories: those of tests come after it.
DROP_IN = """[Unit]
StartLimitIntervalSec=0
[Service]
Environment=ASAN_OPTIONS=detect_leaks=0
"""


@contextlib.contextmanager
def installed(root, conf, more=""):
    """A guest that is booted with this build and that configuration. `more`: of the script that makes it, $1 is its root."""
    why = missing()
    if why:
        pytest.skip(f"no systemd can be booted here: {why}")
    (root / "conf").write_text(conf)
    (root / "drop_in").write_text(DROP_IN)
    (root / "setup").write_text(SETUP.format(build=BUILD, conf=root / "conf", drop_in=root / "drop_in", more=more))
    (root / "setup").chmod(0o755)
    rig = Rig(root, root / "setup")
    try:
        rig.start()
        rig.run("systemd-sysusers")
        rig.run("systemd-tmpfiles", "--create")
        yield rig
    finally:
        rig.stop()


class Service(Grayling):
    """graylingd in the guest, with the harness's ways to ask it; this thread is in the guest's network."""

    def __init__(self, rig):
        self.rig, self.service, self.etcd, self.seen = rig, "order", None, 0
        self.port, self.admin, self.run = 8080, 9464, rig.path("/run/grayling")
        self.directory, self.incoming = rig.path("/etc/grayling/modules.d"), rig.path("/etc/grayling/incoming")
        self.drop_ins = rig.path("/etc/grayling/grayling.conf.d")

    def log(self):
        return self.rig.journal_text()

    def document(self, so, **more):
        d = super().document(so, **more)
        return {**d, "source": [f"file:///etc/grayling/incoming/{so.name}"]}

    def serve(self, version="1.0.0"):
        """Up with its socket unit, and that version of pay in force."""
        if self.rig.show("ActiveState", "grayling.socket") != "active":
            self.rig.run("systemctl", "stop", UNIT)  # a running service keeps systemd from opening the address
        self.rig.run("systemctl", "start", "grayling.socket", UNIT)
        self.want({"pay": self.document(MODULES / f"pay-{version}.so")})
        # by the state, not by an event: another may be refused, in its bake, or just begin, as the test before left it
        self.until(lambda: (m := self.module("pay")) and m["phase"] == "Healthy" and m["stable"]["version"] == version, lambda: self.module("pay"))
        self.seen = max((e["seq"] for e in self.events()), default=0)
        return self

    def without_socket_unit(self):
        self.rig.run("systemctl", "stop", "grayling.socket", UNIT)
        self.rig.run("systemctl", "start", UNIT)

    def worker(self):
        return self.status()["worker"]["pid"]


class Visitors(Traffic):
    """Clients with a connection for each request: what a refused connection would be seen by."""

    def _run(self, i):
        while not self.over.is_set():
            try:
                self._answered(i, *self.g.call(self.method, self.body, headers={"connection": "close"}))
            except (OSError, http.client.HTTPException) as e:
                self._lost(i, e)


class Load:
    """Both kinds of client at once."""

    def __init__(self, service):
        self.kinds = [Traffic(service, CHARGE, clients=3), Visitors(service, CHARGE, clients=2)]

    def __enter__(self):
        for k in self.kinds:
            k.__enter__()
        return self

    def __exit__(self, *_):
        for k in self.kinds:
            k.__exit__()

    def clients(self):
        return sum(len(k.threads) for k in self.kinds)

    def await_turns(self, n):
        for k in self.kinds:
            k.await_turns(n)

    def lost(self):
        return [x for k in self.kinds for x in k.lost]

    def expect_all_answered(self, version="1.0.0"):
        assert self.lost() == []
        for k in self.kinds:
            assert set(k.codes) == {200} and set(k.versions) == {version}, (k.codes, k.versions)
