"""A throw-away systemd for the tests of the units: booted over an overlay of / in namespaces of its own, gone with the test.

What is waited for tells us itself: the boot by the guest's READY=1, an end by a pidfd, an empty cgroup by its event, what the service did
by its journal. Each wait has a ceiling, and at the ceiling everything of the rig is killed by its cgroup: a command in the guest has a
parent outside and a child inside, and while any of them lives a pipe stays open and the power-off does not end.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

from harness import PATIENCE

SCRIPT = pathlib.Path(__file__).with_name("systemd-rig.sh")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb",
               "SYSTEMD_PAGER": "cat"}
CLONE_NEWNET = 0x40000000


def missing():
    """Why no guest can be booted here; None when it can."""
    r = subprocess.run([SCRIPT, "check"], capture_output=True, text=True)
    assert r.returncode in (0, 77), r.stderr
    return r.stdout.strip() if r.returncode else None


def enter_network(path):
    """Moves this thread, and what it starts from now on, into a network namespace; returns a descriptor of the one before."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if ctypes.CDLL(None, use_errno=True).setns(there, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns {path}")
    os.close(there)
    return before


def wait_exit(process, seconds):
    """True when the process ended in that time."""
    if process.poll() is None:
        pidfd = os.pidfd_open(process.pid)
        try:
            select.select([pidfd], [], [], seconds)
        finally:
            os.close(pidfd)
    return process.poll() is not None


class Group:
    """A cgroup that can be ended whatever its processes are doing."""

    def __init__(self, path):
        self.path = path

    def kill(self):
        with contextlib.suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")

    def wait_empty(self, seconds):
        with contextlib.suppress(FileNotFoundError), open(self.path / "cgroup.events") as events:
            poll, deadline = select.poll(), time.monotonic() + seconds
            poll.register(events, select.POLLPRI)
            while "populated 1" in events.read() and time.monotonic() < deadline:
                poll.poll(max(0, deadline - time.monotonic()) * 1000)
                events.seek(0)

    def remove(self):
        for directory, _, _ in os.walk(self.path, topdown=False):
            os.rmdir(directory)


class Rig:
    def __init__(self, root, setup):
        self.dir = pathlib.Path(root)
        self.name = f"grayling-{os.getpid()}"
        self.env = dict(os.environ, RIG_NAME=self.name, RIG_SETUP=str(setup), NOTIFY_SOCKET=str(self.dir / "notify"))
        mounts = (line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines())
        host = pathlib.Path(next(m[1] for m in mounts if m[2] == "cgroup2"))
        self.group = Group(host / f"rig-{self.name}")
        self.commands = Group(self.group.path / "exec")  # of their own, which stop() ends first
        self.leader = self.nspawn = self.network = None

    def start(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.dir / "console", "wb") as console:
            notify.bind(self.env["NOTIFY_SOCKET"])
            self.nspawn = subprocess.Popen(["unshare", "-m", "--propagation", "private", SCRIPT, "boot"], env=self.env, stdout=console,
                                           stderr=console, stdin=subprocess.DEVNULL, start_new_session=True)
            self._wait_ready(notify)
        self.commands.path.mkdir()
        self.network = enter_network(f"/proc/{self.leader}/ns/net")

    def _wait_ready(self, notify):
        pidfd, deadline = os.pidfd_open(self.nspawn.pid), time.monotonic() + PATIENCE
        try:
            while True:
                ready, _, _ = select.select([notify, pidfd], [], [], max(0, deadline - time.monotonic()))
                told = notify.recv(4096).decode().splitlines() if notify in ready else []
                for line in told:
                    if line.startswith("X_NSPAWN_LEADER_PID="):
                        self.leader = int(line.partition("=")[2])
                if "READY=1" in told and self.leader:
                    return
                assert notify in ready, "the guest did not boot:\n" + (self.dir / "console").read_text(errors="replace")
        finally:
            os.close(pidfd)

    def stop(self):
        if self.network is not None:
            ctypes.CDLL(None).setns(self.network, CLONE_NEWNET)
            os.close(self.network)
        self.commands.kill()
        self.commands.wait_empty(PATIENCE)
        if self.nspawn:
            self.nspawn.send_signal(signal.SIGTERM)
            if not wait_exit(self.nspawn, 30):
                Group(self.group.path / "payload").kill()  # nspawn's end alone would leave the guest's pid 1
                self.group.kill()
                wait_exit(self.nspawn, PATIENCE)
        self.group.wait_empty(PATIENCE)
        self.group.remove()

    # -- inside ----------------------------------------------------------------------------------------------

    def path(self, inside):
        """A file of the guest as the host sees it, mounts included."""
        return pathlib.Path(f"/proc/{self.leader}/root/{inside.lstrip('/')}")

    def popen(self, *args, **more):
        environment = [f"{k}={v}" for k, v in ENVIRONMENT.items()]
        return subprocess.Popen(["sh", "-c", 'echo $$ >"$0"; exec "$@"', self.commands.path / "cgroup.procs", "nsenter", "-t",
                                 str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--", "env", "-i", *environment, *map(str, args)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **more)

    def try_run(self, *args):
        p = self.popen(*args, stderr=subprocess.PIPE)
        try:
            out, err = p.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.commands.kill()
            out, err = p.communicate()
            raise AssertionError(f"{args} did not end:\n{out}\n{err}")
        return subprocess.CompletedProcess(args, p.returncode, out, err)

    def run(self, *args):
        r = self.try_run(*args)
        assert r.returncode == 0, (args, r.stdout, r.stderr, self.journal_text())
        return r.stdout

    def show(self, key, unit="grayling.service"):
        return self.run("systemctl", "show", "-P", key, unit).strip()

    # -- the journal ------------------------------------------------------------------------------------------

    def journal_text(self, lines=60):
        return self.try_run("journalctl", "--no-pager", "-n", str(lines)).stdout

    def cursor(self):
        return self.run("journalctl", "--no-pager", "-n", "0", "--show-cursor").rpartition("-- cursor: ")[2].strip()

    def wait_journal(self, cursor, match):
        """The first entry after the cursor for which match(entry) holds, also when it is there already."""
        p = self.popen("journalctl", "-f", "-o", "json", "--after-cursor", cursor, "--no-tail", stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        try:
            pending = b""
            while select.select([p.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                piece = os.read(p.stdout.fileno(), 65536)
                assert piece, "journalctl ended"
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    entry = json.loads(line)
                    if match(entry):
                        return entry
            raise AssertionError("the awaited entry did not come:\n" + self.journal_text())
        finally:
            self.commands.kill()
            p.communicate()
