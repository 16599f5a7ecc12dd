"""A state directory on a disk that is really full, read-only, or failing: what serves goes on, nothing is left half-done, and each refusal
says what it was."""
import errno
import json
import os
import pathlib
import subprocess
import time

import pytest

from harness import MODULES, PATIENCE, Traffic

CHARGE = "com.example.pay.PayService/Charge"
TINY = ["tmpfs", "-o", "size=40m"]


class Disk:
    """A file system of its own, seen by whom starts with `prefix` and by nobody else; ends with close()."""

    def __init__(self, at, source, *mount):
        self.at = pathlib.Path(at)
        self.at.mkdir(exist_ok=True)
        self.holder = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-ec", 'mount -t "$@"; echo mounted; exec cat', "sh", *mount, source, self.at],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.holder.stdout.readline().strip()
        if said != "mounted":
            self.close()
            pytest.skip(f"no file system can be mounted here: {said}")
        self.wrapper = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", "--"]

    def close(self):
        self.holder.stdin.close()
        self.holder.stdout.close()
        self.holder.wait()

    def path(self, *below):
        return pathlib.Path(f"/proc/{self.holder.pid}/root{self.at}").joinpath(*below)

    def remount(self, how):
        subprocess.run([*self.wrapper, "mount", "-o", f"remount,{how}", self.at], check=True)

    def fill(self):
        """Until not one more page fits."""
        fd = os.open(self.path("filler"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        os.write(fd, bytes(size))
                except OSError:
                    pass
        finally:
            os.close(fd)
        stat = os.statvfs(self.path())
        assert stat.f_bavail == 0

    def fill_names(self):
        """Until there is no inode for one more name."""
        try:
            while True:
                os.close(os.open(self.path(f"name-{len(os.listdir(self.path()))}"), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except OSError as e:
            assert e.errno == errno.ENOSPC

    def make_room(self):
        for p in [self.path("filler"), *self.path().glob("name-*")]:
            p.unlink(missing_ok=True)

    def store(self):
        return sorted(p.name for p in self.path("store").iterdir())


@pytest.fixture
def on_disk(make):
    """graylingd with its state directory on a disk of its own."""
    disks = []

    def build(source="tmpfs", mount=TINY):
        g = make()
        disks.append(Disk(g.state, source, *mount))
        g.wrapper = disks[0].wrapper
        return g, disks[0]

    yield build
    for d in disks:
        d.close()


def wait_module(g, match):
    """The state of pay that fits, by the status's own long poll: on a full disk events may not be kept."""
    deadline = time.monotonic() + PATIENCE
    generation = None
    while time.monotonic() < deadline:
        _, status = g.control("/v1/status" + (f"?after={generation}&wait=10s" if generation else ""))
        generation = int(status["generation"])
        m = next((m for m in status["modules"] if m["module"] == "pay"), None)
        if m and match(m):
            return m
    raise AssertionError("the awaited state did not come:\n" + g.log())


def is_stable(version):
    return lambda m: m["phase"] == "Healthy" and m["stable"]["version"] == version


def version_served(g):
    status, headers, _ = g.call(CHARGE)
    assert status == 200
    return headers["x-grayling-version"]


def test_an_artifact_that_finds_no_room_is_refused_and_comes_when_there_is(on_disk):
    g, disk = on_disk()
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    before = disk.store()
    with Traffic(g, CHARGE) as t:
        disk.fill()
        g.want({"pay": g.document(MODULES / "pay-1.1.0.so")})
        m = wait_module(g, lambda m: m["reason"] == "DiskFull")
        assert "no room for module pay 1.1.0 in the store" in m["message"] and "make room" in m["message"], m
        assert disk.store() == before  # neither the file nor a part of it
        assert m["stable"]["version"] == "1.0.0"
    assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.0.0"}
    disk.make_room()
    g.want({"pay": g.document(MODULES / "pay-1.1.0.so", reason="there is room now")})
    wait_module(g, is_stable("1.1.0"))
    assert version_served(g) == "1.1.0" and len(disk.store()) == len(before) + 1


def bake_on_a_full_disk(g, disk, so):
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    g.want({"pay": g.document(so, strategy={"bake": "10m"})})
    g.wait_phase("pay", "Baking")
    disk.fill()


def test_an_operator_goes_back_on_a_full_disk(on_disk):
    g, disk = on_disk()
    bake_on_a_full_disk(g, disk, MODULES / "pay-1.1.0.so")
    with Traffic(g, CHARGE) as t:
        status, answer = g.control("/v1/modules/pay/undo", "POST", {"reason": "drill"})
        assert status == 200, answer
        wait_module(g, lambda m: m["stable"]["version"] == "1.0.0" and m["candidate"] is None)
        assert version_served(g) == "1.0.0"
    assert t.lost == [] and set(t.codes) == {200}
    worker = g.kill()  # what was decided on the full disk is known after it
    g.start()
    assert version_served(g) == "1.0.0" and g.status()["worker"]["pid"] != worker


def test_a_crashing_version_is_taken_back_on_a_full_disk(on_disk):
    g, disk = on_disk()
    bake_on_a_full_disk(g, disk, MODULES / "pay-1.2.0.so")
    with Traffic(g, CHARGE) as t:
        m = wait_module(g, lambda m: m["stable"]["version"] == "1.0.0" and m["reason"] == "Crashed")
        assert m["last_good"] == "1.0.0"
    assert t.lost == [] and set(t.codes) == {200}, (t.lost, t.codes)
    quarantine = g.control("/v1/quarantine")[1]["quarantine"]
    assert [q["version"] for q in quarantine] == ["1.2.0"]
    g.kill()
    g.start()
    assert version_served(g) == "1.0.0"
    assert [q["version"] for q in g.control("/v1/quarantine")[1]["quarantine"]] == ["1.2.0"]


def test_an_intent_that_cannot_be_journaled_changes_nothing(on_disk):
    g, disk = on_disk()
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    before, said = disk.store(), ""
    with Traffic(g, CHARGE) as t:
        for n in range(50):  # each refusal is journaled in what room the reserve left, until none is left
            disk.fill()
            g.want({"pay": g.document(MODULES / "pay-1.1.0.so", reason=f"try {n}")})
            m = wait_module(g, lambda m: m["reason"] == "DiskFull" and m["updated"] != said)
            said = m["updated"]
            if "the journal could not write" in m["message"]:
                break
        assert "disk of the state directory is full" in m["message"] and "Free some space" in m["message"], m
        assert disk.store() == before and m["stable"]["version"] == "1.0.0"
    assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.0.0"}
    disk.make_room()
    g.want({"pay": g.document(MODULES / "pay-1.1.0.so", reason="there is room now")})
    wait_module(g, is_stable("1.1.0"))


def test_a_restart_on_a_full_disk_serves_the_last_good_version(on_disk):
    g, disk = on_disk()
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    g.deploy("pay", MODULES / "pay-1.1.0.so")
    disk.fill()
    assert g.stop() == 0
    disk.fill()
    g.start()
    assert version_served(g) == "1.1.0"
    g.stop()


def test_a_start_on_a_read_only_state_directory_serves_what_is_good(on_disk):
    g, disk = on_disk()
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    assert g.stop() == 0
    disk.remount("ro")
    g.start()
    assert version_served(g) == "1.0.0"
    status = g.status()
    assert status["phase"] == "Degraded" and "Read-only file system" in status["message"], status
    assert "1 modules in force" in status["message"] and "make the directory writable, restart graylingd" in status["message"], status
    assert "grayling_journal_damaged 1" in g.metrics()
    before = disk.store()
    with Traffic(g, CHARGE) as t:
        g.want({"pay": g.document(MODULES / "pay-1.1.0.so")})
        m = wait_module(g, lambda m: m["reason"] == "Internal")
        assert "nothing is rolled out while the state directory cannot be written" in m["message"], m
        assert m["stable"]["version"] == "1.0.0" and disk.store() == before
    assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.0.0"}
    worker = g.status()["worker"]["pid"]
    os.kill(worker, 9)
    g.call(CHARGE)
    assert version_served(g) == "1.0.0" and g.status()["worker"]["pid"] != worker
    assert g.stop() == 0
    disk.remount("rw")
    g.start()  # takes up what was asked for meanwhile
    wait_module(g, is_stable("1.1.0"))
    assert version_served(g) == "1.1.0" and g.status()["message"] in ("", None)


def test_a_read_only_state_directory_that_knows_nothing_refuses_the_start(on_disk):
    g, disk = on_disk()
    disk.remount("ro")
    g.start(wait=False)
    assert g.process.wait(PATIENCE) == 1
    last = json.loads(g.log().strip().splitlines()[-1])["message"]
    assert "does not start" in last and "Read-only file system" in last and "expected" in last and str(g.state) in last, last
    disk.remount("rw")
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")


def test_a_disk_that_fails_under_way_does_not_end_the_service(on_disk, root):
    image = root / "image"
    with open(image, "wb") as f:
        f.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    g, disk = on_disk(source=str(image), mount=["ext4", "-o", "loop"])
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    before = disk.store()
    with Traffic(g, CHARGE) as t:
        disk.remount("abort")  # as ext4 does by itself when its device fails: read-only from here on, with files open for writing
        g.want({"pay": g.document(MODULES / "pay-1.1.0.so")})
        m = wait_module(g, lambda m: m["reason"] not in (None, "Inconclusive"))
        assert m["stable"]["version"] == "1.0.0" and m["reason"] == "Internal", m
        assert "the journal could not" in m["message"] and "Look after the disk" in m["message"], m
        assert disk.store() == before
        os.kill(g.status()["worker"]["pid"], 9)  # also a new worker is built without writing
        g.call(CHARGE)
    assert set(t.codes) == {200} and set(t.versions) == {"1.0.0"}
    assert g.process.poll() is None and version_served(g) == "1.0.0"


# --- the runtime directory ----------------------------------------------------------------------------------


@pytest.fixture
def g(make, etcd):
    """Its runtime directory is a tmpfs of its own, which has room for very little."""
    g = make(etcd)
    g.disk = Disk(g.run, "tmpfs", "tmpfs", "-o", "size=64k,nr_inodes=12")
    g.wrapper, g.run = g.disk.wrapper, g.disk.path()
    yield g
    g.stop()
    g.disk.close()


def test_a_full_runtime_directory_hinders_nothing(g):
    """No release, no way back, no new worker, no new supervisor: nothing that is needed is written there."""
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    with Traffic(g, CHARGE) as t:
        g.disk.fill()
        g.disk.fill_names()
        g.deploy("pay", MODULES / "pay-1.1.0.so")
        g.want({"pay": g.document(MODULES / "pay-1.2.0.so", strategy={"bake": "10m"})})
        assert g.wait_phase("pay", "RolledBack")["reason"] == "Crashed"
        g.process.kill()
        g.process.wait()
        g.start()
        t.await_turns(2)
        assert version_served(g) == "1.1.0" and g.status()["phase"] == "Degraded"  # by the conviction, and by nothing else
        assert g.status()["message"] in ("", None)
    assert t.lost == [] and set(t.codes) == {200}, (t.lost, t.codes)


def test_a_start_without_room_for_the_control_socket_serves(g, etcd):
    """It says so where it can, follows etcd, and opens the socket as soon as there is room."""
    g.start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    assert g.stop() == 0
    g.disk.fill()
    g.disk.fill_names()
    revision = etcd.revision() + 1
    g.start()
    assert version_served(g) == "1.0.0"
    with pytest.raises(FileNotFoundError):
        g.status()
    key = f"/grayling/v1/{g.service}/instances/host-1"
    seen = etcd.watch(key, revision)
    told = next(v for v in seen if v and json.loads(v)["phase"] != "Starting")
    assert json.loads(told)["phase"] == "Degraded", told
    assert "there is no control socket" in g.log() and "the socket is tried again by itself" in g.log()
    g.want({"pay": g.document(MODULES / "pay-1.1.0.so")})
    for v in etcd.watch(g.status_key("pay"), revision):
        if v and (m := json.loads(v))["phase"] == "Healthy" and m["stable"]["version"] == "1.1.0":
            break
    assert version_served(g) == "1.1.0"
    g.disk.make_room()
    assert any(v and json.loads(v)["phase"] == "Serving" for v in seen)
    assert g.status()["message"] in ("", None) and g.module("pay")["stable"]["version"] == "1.1.0"


def test_a_second_daemon_is_refused_also_without_room(g):
    g.start()
    g.disk.fill()
    g.disk.fill_names()
    first = g.process
    g.start(wait=False)
    assert g.process.wait(PATIENCE) == 1, g.log()
    g.process = first
    assert g.status()["phase"] in ("Serving", "Degraded")
