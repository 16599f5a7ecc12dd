"""grayctl -o json: every output against the published schema; and each exit status, one by one."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from harness import BUILD, MODULES, SOURCE
from output_schema import SCHEMA, VALIDATOR, check

PAY = [MODULES / f"pay-1.{n}.0.so" for n in range(2)]
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith("GRAYLING_CON")}
UNSEEN = {"replay"}  # needs a verdict: test_operators.py
if not shutil.which("protoc"):
    UNSEEN.add("contract")


def run(g, *args, control=None, **more):
    return subprocess.run([BUILD / "grayctl", "--control", control or g.run / "control.sock", *map(str, args)], capture_output=True, text=True,
                          env=PLAIN, **more)


class Speaker:
    def __init__(self, g):
        self.g, self.kinds = g, set()

    def json(self, *args, status=0, lines=True, **more):
        """One output that fits the schema; without a change of state also as lines, which fit it too."""
        r = run(self.g, *args, "-o", "json", **more)
        assert r.returncode == status, r
        document = json.loads(r.stdout)
        self.check(document, args)
        if lines:
            for line in run(self.g, *args, "-o", "jsonl").stdout.splitlines():
                self.check(json.loads(line), args)
        return document

    def check(self, document, args):
        check(document, str(args[0]))
        self.kinds.add(document["kind"])


def document(g, so, *steps):
    d = g.document(so, strategy={"steps": list(steps)} if steps else {})
    path = pathlib.Path(g.root) / "pay.json"
    path.write_text(json.dumps({"modules": {"pay": d}}))
    return path


def test_the_schema_is_one():
    VALIDATOR.check_schema(SCHEMA)
    assert list(VALIDATOR.iter_errors({"apiVersion": "grayling/v1", "kind": "get"})), "a module without fields must not fit"
    assert list(VALIDATOR.iter_errors({"apiVersion": "grayling/v1", "kind": "list", "items": [{"module": 7}]}))


def test_every_output_fits_the_schema(grayling):
    g, say = grayling, Speaker(grayling)
    say.json("version"), say.json("dashboard"), say.json("list"), say.json("status")
    say.json("lint", document(g, PAY[0]))
    say.json("plan", "-f", document(g, PAY[0]))
    assert say.json("apply", "-f", document(g, PAY[0]), lines=False)["items"][0]["action"] == "created"
    g.wait_phase("pay", "Healthy")
    assert say.json("list")["items"][0]["module"] == "pay"
    slow = document(g, PAY[1], {"weight": 1}, {"pause": {}}, {"pause": {}}, {"weight": 100})
    say.json("plan", "-f", slow), say.json("plan", "-f", slow, "--request", "x-user-id: 7")
    say.json("apply", "-f", slow, "--dry-run")
    say.json("apply", "-f", slow, lines=False)
    g.wait_event(lambda e: e.get("phase") == "Paused")
    for words in (("get", "pay"), ("status", "pay"), ("status",), ("explain", "pay"), ("history",), ("events",), ("promote", "pay", "--dry-run"),
                  ("abort", "pay", "--dry-run"), ("undo", "pay", "--dry-run")):
        say.json(*words)
    say.json("profile", "--seconds", 1, "--write", pathlib.Path(g.root) / "profile", lines=False)
    for verb in ("pause", "resume", "promote"):
        say.json(verb, "pay", lines=False)
    assert say.json("abort", "pay", "--local", lines=False)["items"][0]["local"]
    g.wait_phase("pay", "RolledBack")
    for verb in ("retry", "abort"):
        say.json(verb, "pay", lines=False)
    g.wait_phase("pay", "RolledBack")
    say.json("apply", "-f", slow, lines=False)
    g.wait_event(lambda e: e.get("phase") == "Paused")
    say.json("undo", "pay", lines=False)
    say.json("publish", PAY[1], "--dry-run")
    say.json("verify", PAY[0]), say.json("inspect", PAY[0]), say.json("abi-diff", *PAY)
    conviction = {"module": "pay", "version": "9.9.9", "reason": "Crashed", "instance": "host-2"}
    g.etcd.put(f"/grayling/v1/{g.service}/quarantine/{'ab' * 32}", conviction)
    g.until(lambda: g.status()["quarantine"])
    assert say.json("quarantine", "list")["items"][0]["hash"] == "sha256:" + "ab" * 32
    assert say.json("quarantine", "lift", "ab" * 32, "--reason", "try", "--dry-run")["lifted"] == "service"
    say.json("quarantine", "lift", "ab" * 32, "--reason", "a typing error", lines=False)
    proto = pathlib.Path(g.root) / "pay.proto"
    proto.write_text('syntax = "proto3"; package a.b; message M {} service S { rpc R(M) returns (M); }')
    if shutil.which("protoc"):
        say.json("contract", "generate", "--input", proto, "--output", proto.with_suffix(".yaml"))
    of_the_host(g, say)
    of_files(g, say)
    say.check(json.loads(run(g, "doctor", "-o", "json").stdout), ("doctor",))
    verbs = {v["verb"] for v in say.json("help")["items"]}
    assert verbs == set(SCHEMA["properties"]["kind"]["enum"]), "a verb without a schema, or a schema without a verb"
    assert verbs - say.kinds == UNSEEN, "verbs whose output nothing holds against the schema"


def of_the_host(g, say):
    """Orders that were talk on standard error only, and what has text of its own on standard output."""
    assert say.json("freeze", "pay", "--for", "20s", "--dry-run")["dry_run"]
    told = say.json("freeze", "pay", "--for", "20s", lines=False)
    assert told["modules"] == ["pay"] and told["for"] == "20s" and told["next"] == "grayctl thaw pay" and not told["dry_run"]
    say.json("thaw", "pay", lines=False)
    assert "modules" not in say.json("worker", "replace", "--dry-run")
    say.json("source", "accept-rewind", "--dry-run"), say.json("safe-mode", "leave", "--reason", "try", "--dry-run")
    answer = say.json("call", "com.example.pay.PayService/Charge", "-d", '{"amount_cents": 1250, "currency": "EUR"}')
    assert answer["status"] == 200 and answer["module"] == "pay" and answer["answer"] and run(
        g, "call", "com.example.pay.PayService/Charge").stdout[0] == "{", answer
    assert say.json("call", "com.example.nobody.Nobody/Nothing", status=3, lines=False)["module"] == ""
    settings = {s["name"]: s["value"] for s in say.json("config", "cat", "--running")["items"]}
    assert settings["Service.Name"] == g.service and settings["Dispatch.Threads"] == "2"


def of_files(g, say):
    conf = pathlib.Path(g.root) / "good.conf"
    conf.write_text("[Service]\nName=order\n")
    assert say.json("config", "check", "--config", conf)["good"] and say.json("config", "cat", "--config", conf)["items"]
    for shell in ("bash", "zsh", "fish"):
        assert say.json("completion", shell)["script"]
    assert {o["name"] for o in say.json("help", "promote")["options"]} >= {"full", "output"}
    assert "module.yaml" in say.json("module", "new", "hello", lines=False, cwd=g.root)["files"]
    assert say.json("drill", "list", SOURCE / "integration-tests/drills/call-crash.drill")["items"]


def test_module_run_is_a_stream_of_documents(grayling):
    command = [BUILD / "grayctl", "module", "run", PAY[0], "--listen", f"unix:{grayling.root}/own.sock", "-o", "json"]
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=PLAIN)
    try:
        first = json.loads(p.stdout.readline())
        check(first, "module")
        assert first["event"] == "serving" and first["methods"][0]["interface"] == "com.example.pay.PayService"
        run(grayling, "call", "com.example.pay.PayService/Charge", "--address", first["address"])
        second = json.loads(p.stdout.readline())
        check(second, "module")
        assert second["event"] == "request" and "Charge" in second["message"]
    finally:
        p.terminate()
        p.wait()


def test_each_exit_status(grayling, tmp_path):
    g = grayling
    assert run(g, "version").returncode == 0
    with open("/dev/full", "w") as full:  # what could not be written is no success
        assert subprocess.run([BUILD / "grayctl", "version"], stdout=full).returncode == 1
    assert run(g, "versoin").returncode == 2
    assert run(g, "get", "nobody").returncode == 3
    (tmp_path / "pay.json").write_text('{"version": "1.0.0"}')
    assert run(g, "lint", tmp_path / "pay.json").returncode == 5
    assert run(g, "list", control="/nowhere.sock").returncode == 7
    d = g.document(PAY[0])
    g.want({"pay": {**d, "version_hash": "sha256:" + "0" * 64}})
    g.wait_phase("pay", "Rejected")
    assert run(g, "status", "pay").returncode == 4
    g.deploy("pay", PAY[0])
    g.want({"pay": g.document(PAY[1], strategy={"steps": [{"weight": 1}, {"pause": {"duration": "30m"}}, {"weight": 100}], "bake": "30m"})})
    g.wait_event(lambda e: e.get("phase") in ("Paused", "Progressing") and e.get("version") == "1.1.0")
    late = run(g, "promote", "pay", "--full")
    assert late.returncode == 0, late
    g.wait_event(lambda e: e.get("phase") == "Baking" and e.get("version") == "1.1.0")
    assert run(g, "status", "pay", "--wait", "--timeout", "1ms").returncode == 6
    p = subprocess.Popen([BUILD / "grayctl", "--control", g.run / "control.sock", "get", "pay", "-w"], stdout=subprocess.PIPE)
    assert p.stdout.readline()
    p.send_signal(signal.SIGINT)
    assert p.wait() == 130


@pytest.mark.parametrize("what", ["lint", "plan"])
def test_a_refusal_writes_no_half_document(grayling, tmp_path, what):
    (tmp_path / "pay.json").write_text('{"version": "1.0.0"}')
    r = run(grayling, what, "-f", tmp_path / "pay.json", "-o", "json")
    assert r.returncode == 5 and "error: DocumentInvalid" in r.stderr and (not r.stdout or json.loads(r.stdout))
