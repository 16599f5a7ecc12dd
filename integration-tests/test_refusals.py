"""Whatever is asked that cannot be done is refused with its reason and a whole sentence; the stable version serves on, nothing is left behind."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from artifact_server import artifact_server
from harness import BUILD, MODULES, SOURCE, Etcd, Footprint, Grayling, Traffic, sha256

POKE = "com.example.faulty.FaultyService/Poke"
STABLE, NEXT = MODULES / "faulty-1.0.0.so", MODULES / "faulty-1.1.0.so"


# A refusal tells what would make it possible: one of these ways to say it.
REMEDY = re.compile(r"\b(expected|required|allowed here|publish|correct|rebuild|build it|build the module|link|compile|remove|define it|move|put the file|name the|add|make them|"
                    r"must return|mend|write|shorten|keep|look after|the server may|see its|see the|raise|call it|leave)\b", re.IGNORECASE)


class Bench:
    """A supervisor that serves faulty 1.0.0 to a client that never pauses, and the one question of this file: is this document refused as it should be?"""

    def __init__(self, g, server, traffic):
        self.g, self.server, self.traffic, self.unseen, self.told = g, server, traffic, 0, set()
        self.left = Footprint(g)
        self.sockets = self.left.sockets()
        self.quarantine = g.control("/v1/quarantine")

    def document(self, **more):
        return {**self.g.document(NEXT), **more}

    def fresh(self):
        """A build of faulty 1.1.0 with a digest of its own: what is in the store already is not fetched again."""
        self.unseen += 1
        path = self.g.incoming / f"fresh-{self.unseen}.so"
        path.write_bytes(NEXT.read_bytes() + str(self.unseen).encode())
        return path

    def sourced(self, *sources):
        """A document for a fresh artifact that names these sources; {} in one stands for the artifact's name."""
        path = self.fresh()
        return self.document(version_hash=sha256(path), source=[s.format(path.name) for s in sources])

    def served(self, *ways):
        """A document that fetches a fresh artifact from the server, which spoils it."""
        return self.sourced(*(f"{self.server.url}/{how}/{{}}" for how in ways))

    def file(self, so, name):
        """A document for faulty 2.0.0 whose artifact is a copy of `so`."""
        copy = self.g.incoming / name
        shutil.copyfile(so, copy)
        return {"version": "2.0.0", "version_hash": sha256(copy), "source": [f"file://{copy}"]}

    def accept(self, document):
        """It is taken, and the stable version is put back; the clients may see both."""
        self.g.want({"faulty": document})
        self.g.wait_phase("faulty", "Healthy")
        self.g.deploy("faulty", STABLE)
        self.traffic.assert_served("1.0.0", "1.1.0")
        self.left.assert_left()

    def refuse(self, document, reason, *words):
        self.traffic.assert_served("1.0.0")
        counted = self.refusals(reason)
        revision = self.g.want({"faulty": document})
        ev = self.g.wait_phase("faulty", "Rejected")
        assert ev["reason"] == reason, ev
        for word in words:
            assert word in ev["message"], ev
        self.check_sentence(ev["message"])
        self.check_degraded(reason, ev["message"])
        self.check_told(revision, ev)
        assert self.refusals(reason) == counted + 1
        self.check_left()
        self.traffic.assert_served("1.0.0")
        return ev

    def refusals(self, reason):
        label = f'grayling_artifact_refused_total{{reason="{reason}"}} '
        return sum(int(line.removeprefix(label)) for line in self.g.metrics().splitlines() if line.startswith(label))

    def check_sentence(self, message):
        assert len(message.split()) >= 5 and "(null)" not in message and "\n" not in message, message
        assert REMEDY.search(message), message

    def check_degraded(self, reason, message):
        m = self.g.module("faulty")
        assert (m["phase"], m["reason"], m["message"]) == ("Degraded", reason, message)
        assert m["stable"]["version"] == "1.0.0" and m["last_good"] == "1.0.0" and m["candidate"] is None
        r = subprocess.run([BUILD / "grayctl", "--control", self.g.run / "control.sock", "status", "faulty"], capture_output=True, text=True)
        assert r.returncode == 4 and reason in r.stdout and message in r.stdout, (r.returncode, r.stdout, r.stderr)

    def check_told(self, revision, ev):
        """History remembers it, and the fleet reads the same in the status key (looked at once a reason: it is written at leisure)."""
        row = self.g.control("/v1/history?module=faulty&limit=1")[1]["rollouts"][0]
        assert (str(row["rollout"]), row["phase"], row["reason"]) == (str(ev["rollout"]), "Rejected", ev["reason"]), row
        if ev["reason"] in self.told:
            return
        self.told.add(ev["reason"])
        for value in self.g.etcd.watch(self.g.status_key("faulty"), revision):
            key = json.loads(value)
            if key["observed_revision"] >= revision and key["phase"] == "Degraded":
                break
        assert (key["reason"], key["message"], key["stable"]["version"], key["candidate"]) == (ev["reason"], ev["message"], "1.0.0", None), key

    def check_left(self):
        """No descriptor, process, mapping or temporary file is left, nothing is convicted; files in the store are whole: half of one is nowhere."""
        self.left.assert_left()
        assert self.left.look()["mapped"] == [p.name for p in (self.g.state / "store").glob("faulty-1.0.0-*.so")]
        assert self.g.control("/v1/quarantine") == self.quarantine
        for path in (self.g.state / "store").iterdir():
            promised = path.stem.rsplit("-", 1)[1]
            assert path.suffix == ".so" and sha256(path).startswith(f"sha256:{promised}"), path


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        root = pathlib.Path(d)
        etcd, worker = Etcd(root), None
        (root / "g").mkdir()
        g = Grayling(root / "g", etcd, sets=["Artifacts.AllowSchemes=https file http", "Artifacts.AllowHosts=127.0.0.1", "Artifacts.MaxBytes=4M"])
        try:
            g.start().deploy("faulty", STABLE)
            with artifact_server(g.incoming) as server, Traffic(g, POKE, clients=1) as t:
                yield Bench(g, server, t)
            assert g.stop() == 0, g.log()
        finally:
            worker = g.kill()
            if worker:
                os.kill(worker, signal.SIGKILL)
            etcd.stop()


# -- the bytes do not come, or others come -------------------------------------------------------------

def test_the_server_is_not_the_reason(bench):
    """What the tests below refuse is taken when the server is honest."""
    bench.accept(bench.served("whole"))


def test_wrong_digest(bench):
    asked, found = "0" * 64, sha256(NEXT).removeprefix("sha256:")
    bench.refuse(bench.document(version_hash="sha256:" + asked), "DigestMismatch", asked, found)


@pytest.mark.parametrize("how, reason, word", [
    ("truncated", "FetchFailed", "127.0.0.1"), ("shorter", "DigestMismatch", "sha256"), ("reset", "FetchFailed", "127.0.0.1"),
    ("missing", "FetchFailed", "404"), ("broken", "FetchFailed", "503"), ("endless", "TooLarge", "4194304"), ("huge", "TooLarge", "4194304"),
    ("stalled", "FetchTimeout", "10"), ("private", "SourceRefused", "10.0.0.1"), ("metadata", "SourceRefused", "169.254.169.254"),
    ("outside", "SourceRefused", "file"), ("circle", "FetchFailed", "redirect")])
def test_a_server_that_misbehaves(bench, how, reason, word):
    bench.refuse(bench.served(how), reason, word)
    assert any(path.startswith(f"/{how}/") for path in bench.server.asked)


def test_the_second_mirror_helps(bench):
    bench.accept(bench.served("missing", "reset", "whole"))


@pytest.mark.parametrize("source, word", [
    ("http://localhost:1/faulty-1.1.0.so", "localhost"), ("http://169.254.169.254/latest", "169.254.169.254"),
    ("http://10.0.0.1/faulty-1.1.0.so", "10.0.0.1"), ("file:///etc/passwd", "/etc/passwd")])
def test_a_source_nobody_allowed(bench, source, word):
    bench.refuse(bench.sourced(source), "SourceRefused", word)


def test_a_file_through_dots(bench):
    bench.refuse(bench.sourced(f"file://{bench.g.incoming}/../incoming/{{}}"), "SourceRefused", "..")


@pytest.mark.parametrize("where", ["file", "directory"])
def test_a_file_through_a_symlink(bench, where):
    document = bench.sourced("file:///{}")
    artifact = bench.g.incoming / document["source"][0].removeprefix("file:///")
    link = bench.g.incoming / f"link-{where}"
    link.symlink_to(bench.g.incoming if where == "directory" else artifact)
    path = link / artifact.name if where == "directory" else link
    bench.refuse({**document, "source": [f"file://{path}"]}, "SourceRefused", str(path))


# -- the bytes are no module of ours -------------------------------------------------------------------

def library(name):
    return next(p for p in pathlib.Path("/usr/lib").glob(f"*-linux-gnu/{name}"))


@pytest.mark.parametrize("name", ["libz.so.1", "libsqlite3.so.0"])
def test_a_library_of_the_system(bench, name):
    bench.refuse(bench.file(library(name), f"{name}.so"), "NotAModule", "grayling_add_module")


@pytest.mark.parametrize("text", [b"", b"#!/bin/sh\necho hello\n", b"\x7fELF", STABLE.read_bytes()[:64] + b"\xff" * 4096],
                         ids=["empty", "script", "magic-only", "header-and-noise"])
def test_no_library_at_all(bench, text):
    source = bench.g.root / "text"
    source.write_bytes(text)
    bench.refuse(bench.file(source, f"text-{len(text)}.so"), "NotAModule")


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_a_piece_of_a_module_with_its_own_digest(bench, share):
    data = NEXT.read_bytes()
    source = bench.g.root / "half"
    source.write_bytes(data[:int(len(data) * share)])
    bench.refuse({**bench.file(source, f"half-{share}.so"), "version": "1.1.0"}, "NotAModule")


BROKEN = {
    "aarch64": ("AbiIncompatible", "aarch64", "x86-64"),
    "abi-block": ("AbiIncompatible", "ABI 2.0", "1.0"),
    "wrong-abi": ("AbiIncompatible", "ABI 99.0", "1.0"),
    "ctor-crash": ("PreflightCrashed", "SIGSEGV"),
    "ctor-exit-raw": ("PreflightCrashed", "exit status 0"),
    "ctor-hang": ("PreflightTimeout", "10s"),
    "ctor-exit": ("LoadFailed", "exit()"),
    "deny-import": ("LoadFailed", "execl()"),
    "exec-stack": ("LoadFailed", "noexecstack"),
    "go": ("AbiIncompatible", "isolation: process"),
    "ifunc": ("LoadFailed", "IFUNC"),
    "needs-lib": ("LoadFailed", "libsqlite3.so.0"),
    "nodelete": ("LoadFailed", "NODELETE"),
    "rpath": ("LoadFailed", "RUNPATH"),
    "static-tls": ("LoadFailed", "static TLS"),
    "textrel": ("LoadFailed", "-fPIC"),
    "undefined-symbol": ("LoadFailed", "nobody_defines_this"),
    "writable-text": ("LoadFailed", "writable and executable"),
    "no-entry": ("NotAModule", "grayling_module_entry()"),
    "no-note": ("NotAModule", ".note.grayling"),
    "wrong-name": ("ContractIncompatible", "faulty 2.0.0", "somebody-else 2.0.0"),
    "wrong-version": ("ContractIncompatible", "faulty 2.0.0", "faulty 9.9.9"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_build(bench, what):
    path = MODULES / "next" / what / "faulty-2.0.0.so"
    if what == "aarch64" and not path.exists():
        pytest.skip("no cross compiler for aarch64 was found when the modules were built")
    bench.refuse(bench.file(path, f"{what}.so"), *BROKEN[what])


def test_every_broken_build_is_named_above():
    assert {p.parent.name for p in (MODULES / "next").glob("*/faulty-2.0.0.so")} - set(BROKEN) == set()


@pytest.mark.parametrize("mode, reason, word", [
    ("init-fail", "InitFailed", "code 13"), ("self-test-fail", "SelfTestFailed", "code 13"), ("no-such-mode", "InitFailed", "no-such-mode"),
    ("self-test-hang", "PreflightTimeout", "10s"), ("init-crash", "PreflightCrashed", "SIGSEGV"), ("self-test-crash", "PreflightCrashed", "SIGSEGV"),
    ("abort-in-init", "PreflightCrashed", "SIGABRT"), ("exit-in-init", "PreflightCrashed", "exit status 0"),
    ("init-hang", "PreflightTimeout", "10s")])
def test_a_module_that_fails_its_preflight(bench, mode, reason, word):
    bench.refuse(bench.document(config={"mode": mode}), reason, word)


def test_a_module_for_a_newer_c_library(bench):
    """The version that it needs of libc is named where the linker wrote it: in the dynamic strings."""
    data = NEXT.read_bytes()
    assert b"GLIBC_2.2.5\0" in data
    source = bench.g.root / "newer"
    source.write_bytes(data.replace(b"GLIBC_2.2.5\0", b"GLIBC_9.9.9\0"))
    bench.refuse({**bench.file(source, "newer.so"), "version": "1.1.0"}, "DependencyMissing", "9.9.9")


def test_a_deadline_that_comes_first(bench):
    document = bench.served("stalled")
    bench.refuse({**document, "strategy": {"deadline": "1s"}}, "DeadlineExceeded", "still Fetching", "raise strategy.deadline")


# -- the document says nothing that could be done ------------------------------------------------------

FIELDS = {  # the change to a good document, by the path that the sentence begins with; blanks tell cases of one path apart
    "colour": {"colour": "green"},
    "version": {"version": "1.1"},
    "version ": {"version": "01.1.0"},
    "version  ": {"version": 1.1},
    "Version": {"Version": "1.1.0"},
    "version_hash ": {"version_hash": "sha256:" + "AB" * 32},
    "version_hash  ": {"version_hash": "md5:" + "0" * 64},
    "size ": {"size": 1.5},
    "size  ": {"size": "56104"},
    "size   ": {"size": 1 << 40},
    "source ": {"source": {"url": "file:///x"}},
    "source  ": {"source": ["https://artifacts.example/a.so"] * 9},
    "source[0] ": {"source": ["https://artifacts.example/a b.so"]},
    "strategy": {"strategy": "fast"},
    "release": {"release": "signed"},
    "reason": {"reason": 7},
    "strategy.deadline": {"strategy": {"deadline": -1}},
    "strategy.analysis.alpha": {"strategy": {"analysis": {"alpha": 2}}},
    "version_hash": {"version_hash": "sha256:12"},
    "size": {"size": -1},
    "source": {"source": []},
    "source[0]": {"source": ["ftp://artifacts.example/faulty-1.1.0.so"]},
    "source[1]": {"source": ["https://artifacts.example/a.so", 7]},
    "config": {"config": []},
    "config ": {"config": None},
    "config  ": {"config": ""},
    "config   ": {"config": {"note": "x" * (64 << 10)}},
    "version   ": {"version": None},
    "version_hash   ": {"version_hash": None},
    "source   ": {"source": None},
    "strategy ": {"strategy": None},
    "release ": {"release": None},
    "actor ": {"actor": None},
    "actor": {"actor": "a" * 5000},
    "strategy.colour": {"strategy": {"colour": 1}},
    "strategy.bake": {"strategy": {"bake": "soon"}},
    "strategy.freeze_budget": {"strategy": {"freeze_budget": "1h"}},
    "strategy.on_failure": {"strategy": {"on_failure": "shrug"}},
    "strategy.analysis": {"strategy": {"analysis": {}}},
    "strategy.steps": {"strategy": {"steps": [{"pause": {}}]}},
    "strategy.steps[0]": {"strategy": {"steps": [{"weight": 1, "shadow": 1}]}},
    "strategy.steps[0].weight": {"strategy": {"steps": [{"weight": 101}, {"weight": 100}]}},
    "strategy.steps[1].weight": {"strategy": {"steps": [{"weight": 1}, {"weight": 50}]}},
    "strategy.match[0]": {"strategy": {"match": [{"header": "x-canary"}]}},
    "strategy.harm.bad_responses": {"strategy": {"harm": {"bad_responses": 0}}},
    "release.signatures": {"release": {"payloadType": "a", "payload": "b"}},
}


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_that_says_nothing(bench, path):
    ev = bench.refuse(bench.document(**FIELDS[path]), "DocumentInvalid")
    assert ev["message"].startswith(path.strip() + ": "), ev


@pytest.mark.parametrize("path", ["version", "version_hash", "source"])
def test_a_field_that_is_missing(bench, path):
    document = bench.document()
    del document[path]
    bench.refuse(document, "DocumentInvalid", path + ": required")


TEXTS = {  # a text that no reader agrees on: a word of what is wrong with it
    "empty": ("", "ends too early"),
    "open": ("{", "expected a key"),
    "list": ("[]", "found a list"),
    "null": ("null", "found null"),
    "string": ('"1.1.0"', "found a string"),
    "more-behind": ('{"version":"1.1.0"} x', "bytes behind"),
    "duplicate": ('{"version":"1.1.0","version":"1.1.0"}', "version: duplicate key"),
    "duplicate-inside": ('{"config":{"a":{"b":1,"b":1}}}', "config.a.b: duplicate key"),
    "duplicate-escaped": ('{"actor":"a","\\u0061ctor":"a"}', "actor: duplicate key"),
    "no-utf8": (b"\xff\xfe", "expected a value"),
    "utf8-in-a-string": (b'{"version":"\xff"}', "version: invalid UTF-8"),
    "overlong-utf8": (b'{"version":"\xc0\x80"}', "version: invalid UTF-8"),
    "byte-order-mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "nul": (b'{"actor":"a\0b"}', "actor: raw control character"),
    "nul-behind": (b"{}\0", "bytes behind"),
    "nul-escaped": ('{"actor":"a\\u0000b"}', "actor: \\u0000 is not allowed"),
    "lone-surrogate": ('{"actor":"\\ud800"}', "actor: lone surrogate"),
    "deep": ("[" * 5000, "nested too deeply, 64"),
    "deep-inside": ('{"config":' + '{"a":' * 64 + "1" + "}" * 65, "nested too deeply, 64"),
    "number-range": ('{"config":{"n":9007199254740993}}', "config.n: number beyond 2^53"),
    "number-infinite": ('{"config":{"n":1e400}}', "config.n: number beyond 2^53"),
    "number-not-json": ('{"size":0x10}', "expected"),
    "leading-zero": ('{"size":010}', "size: number with a leading zero"),
    "not-a-number": ('{"size":NaN}', "size: expected a value"),
    "trailing-comma": ('{"version":"1.1.0",}', "expected a key"),
}


@pytest.mark.parametrize("what", TEXTS)
def test_a_text_that_is_no_document(bench, what):
    text, word = TEXTS[what]
    bench.refuse(text, "DocumentInvalid", word, "module faulty", "grayctl lint")


@pytest.mark.parametrize("key", ["Faulty", "-faulty", "f" * 65, "fau lty", "fau%2flty"])
def test_a_key_that_names_no_module(bench, key):
    """It is nobody's: told in the log, and everything else goes on. The good document beside it, of the same transaction, is taken."""
    bench.g.want({key: bench.document(), "echo": bench.g.document(MODULES / "echo-1.0.0.so")})
    bench.g.wait_phase("echo", "Healthy")
    assert f'does not name a module: expected [a-z0-9][a-z0-9._-]{{0,63}}' in (bench.g.root / "graylingd.log").read_text(errors="replace")
    assert [m["module"] for m in bench.g.status()["modules"]] == ["echo", "faulty"]
    bench.g.want({key: None, "echo": None})
    bench.g.wait_phase("echo", "Healthy")
    bench.traffic.assert_served("1.0.0")
    bench.left.assert_left()


@pytest.mark.parametrize("config, word", [({"mode": None}, "mode"), ({"mode": ""}, "is not known"), ({"every": "many"}, "every"),
                                          ({"mode": "x" * 60000}, "mode")], ids=["null", "empty", "kind", "huge"])
def test_a_configuration_that_the_module_refuses(bench, config, word):
    """What the host cannot know the module says, in its sandbox; a good build is not convicted for it."""
    bench.refuse(bench.document(config=config), "InitFailed", word)


def test_the_largest_configuration_reaches_its_module(bench):
    echo = bench.g.document(MODULES / "echo-1.0.0.so")
    bench.g.want({"echo": {**echo, "config": {"note": "x" * ((64 << 10) - len('{"note":""}'))}}})
    bench.g.wait_phase("echo", "Healthy")
    bench.g.want({"echo": None})
    bench.g.wait_phase("echo", "Healthy")
    bench.traffic.assert_served("1.0.0")
    bench.left.assert_left()


def test_a_document_beyond_its_size(bench):
    bench.refuse(json.dumps(bench.document()) + " " * 262144, "TooLarge", "262144")


# -- several at once -----------------------------------------------------------------------------------

ECHO = MODULES / "echo-1.0.0.so"


def refuse_batch(bench, echo, reason, *words):
    """faulty 1.1.0 is fine and echo is not: neither changes, and each is told its part."""
    revision = bench.g.want({"faulty": bench.document(), "echo": echo})
    bad = bench.g.wait_event(lambda e: e["module"] == "echo" and e["phase"] == "Rejected")
    good = bench.g.wait_event(lambda e: e["module"] == "faulty" and e["rollout"] == bad["rollout"] and e["phase"] == "Rejected", after=0)
    assert bad["reason"] == good["reason"] == reason, (bad, good)
    for word in words:
        assert word in bad["message"] and word in good["message"], (bad, good)
    assert good["message"].startswith("nothing was found wrong with faulty 1.1.0") and "Mend echo, or write faulty alone" in good["message"], good
    bench.check_degraded(reason, good["message"])
    bench.check_told(revision, good)
    assert bench.g.call("com.example.echo.EchoService/Echo")[0] == 404
    bench.check_left()
    bench.traffic.assert_served("1.0.0")
    bench.g.want({"faulty": bench.g.document(STABLE, reason=str(revision)), "echo": None})
    bench.g.wait_phase("faulty", "Healthy")


def test_one_bad_document_refuses_the_whole_transaction(bench):
    refuse_batch(bench, {**bench.g.document(ECHO), "size": -1}, "DocumentInvalid", "size: expected")


def test_one_text_that_is_no_document_refuses_the_whole_transaction(bench):
    refuse_batch(bench, "{", "DocumentInvalid", "module echo")


def test_one_bad_artifact_refuses_the_whole_transaction(bench):
    refuse_batch(bench, {**bench.g.document(ECHO), "version_hash": "sha256:" + "2" * 64}, "DigestMismatch", "2" * 64)


def test_one_failed_preflight_refuses_the_whole_transaction(bench):
    source = bench.g.root / "other"
    source.write_bytes(library("libz.so.1").read_bytes() + b"other")
    document = {**bench.file(source, "other.so"), "version": "1.0.0"}
    refuse_batch(bench, document, "NotAModule", "grayling_add_module")


def test_an_old_refusal_stops_nobody_else_after_a_restart(make, etcd):
    """What was written in other transactions is other rollouts, also when a start takes several up together."""
    g = make(etcd).start()
    g.deploy("faulty", STABLE)
    g.deploy("echo", ECHO)
    old = g.want({"pay": "{"})
    g.wait_phase("pay", "Rejected")
    g.process.kill()
    g.process.wait()
    g.want({"faulty": g.document(NEXT)})
    g.want({"echo": None})
    with Traffic(g, POKE, clients=1) as t:
        g.start()
        assert g.wait_event(lambda e: e["module"] == "faulty" and e["phase"] in ("Healthy", "Rejected"))["phase"] == "Healthy"
        g.until(lambda: g.module("echo") is None)
        t.assert_served("1.0.0", "1.1.0")
    m = g.module("pay")
    assert (m["phase"], m["reason"], m["observed_revision"]) == ("Degraded", "DocumentInvalid", old) and "module pay" in m["message"], m
    assert g.call(POKE)[1]["x-grayling-version"] == "1.1.0"


# -- after all that ------------------------------------------------------------------------------------

LATER = {"SignatureInvalid", "DowngradeRefused", "UpgradeLockIncomplete", "CallTimeout", "LatencyRegressed", "ResourceLeak", "HarmBudgetSpent",
         "Inconclusive"}  # nothing produces these yet


def test_every_reason_is_produced_somewhere():
    header = (SOURCE / "supervisor" / "base" / "error.h").read_text()
    reasons = set(re.findall(r'X\([A-Z_]+, "([A-Za-z]+)"\)', header))
    tests = "".join(p.read_text() for p in (SOURCE / "integration-tests").glob("test_*.py"))
    assert len(reasons) > 30 and {r for r in reasons - LATER - {"Internal"} if f'"{r}"' not in tests} == set()


def test_a_good_document_is_taken_after_all_the_bad(bench):
    bench.refuse(bench.document(version_hash="sha256:" + "1" * 64), "DigestMismatch")
    bench.g.deploy("faulty", NEXT)
    bench.traffic.assert_served("1.0.0", "1.1.0")
    assert bench.g.module("faulty")["phase"] == "Healthy" and bench.g.call(POKE)[1]["x-grayling-version"] == "1.1.0"


def test_no_socket_was_left(bench):
    """More than a hundred refusals came before; one that leaks would show."""
    assert bench.left.sockets() <= bench.sockets + 16
