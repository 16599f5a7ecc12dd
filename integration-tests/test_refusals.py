"""Whatever is asked that cannot be done is refused with its reason and a whole sentence; the stable version serves on, nothing is left behind."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from artifact_server import artifact_server
from harness import BUILD, MODULES, Etcd, Grayling, Traffic, sha256

POKE = "com.example.faulty.FaultyService/Poke"
STABLE, NEXT = MODULES / "faulty-1.0.0.so", MODULES / "faulty-1.1.0.so"


class Bench:
    """A supervisor that serves faulty 1.0.0, and the one question of this file: is this document refused as it should be?"""

    def __init__(self, g, server):
        self.g, self.server, self.unseen = g, server, 0

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

    def refuse(self, document, reason, *words):
        with Traffic(self.g, POKE, clients=1) as t:
            self.g.want({"faulty": document})
            ev = self.g.wait_phase("faulty", "Rejected")
        assert ev["reason"] == reason, ev
        for word in words:
            assert word in ev["message"], ev
        self.check_sentence(ev["message"])
        assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.0.0"}, (t.codes, t.versions, t.lost)
        self.check_degraded(reason, ev["message"])
        self.check_store()
        return ev

    def check_sentence(self, message):
        assert len(message.split()) >= 5 and "(null)" not in message and "\n" not in message, message

    def check_degraded(self, reason, message):
        m = self.g.module("faulty")
        assert (m["phase"], m["reason"], m["message"]) == ("Degraded", reason, message)
        assert m["stable"]["version"] == "1.0.0" and m["candidate"] is None
        r = subprocess.run([BUILD / "grayctl", "--control", self.g.run / "control.sock", "status", "faulty"], capture_output=True, text=True)
        assert r.returncode == 4 and reason in r.stdout and message in r.stdout, (r.returncode, r.stdout, r.stderr)

    def check_store(self):
        """Files in the store are whole: each has the digest that its name promises. Half of one is nowhere."""
        for path in (self.g.state / "store").iterdir():
            promised = path.stem.rsplit("-", 1)[1]
            assert path.suffix == ".so" and sha256(path).startswith(f"sha256:{promised}"), path
        assert [p.name for p in self.g.state.rglob(".tmp-*")] == []


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        root = pathlib.Path(d)
        etcd, worker = Etcd(root), None
        (root / "g").mkdir()
        g = Grayling(root / "g", etcd, sets=["Artifacts.AllowSchemes=https file http", "Artifacts.AllowHosts=127.0.0.1", "Artifacts.MaxBytes=4M"])
        try:
            g.start().deploy("faulty", STABLE)
            with artifact_server(g.incoming) as server:
                yield Bench(g, server)
            assert g.stop() == 0, g.log()
        finally:
            g.kill()
            etcd.stop()


# -- the bytes do not come, or others come -------------------------------------------------------------

def test_the_server_is_not_the_reason(bench):
    """What the tests below refuse is taken when the server is honest."""
    bench.g.want({"faulty": bench.served("whole")})
    bench.g.wait_phase("faulty", "Healthy")
    bench.g.deploy("faulty", STABLE)


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
    bench.g.want({"faulty": bench.served("missing", "reset", "whole")})
    bench.g.wait_phase("faulty", "Healthy")
    bench.g.deploy("faulty", STABLE)


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
    ("init-crash", "PreflightCrashed", "SIGSEGV"), ("self-test-crash", "PreflightCrashed", "SIGSEGV"),
    ("abort-in-init", "PreflightCrashed", "SIGABRT"), ("exit-in-init", "PreflightCrashed", "exit status 0"),
    ("init-hang", "PreflightTimeout", "10s")])
def test_a_module_that_fails_its_preflight(bench, mode, reason, word):
    bench.refuse(bench.document(config={"mode": mode}), reason, word)


# -- the document says nothing that could be done ------------------------------------------------------

FIELDS = {  # the change to a good document: the path that the sentence begins with
    "colour": {"colour": "green"},
    "version": {"version": "1.1"},
    "version_hash": {"version_hash": "sha256:12"},
    "size": {"size": -1},
    "source": {"source": []},
    "source[0]": {"source": ["ftp://artifacts.example/faulty-1.1.0.so"]},
    "source[1]": {"source": ["https://artifacts.example/a.so", 7]},
    "config": {"config": []},
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
    assert ev["message"].startswith(path + ": "), ev


@pytest.mark.parametrize("path", ["version", "version_hash", "source"])
def test_a_field_that_is_missing(bench, path):
    document = bench.document()
    del document[path]
    bench.refuse(document, "DocumentInvalid", path + ": required")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"1.1.0"', '{"version":"1.1.0"} x', '{"version":"1.1.0","version":"1.1.0"}',
                                  b"\xff\xfe", b'{"version":"\xc0\x80"}', "[" * 5000],
                         ids=["empty", "open", "list", "null", "string", "more-behind", "duplicate", "no-utf8", "overlong-utf8", "deep"])
def test_a_text_that_is_no_document(bench, text):
    bench.refuse(text, "DocumentInvalid")


def test_a_document_beyond_its_size(bench):
    bench.refuse(json.dumps(bench.document()) + " " * 262144, "TooLarge", "262144")


# -- several at once -----------------------------------------------------------------------------------

def test_one_bad_member_refuses_the_whole_transaction(bench):
    with Traffic(bench.g, POKE, clients=1) as t:
        bench.g.want({"faulty": bench.document(), "echo": {**bench.g.document(MODULES / "echo-1.0.0.so"), "size": -1}})
        bad = bench.g.wait_phase("echo", "Rejected")
        good = bench.g.wait_event(lambda e: e["module"] == "faulty" and e["rollout"] == bad["rollout"] and e["phase"] == "Rejected", after=0)
    assert bad["reason"] == "DocumentInvalid" and bad["message"].startswith("size: "), bad
    assert good["reason"] == "DocumentInvalid", good
    assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.0.0"}
    assert bench.g.call("com.example.echo.EchoService/Echo")[0] == 404
    bench.g.want({"faulty": bench.g.document(STABLE), "echo": None})


# -- after all that ------------------------------------------------------------------------------------

def test_metrics_count_the_refusals(bench):
    text = bench.g.metrics()
    for reason in ("DigestMismatch", "NotAModule", "TooLarge", "FetchFailed", "SourceRefused"):
        assert f'grayling_artifact_refused_total{{reason="{reason}"}}' in text, text


def test_a_good_document_is_taken_after_all_the_bad(bench):
    bench.refuse(bench.document(version_hash="sha256:" + "1" * 64), "DigestMismatch")
    with Traffic(bench.g, POKE, clients=1) as t:
        bench.g.deploy("faulty", NEXT)
    assert t.lost == [] and set(t.codes) == {200}
    assert bench.g.module("faulty")["phase"] == "Healthy" and bench.g.call(POKE)[1]["x-grayling-version"] == "1.1.0"
