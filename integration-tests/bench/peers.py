"""What Grayling is measured beside: nginx, HAProxy and gRPC C++, each with its own configuration as its users would write it, on free ports of
loopback, ended by pid. A peer that is not installed is left out with the reason."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from harness import BUILD, PATIENCE, free_port

THREADS = 2  # of every server: workers of nginx, threads of Grayling's dispatch, queues of the asynchronous gRPC server
TICK = os.sysconf("SC_CLK_TCK")
LIBC = ctypes.CDLL(None)


class Missing(Exception):
    """The peer cannot be run here; the text says why."""


def cpu_seconds(pids):
    """What these processes have run so far, their ended threads included; one that has ended counts for nothing. Exact, where the ticks
    of /proc/PID/stat are samples."""
    total = 0
    for pid in pids:
        clock = ctypes.c_int()
        if LIBC.clock_getcpuclockid(pid, ctypes.byref(clock)) == 0:
            with contextlib.suppress(OSError):
                total += time.clock_gettime(clock.value)
    return total


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


CONFIGURATION = """\
worker_processes {threads};
daemon off;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    server {{
        listen 127.0.0.1:{port};
        default_type application/json;
        add_header x-version {version};
        location / {{ return 200 '"01234567890123456789012345678901234567890123456789012345678901"'; }}
    }}
}}
"""


HAPROXY = """\
global
    nbthread {threads}
    maxconn 4096
    hard-stop-after 60s
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend all
    bind 127.0.0.1:{port}
    http-request return status 200 content-type application/json hdr x-version {version} string "\\"01234567890123456789012345678901234567890123456789012345678901\\""
"""


class Reloadable:
    """A server with a master that a signal reloads. `text` is its configuration; it answers every request with 64 bytes and x-version."""
    name, text, signal = None, None, None

    def __init__(self, root):
        program = shutil.which(self.name, path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not program:
            raise Missing(f"{self.name} is not installed (package {self.name})")
        self.root, self.port = pathlib.Path(root), free_port()
        self.configuration = self.root / f"{self.name}.conf"
        self.configure("1")
        with open(self.root / "error.log", "ab") as log:
            self.process = subprocess.Popen([program, *self.arguments()], stdout=log, stderr=log)
        self._wait_for_listener()

    def _wait_for_listener(self):
        """It has no readiness event: a refused connection is tried again after it could have come further."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise Missing(f"{self.name} did not start: " + (self.root / "error.log").read_text()[-300:])
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)

    def configure(self, version):
        self.configuration.write_text(self.text.format(threads=THREADS, root=self.root, port=self.port, version=version))

    def reload(self):
        self.process.send_signal(self.signal)

    def pids(self):
        return children(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


class Nginx(Reloadable):
    """By `return 200`."""
    name, text, signal = "nginx", CONFIGURATION, signal.SIGHUP

    def arguments(self):
        return ["-c", self.configuration, "-e", self.root / "error.log"]


class Haproxy(Reloadable):
    """By `http-request return`; its master hands the listening sockets to the next worker."""
    name, text, signal = "haproxy", HAPROXY, signal.SIGUSR2

    def arguments(self):
        return ["-W", "-db", "-f", self.configuration]


class GrpcEcho:
    """gRPC C++ echo, "sync" or "async"."""

    def __init__(self, mode):
        program = BUILD / "bench/grpc-echo"
        if not program.exists():
            raise Missing("the gRPC peer was not built (packages libgrpc++-dev, protobuf-compiler-grpc)")
        self.process = subprocess.Popen([program, mode, str(THREADS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("port "):
            raise Missing(f"the gRPC {mode} server did not start")
        self.port = int(line.split()[1])

    def pids(self):
        return [self.process.pid]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
