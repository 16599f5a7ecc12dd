"""Real parts for black-box tests: a throw-away etcd, a throw-away graylingd, honest clients.

Everything listens on loopback with free ports and is ended by its own pid. Waiting is for events: the supervisor's event stream
(control socket, long poll) or a process's own output, never for a duration.
"""
import base64
import collections
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

BUILD = pathlib.Path(os.environ.get("GRAYLING_BUILD", pathlib.Path(__file__).resolve().parent.parent / "build"))
SOURCE = pathlib.Path(os.environ.get("GRAYLING_SOURCE", pathlib.Path(__file__).resolve().parent.parent))
MODULES = BUILD / "modules"
PATIENCE = 90.0  # seconds until a wait is a failure
ETCDCTL = {"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def sha256(path):
    return "sha256:" + hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Etcd:
    """One etcd member on loopback with its data in a directory of its own."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.port, self.peer = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def start(self, data="etcd"):
        peer = f"http://127.0.0.1:{self.peer}"
        log = open(self.root / "etcd.log", "ab")
        self.process = subprocess.Popen(
            ["etcd", "--name", "t", "--data-dir", self.root / data, "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"t={peer}", "--unsafe-no-fsync",
             "--logger", "zap", "--log-level", "error"], stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + PATIENCE
        while True:  # etcd has no readiness event of its own: a refused connection is tried again after the socket could change
            try:
                return self.post("kv/range", {"key": b64("x")})
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.05)

    def stop(self, sig=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait()

    def post(self, path, body):
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=15) as r:
            return json.load(r)

    def txn(self, puts):
        """Writes all of {key: document or None} in one transaction; returns the revision."""
        ops = [{"request_put": {"key": b64(k), "value": b64(v if isinstance(v, (str, bytes)) else json.dumps(v))}} if v is not None
               else {"request_delete_range": {"key": b64(k)}} for k, v in puts.items()]
        return int(self.post("kv/txn", {"success": ops})["header"]["revision"])

    def put(self, key, value):
        return self.txn({key: value})

    def get(self, key):
        kvs = self.post("kv/range", {"key": b64(key)}).get("kvs", [])
        return base64.b64decode(kvs[0].get("value", "")).decode() if kvs else None

    def watch(self, key, revision):
        """The values of one key from that revision on, as etcd tells them; None for a deletion. Ends with the generator."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            c.request("POST", "/v3/watch", json.dumps({"create_request": {"key": b64(key), "start_revision": revision}}))
            for line in c.getresponse():
                for ev in json.loads(line)["result"].get("events", []):
                    yield None if ev.get("type") == "DELETE" else base64.b64decode(ev["kv"].get("value", "")).decode()
        finally:
            c.close()

    def revision(self):
        return int(self.post("kv/range", {"key": b64("x")})["header"]["revision"])

    def snapshot(self, path):
        subprocess.run(["etcdctl", "--endpoints", self.url, "snapshot", "save", path], check=True, capture_output=True, env=ETCDCTL)

    def restore(self, path, data):
        """A member's data directory made of a snapshot; start(data) serves it."""
        peer = f"http://127.0.0.1:{self.peer}"
        subprocess.run(["etcdctl", "snapshot", "restore", path, "--data-dir", self.root / data, "--name", "t", "--initial-cluster", f"t={peer}",
                        "--initial-advertise-peer-urls", peer], check=True, capture_output=True, env=ETCDCTL)

    def compact(self):
        revision = self.post("kv/range", {"key": b64("x")})["header"]["revision"]
        self.post("kv/compaction", {"revision": revision, "physical": True})


def b64(x):
    return base64.b64encode(x.encode() if isinstance(x, str) else x).decode()


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout=PATIENCE):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Grayling:
    """One graylingd with its own state, sources and front door."""

    def __init__(self, root, etcd=None, service="order", sets=(), env=None):
        self.root = pathlib.Path(root)
        self.etcd, self.service = etcd, service
        self.state, self.run = self.root / "state", self.root / "run"
        self.incoming, self.directory = self.root / "incoming", self.root / "modules.d"
        for d in (self.incoming, self.directory):
            d.mkdir(exist_ok=True)
        self.port, self.admin = free_port(), free_port()
        self.sets = [f"Service.Name={service}", "Service.Instance=host-1", f"Service.StateDirectory={self.state}",
                     f"Service.RuntimeDirectory={self.run}", f"Dispatch.Listen=127.0.0.1:{self.port}", "Dispatch.Threads=2",
                     f"Admin.Listen=127.0.0.1:{self.admin}", f"Artifacts.FileRoots={self.incoming}", *sets]
        self.sets += [f"Source.Etcd={etcd.url}"] if etcd else ["Source.Etcd=", f"Source.Directory={self.directory}"]
        self.config = self.root / "grayling.conf"
        self.config.write_text("")
        self.env = dict(os.environ, **(env or {}))
        self.process = None
        self.wrapper = []  # a command that ends in executing the rest of its arguments
        self.seen = 0

    def start(self, wait=True, env=None):
        log = open(self.root / "graylingd.log", "ab")
        args = [*self.wrapper, str(BUILD / "graylingd"), "--config", str(self.config)]
        for s in self.sets:
            args += ["--set", s]
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.root / "notify.sock"
        path.unlink(missing_ok=True)
        notify.bind(str(path))
        self.process = subprocess.Popen(args, stdout=log, stderr=log, env=dict(self.env, NOTIFY_SOCKET=str(path), **(env or {})))
        log.close()
        if wait:
            self._ready(notify)
        notify.close()
        return self

    def _ready(self, notify):
        deadline = time.monotonic() + PATIENCE
        pidfd = os.pidfd_open(self.process.pid)
        try:
            while True:
                ready, _, _ = select.select([notify, pidfd], [], [], max(0, deadline - time.monotonic()))
                if notify in ready and b"READY=1" in notify.recv(4096):
                    return
                if pidfd in ready or not ready:
                    raise AssertionError("graylingd did not become ready:\n" + self.log())
        finally:
            os.close(pidfd)

    def log(self):
        return (self.root / "graylingd.log").read_text(errors="replace")[-6000:]

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            return self.process.wait(PATIENCE)
        return self.process.returncode if self.process else None

    def kill(self):
        worker = None
        with contextlib.suppress(Exception):
            worker = self.status()["worker"]["pid"]
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        return worker

    # -- the control socket --------------------------------------------------------------------------

    def control(self, path, method="GET", body=None):
        c = UnixHTTP(self.run / "control.sock")
        try:
            c.request(method, path, json.dumps(body) if body is not None else None, {"content-type": "application/json"})
            r = c.getresponse()
            return r.status, json.loads(r.read() or b"null")
        finally:
            c.close()

    def status(self):
        return self.control("/v1/status")[1]

    def module(self, name):
        code, m = self.control(f"/v1/modules/{name}")
        return m if code == 200 else None

    def events(self, after=0, wait=None):
        path = f"/v1/events?after={after}" + (f"&wait={wait}" if wait else "")
        return self.control(path)[1]["events"]

    def wait_event(self, match, after=None):
        """The first event after `after` (default: those not waited for yet) for which match(event) holds."""
        deadline = time.monotonic() + PATIENCE
        seq = self.seen if after is None else after
        while time.monotonic() < deadline:
            for ev in self.events(seq, wait="10s"):
                seq = ev["seq"]
                if match(ev):
                    self.seen = seq
                    return ev
        raise AssertionError("the awaited event did not come:\n" + self.log())

    def until(self, holds, told=lambda: ""):
        """Waits until holds() does, looking again with every turn of the supervisor's event loop, or a moment later."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"{told()}\n{self.log()}"
            self.events(2**53 - 1, wait="100ms")

    def wait_loaded(self, n):
        """Until the worker that serves holds n versions: what a release replaced leaves after its last event."""
        self.until(lambda: (self.status().get("worker") or {}).get("loaded") == n, lambda: f"expected {n} versions, got {self.status()['worker']}")

    def wait_phase(self, module, *phases):
        terminal = {"Healthy", "RolledBack", "Rejected", "Superseded"}
        ev = self.wait_event(lambda e: e.get("module") == module and (e.get("phase") in phases or
                                                                      (e.get("phase") in terminal - {"Superseded"})))
        assert ev["phase"] in phases, f"expected {phases}, got {ev}\n{self.log()}"
        return ev

    # -- what operators write ------------------------------------------------------------------------

    def publish(self, so):
        so = pathlib.Path(so)
        target = self.incoming / so.name
        if not target.exists():
            tmp = self.incoming / (so.name + ".part")
            shutil.copyfile(so, tmp)
            tmp.rename(target)
        return target

    def document(self, so, version=None, config=None, **more):
        path = self.publish(so)
        d = {"version": version or path.stem.rsplit("-", 1)[1], "version_hash": sha256(path), "source": [f"file://{path}"]}
        if config is not None:
            d["config"] = config
        strategy = {"bake": "300ms", **more.pop("strategy", {})}
        return {**d, "strategy": strategy, **more}

    def key(self, module):
        return f"/modules/{self.service}/{module}/v2"

    def want(self, documents):
        """{module: document or None} in one transaction (one file with a directory source)."""
        if self.etcd:
            return self.etcd.txn({self.key(m): d for m, d in documents.items()})
        for m, d in documents.items():
            f = self.directory / f"{m}.json"
            if d is None:
                f.unlink()
            else:
                tmp = self.directory / f".{m}.tmp"
                tmp.write_text(d if isinstance(d, str) else json.dumps(d))
                tmp.rename(f)
        return None

    def status_key(self, module):
        return f"/grayling/v1/{self.service}/instances/host-1/modules/{module}"

    def deploy(self, module, so, **more):
        self.want({module: self.document(so, **more)})
        return self.wait_phase(module, "Healthy")

    # -- clients -------------------------------------------------------------------------------------

    def call(self, method, body=b"{}", headers=None, connection=None):
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            c.request("POST", "/" + method, body if isinstance(body, (bytes, str)) else json.dumps(body),
                      {"content-type": "application/json", **(headers or {})})
            r = c.getresponse()
            return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
        finally:
            if not connection:
                c.close()

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=PATIENCE) as r:
            return r.read().decode()


class Traffic:
    """Keep-alive clients that call until stopped; every answer is counted, a broken connection is a lost request."""

    def __init__(self, g, method, body=b"{}", clients=4):
        self.g, self.method, self.body = g, method, body
        self.codes, self.versions, self.lost = {}, {}, []
        self.turns = [0] * clients
        self.turned, self.over = threading.Condition(), threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(clients)]

    def _run(self, i):
        c = http.client.HTTPConnection("127.0.0.1", self.g.port, timeout=PATIENCE)
        while not self.over.is_set():
            try:
                self._answered(i, *self.g.call(self.method, self.body, connection=c))
            except (OSError, http.client.HTTPException) as e:
                self._lost(i, e)
                c.close()
                c = http.client.HTTPConnection("127.0.0.1", self.g.port, timeout=PATIENCE)
        c.close()

    def _answered(self, i, status, headers, _):
        with self.turned:
            self.codes[status] = self.codes.get(status, 0) + 1
            v = headers.get("x-grayling-version", "")
            self.versions[v] = self.versions.get(v, 0) + 1
            self._turn(i)

    def _lost(self, i, e):
        with self.turned:
            self.lost.append(repr(e))
            self._turn(i)

    def _turn(self, i):
        self.turns[i] += 1
        self.turned.notify_all()

    def take(self):
        """(codes, versions, lost) since the last take, after each client began and ended a call of its own."""
        self.await_turns(2)
        with self.turned:
            seen = self.codes, self.versions, self.lost
            self.codes, self.versions, self.lost = {}, {}, []
        return seen

    def await_turns(self, n):
        """Until each client has ended n more calls."""
        with self.turned:
            want = [turns + n for turns in self.turns]
            assert self.turned.wait_for(lambda: all(n >= w for n, w in zip(self.turns, want)), PATIENCE), "the clients wait\n" + self.g.log()

    def assert_served(self, *versions):
        """Since the last look every call was answered, and by these versions only."""
        codes, by, lost = self.take()
        assert lost == [] and set(codes) == {200} and set(by) <= set(versions), (codes, by, lost)

    def __enter__(self):
        for t in self.threads:
            t.start()
        with self.turned:
            assert self.turned.wait_for(lambda: self.codes, PATIENCE), "no request was answered\n" + self.g.log()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(PATIENCE)


class Footprint:
    """What a supervisor and its worker hold; what is refused or taken back must leave it as it was.

    Sockets are left out where they are compared: they come and go with clients and transfers."""

    def __init__(self, g):
        self.g = g
        self.before = self.look()

    def look(self):
        worker = self.g.status()["worker"]["pid"]
        return {"supervisor": self.descriptors(self.g.process.pid), "children": self.children(self.g.process.pid),
                "worker": self.descriptors(worker), "children of the worker": self.children(worker), "mapped": self.mapped(worker),
                "temporary": sorted(p.name for p in self.g.state.rglob("*") if p.name.startswith(".") or p.name.endswith(".tmp"))}

    @staticmethod
    def targets(pid):
        """What its descriptors are; one that is closed meanwhile is none."""
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(fd)

    def descriptors(self, pid):
        kinds = collections.Counter(target.split(":[")[0] for target in self.targets(pid))
        return {k: n for k, n in kinds.items() if k != "socket"}

    def sockets(self):
        return sum(target.startswith("socket:") for target in self.targets(self.g.process.pid))

    def children(self, pid):
        names, gone = collections.Counter(), (FileNotFoundError, ProcessLookupError)
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(*gone):  # a thread that has just ended
                for child in (task / "children").read_text().split():
                    with contextlib.suppress(*gone):
                        names[pathlib.Path(f"/proc/{child}/comm").read_text().strip()] += 1
        return dict(names)

    def mapped(self, pid):
        """The module versions that the worker has loaded, by the names of their store files."""
        lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
        return sorted({line.rsplit("/", 1)[1] for line in lines if "/store/" in line or "memfd:" in line and ".so" in line})

    @staticmethod
    def more(now, before):
        """Less is no harm: the first look may have met what the test before it left on its way out."""
        if isinstance(now, dict):
            return any(n > before.get(k, 0) for k, n in now.items())
        return not set(now) <= set(before)

    def assert_left(self):
        """Waits for what is on its way out; each look is another turn of the supervisor's event loop."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                now = self.look()
                left = [(k, self.before[k], now[k]) for k in now if self.more(now[k], self.before[k])]
                if not left:
                    return
            assert time.monotonic() < deadline, f"left behind: {left}"
            self.g.events(2**53 - 1, wait="100ms")
