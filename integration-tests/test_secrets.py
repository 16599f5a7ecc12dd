"""Secrets that pass through are nowhere to be read afterwards: not in the log, metrics, status, history, events, pages, grayctl's output, the
keys that Grayling writes, nor in its state directory, but for what the journal has to keep of a document."""
import base64
import contextlib
import json
import pathlib
import re
import socket
import stat
import subprocess
import threading
import urllib.error
import urllib.request

from artifact_server import artifact_server
from harness import BUILD, MODULES, PATIENCE, Etcd, Traffic, UnixHTTP, b64

CHARGE = "com.example.pay.PayService/Charge"
PASSWORD, CONFIG, QUERY = "plantedPassword", "plantedConfig", "plantedQuery"
HEADER, COOKIE, BODY = "plantedAuthorization", "plantedCookie", "plantedBody"
ADMIN = ["/", "/metrics", "/-/healthy", "/-/ready", "/v1/status", "/v1/modules", "/v1/modules/pay", "/v1/modules/echo", "/v1/history", "/v1/quarantine"]
CONTROL = ["/v1/status", "/v1/modules", "/v1/modules/pay", "/v1/modules/echo", "/v1/history", "/v1/events?after=0", "/v1/quarantine", "/v1/config"]
VERBS = ["status", "list -o wide", "get pay", "get pay -o wide", "get echo -o wide", "explain echo", "history pay -o wide", "events", "explain pay", "replay pay", "doctor", "config cat"]


class Listener:
    """Passes on what graylingd and etcd say, and learns the tokens."""

    def __init__(self, target):
        self.target, self.tokens = target, set()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                server = socket.create_connection(self.target)
                threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, a, b, listens):
        seen = b""
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                if listens:
                    seen = (seen + data)[-8192:]
                    self.tokens |= {t.decode() for t in re.findall(rb"(?i)\r\nauthorization: (\S+)\r\n", seen)}
                b.sendall(data)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)


class GuardedEtcd(Etcd):
    token = None

    def guard(self):
        self.post("auth/user/add", {"name": "root", "password": PASSWORD})
        self.post("auth/role/add", {"name": "root"})
        self.post("auth/user/grant", {"user": "root", "role": "root"})
        self.post("auth/enable", {})
        self.token = self.post("auth/authenticate", {"name": "root", "password": PASSWORD})["token"]

    def post(self, path, body):
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode(), {"authorization": self.token} if self.token else {})
        with urllib.request.urlopen(request, timeout=15) as r:
            return json.load(r)

    def all_under(self, prefix):
        return json.dumps([b64decode(kv) for kv in self.post("kv/range", {"key": b64(prefix), "range_end": b64(prefix + "\xff")}).get("kvs", [])])


def b64decode(kv):
    return [base64.b64decode(kv[k]).decode(errors="replace") for k in ("key", "value") if k in kv]


def fetched(url):
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as r:
            return r.read().decode(errors="replace")
    except urllib.error.HTTPError as e:
        return e.read().decode(errors="replace")


def asked(g, path):
    c = UnixHTTP(g.run / "control.sock")
    try:
        c.request("GET", path)
        return c.getresponse().read().decode(errors="replace")
    finally:
        c.close()


def everything_shown(g, etcd):
    """{where: text} of all that anybody but root can come by."""
    shown = {"log": (g.root / "graylingd.log").read_text(errors="replace"), "etcd": etcd.all_under("/grayling/")}
    shown |= {f"admin {p}": fetched(f"http://127.0.0.1:{g.admin}{p}") for p in ADMIN}
    shown |= {f"door {p}": fetched(f"http://127.0.0.1:{g.port}{p}") for p in ("/-/healthy", "/-/ready")}
    shown |= {f"control {p}": asked(g, p) for p in CONTROL}
    rollouts = {e["rollout"] for e in g.events() if e.get("rollout")}
    shown |= {f"verdicts of {r}": asked(g, f"/v1/rollouts/{r}/verdicts") for r in rollouts}
    for verb in VERBS:
        r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", *verb.split()], capture_output=True, text=True, timeout=PATIENCE)
        shown[f"grayctl {verb}"] = r.stdout + r.stderr
    return shown


def test_planted_secrets_are_shown_nowhere(root, make):
    etcd = GuardedEtcd(root)
    g = make(etcd, sets=["Artifacts.AllowSchemes=https file http", "Artifacts.AllowHosts=127.0.0.1", "Etcd.User=root", f"Etcd.PasswordFile={root}/password"],
             env={"GRAYLING_LOG_LEVEL": "debug"})
    try:
        (root / "password").write_text(PASSWORD)
        etcd.guard()
        between = Listener(("127.0.0.1", etcd.port))
        g.sets = [s if not s.startswith("Source.Etcd=") else f"Source.Etcd={between.url}" for s in g.sets]
        g.start()
        with artifact_server(g.incoming) as server:
            def document(name, how="whole", **more):
                d = g.document(MODULES / name, **more)
                return {**d, "source": [f"{server.url}/{how}/{name}?X-Signature={QUERY}"]}

            g.want({"pay": document("pay-1.0.0.so")})
            g.wait_phase("pay", "Healthy")
            g.want({"echo": document("echo-1.0.0.so", config={"api_token": CONFIG})})
            g.wait_phase("echo", "Healthy")
            g.want({"echo": document("echo-1.0.0.so", config={"api_token": CONFIG + "2"}, strategy={"steps": [{"weight": 50}, {"pause": {}}, {"weight": 100}]})})
            g.wait_phase("echo", "Paused")
            headers = {"authorization": f"Bearer {HEADER}", "cookie": f"session={COOKIE}"}
            charge = json.dumps({"amount_cents": 1250, "currency": "EUR", "card": BODY})
            assert g.call(CHARGE, charge, headers)[0] == 200
            assert g.call(CHARGE, f'{{"amount_cents": "{BODY}"', headers)[0] == 400
            assert g.call("com.example.Nobody/Charge", charge, headers)[0] == 404
            for how, reason in (("missing", "FetchFailed"), ("circle", "FetchFailed"), ("outside", "SourceRefused"), ("shorter", "DigestMismatch")):
                g.want({"pay": document("pay-1.1.0.so", how)})
                assert g.wait_phase("pay", "Rejected")["reason"] == reason
            for bad in ({"config": CONFIG}, {"confg": {"api_token": CONFIG}}, {"config": {"api_token": CONFIG, "api_token ": 1e999}}):
                text = json.dumps({**document("pay-1.1.0.so"), **bad})
                g.want({"pay": text})
                assert g.wait_phase("pay", "Rejected")["reason"] == "DocumentInvalid"
            g.want({"pay": text[:-40]})  # ends in the middle
            assert g.wait_phase("pay", "Rejected")["reason"] == "DocumentInvalid"
            with Traffic(g, CHARGE, charge, clients=1):
                for _ in range(60):
                    g.call(CHARGE, charge, headers)
                g.want({"pay": document("pay-1.2.0.so", strategy={"bake": "1h"})})
                g.wait_phase("pay", "RolledBack")
        g.until(lambda: "Crashed" in etcd.all_under("/grayling/"))

        shown = everything_shown(g, etcd)
        assert "pay" in shown["log"] and "Crashed" in shown["control /v1/history"] and "1.2.0" in shown["etcd"] and between.tokens
        for secret in (PASSWORD, CONFIG, QUERY, HEADER, COOKIE, BODY, *between.tokens):
            where = [w for w, text in shown.items() if secret in text]
            assert not where, f"{secret} is in {where}: " + str([shown[w][max(0, shown[w].index(secret) - 300):][:400] for w in where[:2]])

        # the journal keeps documents as they were written, since they have to serve without etcd: it is closed to others, and has nothing else
        for path in (p for d in (g.state, g.run) for p in d.rglob("*") if p.is_file()):
            kept = path.read_bytes()
            for secret in (PASSWORD, HEADER, COOKIE, BODY, *between.tokens):
                assert secret.encode() not in kept, (secret, path)
            if CONFIG.encode() in kept:
                assert path.name.startswith("journal.") and stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, (path, oct(path.stat().st_mode))
        for pid in (g.process.pid, g.status()["worker"]["pid"]):
            for name in ("cmdline", "environ"):
                assert PASSWORD.encode() not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    finally:
        g.stop()
        etcd.stop()
