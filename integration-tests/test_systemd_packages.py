"""The Debian packages: built twice, equal to the byte; installed, upgraded, downgraded, removed and purged under a real systemd, with visitors at
the door. The service that they start is the one of the packages: no sanitizers, no fault points, nothing of the build tree."""
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import MODULES, SOURCE
from rig import Rig, missing
from systemd_service import CHARGE, MSG_WORKER_STARTED, UNIT, Load, Service

OLD, NEW = "0.9.0", "0.9.1"
CONF = """[Source]
Etcd=
Directory=/etc/grayling/modules.d
[Artifacts]
FileRoots=/etc/grayling/incoming
"""
# A host on which services may start, where a test may restart them as often as it likes, and whose manual pages are not indexed each time.
SETUP = """#!/bin/sh
set -e
rm -f $1/usr/sbin/policy-rc.d $1/var/lib/man-db/auto-update
mkdir -p $1/srv/packages $1/srv/modules $1/etc/systemd/system/grayling.service.d
cp {out}/*.deb $1/srv/packages
cp {modules}/pay-1.0.0.so {modules}/pay-1.1.0.so $1/srv/modules
printf '[Unit]\\nStartLimitIntervalSec=0\\n' >$1/etc/systemd/system/grayling.service.d/test.conf
"""

pytestmark = pytest.mark.skipif(not shutil.which("dh"), reason="debhelper is not installed")


def build(out, tree, version):
    r = subprocess.run([SOURCE / "systemd/packaging/build-packages", "--version", version, "--tree", tree, out], capture_output=True, text=True,
                       env=dict(os.environ, DEB_BUILD_OPTIONS="noautodbgsym werror"))
    assert r.returncode == 0, r.stdout[-2000:] + r.stderr[-4000:]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Both versions from one tree, where the second compiles one file."""
    out, tree = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("tree")
    for version in (OLD, NEW):
        build(out, tree, version)
    yield out, tree
    shutil.rmtree(tree)


def deb(out, version, name="grayling"):
    path, = out.glob(f"{name}_{version}_*.deb")
    return path


def unpacked(path, at):
    subprocess.run(["dpkg-deb", "-x", path, at], check=True)
    return at


# --- the files -----------------------------------------------------------------------------------------------


def test_two_builds_are_equal(built, tmp_path):
    """Elsewhere, from nothing, under another umask and in another time zone."""
    out, _ = built
    again = tmp_path / "elsewhere" / "with a longer path"
    before, zone = os.umask(0o002), os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    try:
        build(tmp_path, again.parent / "tree", OLD)
    finally:
        os.umask(before)
        os.environ.pop("TZ")
        if zone is not None:
            os.environ["TZ"] = zone
    for name in ("grayling", "grayling-dev"):
        assert deb(out, OLD, name).read_bytes() == deb(tmp_path, OLD, name).read_bytes(), name


@pytest.mark.skipif(not shutil.which("lintian"), reason="lintian is not installed")
def test_lintian_has_nothing_to_say(built):
    out, _ = built
    r = subprocess.run(["lintian", "--allow-root", "--profile", "debian", "--fail-on", "error,warning", *out.glob(f"*_{OLD}_*.deb")],
                       capture_output=True, text=True)
    assert r.returncode == 0 and r.stdout == "", r.stdout + r.stderr


def test_the_bill_names_what_is_linked(built, tmp_path):
    root = unpacked(deb(built[0], OLD), tmp_path)
    bill = json.loads((root / "usr/share/doc/grayling/grayling.spdx.json").read_text())
    assert bill["spdxVersion"] == "SPDX-2.3" and {p["name"]: p["versionInfo"] for p in bill["packages"]}["grayling"] == OLD
    depends = subprocess.run(["dpkg-deb", "-f", deb(built[0], OLD), "Depends"], check=True, capture_output=True, text=True).stdout
    wanted = {re.match(r"[^ ]+", d.strip())[0] for d in depends.split(",")}
    assert {p["name"] for p in bill["packages"]} >= {d for d in wanted if d.startswith("lib")}, depends
    for p in bill["packages"]:
        if p["name"] != "grayling":
            shown = subprocess.run(["dpkg-query", "-W", "-f", "${Version}\n", p["name"]], capture_output=True, text=True).stdout
            assert p["versionInfo"] in shown.split(), p
    for f in bill["files"]:
        sums = {c["algorithm"]: c["checksumValue"] for c in f["checksums"]}
        assert sums["SHA256"] == hashlib.sha256((root / f["fileName"]).read_bytes()).hexdigest(), f
    ids = {x["SPDXID"] for x in bill["packages"] + bill["files"]} | {"SPDXRef-DOCUMENT"}
    assert all({r["spdxElementId"], r["relatedSpdxElement"]} <= ids for r in bill["relationships"])
    assert len({f["fileName"] for f in bill["files"]} & {"./usr/sbin/graylingd", "./usr/libexec/grayling/grayling-worker"}) == 2


def test_a_module_is_built_with_the_dev_package(built, tmp_path):
    """With nothing but its files: header, CMake package, contract compiler, template."""
    root = unpacked(deb(built[0], OLD, "grayling-dev"), tmp_path / "root")
    package, = root.glob("usr/lib/*/cmake/Grayling")
    shutil.copytree(package / "template", tmp_path / "mine")
    for path in (tmp_path / "mine").iterdir():
        path.write_text(path.read_text().replace("@MODULE@", "mine").replace("@INTERFACE@", "mine"))
    for command in (["cmake", "-S", tmp_path / "mine", "-B", tmp_path / "b", "-G", "Ninja", f"-DGrayling_DIR={package}"], ["ninja", "-C", tmp_path / "b"]):
        r = subprocess.run(command, capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr
    assert list((tmp_path / "b").rglob("mine-*.so"))


# --- the life of an installation: these tests follow one another ---------------------------------------------


@pytest.fixture(scope="module")
def rig(built, tmp_path_factory):
    why = missing()
    if why:
        pytest.skip(f"no systemd can be booted here: {why}")
    root = tmp_path_factory.mktemp("rig")
    (root / "setup").write_text(SETUP.format(out=built[0], modules=MODULES))
    (root / "setup").chmod(0o755)
    rig = Rig(root, root / "setup")
    try:
        rig.start()
        yield rig
    finally:
        rig.stop()


@pytest.fixture(scope="module")
def service(rig):
    return Service(rig)


def dpkg(rig, *args):
    return rig.run("dpkg", "--force-unsafe-io", "--force-downgrade", *args)


def package(version):
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    return f"/srv/packages/grayling_{version}_{architecture}.deb"


def test_a_fresh_installation_runs(rig):
    dpkg(rig, "-i", package(OLD))
    assert rig.show("ActiveState") == "active" and rig.run("systemctl", "is-enabled", UNIT).strip() == "enabled"
    assert rig.show("ActiveState", "grayling.socket") == "inactive"
    assert rig.run("getent", "group", "grayling-operators") and rig.path("/etc/grayling/modules.d").is_dir()
    assert rig.run("graylingd", "--version").strip() == f"graylingd {OLD}"
    assert "in force" in rig.run("systemctl", "status", UNIT)
    assert "Subject: Grayling started" in rig.run("journalctl", "--no-pager", "-x", "-u", UNIT)


def test_it_serves_what_is_configured(rig, service):
    rig.run("mkdir", "-p", "/etc/grayling/grayling.conf.d", "/etc/grayling/incoming")
    rig.run("cp", "/srv/modules/pay-1.0.0.so", "/srv/modules/pay-1.1.0.so", "/etc/grayling/incoming")
    (service.drop_ins / "site.conf").write_text(CONF)
    rig.run("systemctl", "restart", UNIT)
    service.want({"pay": service.document(MODULES / "pay-1.0.0.so", strategy={"bake": "1s"})})
    service.wait_phase("pay", "Healthy")
    assert service.call(CHARGE)[1]["x-grayling-version"] == "1.0.0"


@pytest.mark.parametrize("door", ["descriptor store", "socket unit"])
def test_an_upgrade_and_a_downgrade_lose_nothing(rig, service, door):
    if door == "socket unit":
        rig.run("systemctl", "stop", UNIT)
        rig.run("systemctl", "enable", "--now", "grayling.socket")
        rig.run("systemctl", "start", UNIT)
    for version in (NEW, OLD):
        before = rig.show("MainPID")
        with Load(service) as load:
            dpkg(rig, "-i", package(version))
            assert rig.show("MainPID") != before and rig.show("ActiveState") == "active"
            assert service.status()["version"] == version
            for kind in load.kinds:
                kind.await_turns(2)  # the new one answers as well
        load.expect_all_answered()
    if door == "socket unit":
        assert rig.show("ActiveState", "grayling.socket") == "active"
        assert rig.run("systemctl", "is-enabled", "grayling.socket").strip() == "enabled"


def test_the_old_service_keeps_its_programs_until_it_is_restarted(rig, service):
    """Between dpkg's unpacking and the restart another release lies at the paths of worker and preflight."""
    with Load(service) as load:
        dpkg(rig, "--unpack", package(NEW))
        assert rig.run("graylingd", "--version").strip() == f"graylingd {NEW}" and service.status()["version"] == OLD
        before, cursor = service.worker(), rig.cursor()
        rig.run("grayctl", "worker", "replace")
        rig.wait_journal(cursor, lambda e: e.get("MESSAGE_ID") == MSG_WORKER_STARTED)
        worker = service.worker()
        assert worker != before
        assert rig.run("readlink", f"/proc/{worker}/exe").strip() == "/usr/libexec/grayling/grayling-worker (deleted)"
        assert rig.run("ps", "-o", "comm=", "-p", worker).strip() == "grayling-worker"
        service.want({"pay": service.document(MODULES / "pay-1.1.0.so", strategy={"bake": "1s"})})  # fetched, tried and stored by the old ones
        service.wait_phase("pay", "Healthy")
        dpkg(rig, "--configure", "grayling")
        assert service.status()["version"] == NEW
    assert load.lost() == [] and all(set(k.codes) == {200} and set(k.versions) <= {"1.0.0", "1.1.0"} for k in load.kinds)
    assert service.call(CHARGE)[1]["x-grayling-version"] == "1.1.0"


def test_a_configuration_that_was_changed_is_kept(rig):
    conf = rig.path("/etc/grayling/grayling.conf")
    conf.write_text(conf.read_text() + "# ours\n")
    dpkg(rig, "--force-confold", "-i", package(OLD))
    assert conf.read_text().endswith("# ours\n") and rig.show("ActiveState") == "active"


def test_a_removal_stops_it_and_keeps_what_is_ours(rig):
    dpkg(rig, "-r", "grayling")
    assert rig.show("ActiveState") == "inactive" and rig.try_run("pgrep", "-f", "grayling-worker|graylingd").stdout == ""
    assert rig.show("ActiveState", "grayling.socket") == "inactive"
    assert rig.path("/etc/grayling/grayling.conf").is_file() and rig.path("/etc/grayling/modules.d/pay.json").is_file()
    assert rig.path("/var/lib/private/grayling/journal.db").is_file()
    dpkg(rig, "-i", package(OLD))  # goes on where it was
    assert rig.show("ActiveState") == "active"


def test_it_goes_on_where_it_was(service):
    service.until(lambda: (m := service.module("pay")) and m["phase"] == "Healthy", lambda: service.module("pay"))
    assert service.call(CHARGE)[1]["x-grayling-version"] == "1.1.0"


def test_a_purge_leaves_nothing(rig):
    dpkg(rig, "-P", "grayling")
    rig.run("rm", "-r", "/etc/systemd/system/grayling.service.d")  # the test's own
    left = [p for p in rig.run("find", "/etc", "/usr", "/lib/systemd", "/var", "/run", "-xdev", "-name", "*grayling*").split("\n") if p]
    assert left == [], left
