"""How verbs end: by each status, and never by one that the help of the verb does not name."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness import BUILD, MODULES, PATIENCE, Etcd, Grayling, sha256

PAY = [MODULES / f"pay-1.{n}.0.so" for n in range(2)]
CHARGE = "com.example.pay.PayService/Charge"
NOBODY = "sha256:" + "ab" * 32
ENV = {k: v for k, v in os.environ.items() if not k.startswith("GRAYLING_CON")}


def grayctl(*words, **more):
    return subprocess.run([BUILD / "grayctl", *map(str, words)], capture_output=True, text=True, env=ENV, timeout=PATIENCE, **more)


def declared(verb):
    line = re.search(r"^Exit status: (.*)$", grayctl(verb, "--help").stdout, re.M)[1]
    return {int(n) for n in re.findall(r"\b(\d+) ", line)}


VERBS = [line.split("\t")[0] for line in grayctl("__complete", "").stdout.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A host with a healthy module, one that is at a step of its rollout, one that was refused, and files to name."""
    root = tmp_path_factory.mktemp("exits")
    etcd = Etcd(root)
    g = Grayling(root, etcd).start()
    try:
        g.deploy("pay", PAY[0])
        g.deploy("auth", MODULES / "auth-1.0.0.so")
        held = g.document(PAY[1], strategy={"steps": [{"weight": 1}, {"pause": {}}, {"pause": {}}, {"weight": 100}]})
        g.want({"pay": held})
        g.wait_event(lambda e: e.get("phase") == "Paused")
        echo = g.document(MODULES / "echo-1.0.0.so")
        g.want({"echo": {**echo, "version_hash": "sha256:" + "0" * 64}})
        g.wait_phase("echo", "Rejected")
        files = {"good.json": {"modules": {"auth": g.document(MODULES / "auth-1.0.0.so")}}, "bad.json": {"version": "1.0.0"}, "text.so": {}}
        for name, value in files.items():
            (root / name).write_text(json.dumps(value))
        yield g
    finally:
        g.stop()
        g.kill()
        etcd.stop()


GOOD, BAD, TEXT = "good.json", "bad.json", "text.so"
# verb and words -> status. Those that change what others look at stand last.
ENDS = [
    (0, "list"), (0, "version"), (0, "get", "pay"), (0, "status", "auth"), (0, "history"), (0, "events"), (0, "explain", "pay"), (0, "lint", GOOD),
    (0, "plan", "-f", GOOD), (0, "apply", "-f", GOOD, "--dry-run"), (0, "publish", PAY[1], "--dry-run"), (0, "quarantine", "list"), (0, "help"),
    (0, "verify", PAY[0]), (0, "inspect", PAY[0]), (0, "abi-diff", *PAY), (0, "call", "com.example.auth.TokenValidator/Validate", "-d", '{"token": "t"}'),
    (0, "completion", "bash"), (0, "config", "cat", "--running"), (0, "freeze", "auth", "--for", "1s", "--dry-run"), (0, "thaw", "auth", "--dry-run"),
    (0, "profile", "--seconds", "1", "--write", GOOD),
    (0, "worker", "replace", "--dry-run"), (0, "source", "accept-rewind", "--dry-run"),
    (0, "safe-mode", "leave", "--reason", "r", "--dry-run"), (0, "promote", "pay", "--dry-run"), (0, "abort", "pay", "--dry-run"),
    (0, "undo", "pay", "--dry-run"), (0, "replay", "pay"), (0, "dashboard"), (0, "freeze", "auth", "--for", "1s", "--local"), (0, "thaw", "auth", "--local"),
    (3, "get", "nobody"), (3, "status", "nobody"), (3, "explain", "nobody"), (3, "replay", "nobody"), (3, "plan", "nobody", "--request", "a: b"),
    (3, "plan", "-f", "/no.json"), (3, "lint", "/no.json"), (3, "publish", "/no.so"), (3, "verify", "/no.so"), (3, "inspect", "/no.so"),
    (3, "abi-diff", PAY[0], "/no.so"), (3, "module", "run", "/no.so"), (3, "call", "com.example.Nobody/Method"), (3, "config", "check", "--config", "/no.conf"),
    (3, "profile", "--seconds", "1", "--write", "/nowhere/profile"), (3, "contract", "generate", "--input", "/no.proto", "--output", "-"),
    *[(3, verb, "nobody") for verb in ("promote", "pause", "resume", "abort", "retry", "undo", "thaw")], (3, "freeze", "nobody", "--for", "1s"),
    (3, "freeze", "nobody", "--for", "1s", "--dry-run"), (3, "quarantine", "lift", NOBODY, "--reason", "r"),
    (4, "status"), (4, "status", "echo"),
    (5, "lint", BAD), (5, "plan", "-f", BAD), (5, "apply", "-f", BAD), (5, "publish", TEXT), (5, "verify", TEXT), (5, "verify", PAY[0], "--expect", NOBODY),
    (5, "abi-diff", PAY[0], TEXT), (5, "module", "run", TEXT), (5, "call", CHARGE, "-d", '{"amount_cents": "x"}'),
    *[(5, verb, "auth") for verb in ("promote", "pause", "resume", "abort", "retry")], (5, "source", "accept-rewind"),
    (5, "safe-mode", "leave", "--reason", "r"), (5, "promote", "pay", "--step", "99"), (5, "apply", "-f", GOOD, "--if-revision", "1"),
    (5, "freeze", "auth", "--for", "1s", "--if-revision", "1"), (5, "worker", "replace", "--if-revision", "1"),
    (6, "status", "auth", "--wait", "--revision", "999999999", "--timeout", "1ms"),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda e: " ".join(pathlib.Path(str(w)).name for w in e))
def test_it_ends_so(place, end):
    status, verb, *words = end
    words = [place.root / w if w in (GOOD, BAD, TEXT) else w for w in words]
    r = grayctl("--control", place.run / "control.sock", verb, *words)
    assert r.returncode == status, r
    assert status in declared(verb), f"grayctl {verb} --help does not name {status}"
    if status:
        assert "\nerror: " in "\n" + r.stderr or status == 4 or verb == "call", r.stderr  # call prints what the module said


def test_every_verb_is_in_the_table():
    assert {verb for _, verb, *_ in ENDS} | {"drill", "doctor"} == set(VERBS), "drill and doctor have tests of their own"


@pytest.mark.parametrize("verb", VERBS)
def test_an_option_that_there_is_not_is_a_usage_error(verb):
    r = grayctl(verb, "--dry-rnu")
    assert r.returncode == 2 and "does not know the option --dry-rnu" in r.stderr
    assert ('did you mean "--dry-run"' in r.stderr) == ("--dry-run" in grayctl(verb, "--help").stdout), r.stderr


REMOTE = {(verb, *words) for status, verb, *words in ENDS
          if status == 0 and 7 in declared(verb) and verb not in ("lint", "verify", "inspect", "abi-diff", "plan", "apply", "publish")}


@pytest.mark.parametrize("words", sorted(REMOTE, key=str), ids=lambda w: " ".join(w))
def test_without_a_daemon_it_is_unreachable(words):
    r = grayctl("--control", "/nowhere/control.sock", *words)
    assert r.returncode == 7 and "/nowhere/control.sock" in r.stderr, r


@pytest.mark.parametrize("words", [("get", "pay", "-w"), ("events", "-f"), ("status", "auth", "--wait", "--revision", "999999999", "--timeout", "10m")], ids=" ".join)
def test_interrupted_is_130(place, words):
    p = subprocess.Popen([BUILD / "grayctl", "--control", place.run / "control.sock", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV)
    assert p.stdout.readline()
    p.send_signal(signal.SIGINT)
    assert p.wait(PATIENCE) == 130
    p.stdout.close()


def test_events_are_one_table_however_they_come(place):
    p = subprocess.Popen([BUILD / "grayctl", "--control", place.run / "control.sock", "events", "-f"], stdout=subprocess.PIPE, text=True, env=ENV)
    lines = [p.stdout.readline()]
    place.want({"echo": {**place.document(MODULES / "echo-1.0.0.so"), "version_hash": "sha256:" + "1" * 64}})
    while len(lines) < 3 or not (" Rejected " in lines[-1] and "1111" in lines[-1]):
        lines.append(p.stdout.readline())
        assert lines[-1], lines
    p.terminate()
    p.stdout.close()
    p.wait()
    assert lines[0].startswith("AT ") and not any(line.startswith("AT ") for line in lines[1:])
    assert not any(re.search(r"(Pending|Fetching|Verifying) +- +\1", line) for line in lines), "a message that repeats the phase says nothing"
