"""Contracts of real files: what the compiler refuses, what inspect tells, and what abi-diff finds between two modules."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from harness import BUILD, MODULES

SOURCE = pathlib.Path(os.environ["GRAYLING_SOURCE"])
CROSS = shutil.which("aarch64-linux-gnu-gcc")
METHODS = {"Charge": "{input: a.ChargeRequest, output: a.ChargeReply, codec: json, idempotent: true}", "Refund": "{}"}


def contract(version="1.0.0", methods=METHODS, rest=""):
    lines = [f"module: shop\nversion: 1.0.0\nprovides:\n  - interface: com.example.shop.Shop\n    version: {version}\n    methods:"]
    return "\n".join(lines + [f"      {name}: {body}" for name, body in methods.items()]) + f"\n{rest}\n"


def compile_contract(path, text, *options):
    path.mkdir(exist_ok=True)
    yaml = path / "module.yaml"
    yaml.write_text(text)
    return subprocess.run([shutil.which("grayling-contract", path=f"{BUILD}:{BUILD}/modules/sdk/contract"), *options, yaml], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)


def module(path, version, text, cc="gcc", flags=(), exported=SOURCE / "modules/sdk/module.map"):
    """A real module of the given contract."""
    r = compile_contract(path, text, "--version", version, "--output", path / "note.c")
    assert r.returncode == 0, r.stderr
    out = path / f"shop-{version}.so"
    subprocess.run([cc, "-shared", "-nostdlib", "-fPIC", "-fvisibility=hidden", "-O2", "-Wl,--build-id=sha1", "-Wl,-z,defs",
                    f"-Wl,--version-script={exported}", f"-I{SOURCE}/modules/include",
                    SOURCE / "modules/faulty/broken/body.c", path / "note.c", *flags, "-o", out], check=True)
    return out


def grayctl(*words):
    return subprocess.run([BUILD / "grayctl", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def diff(a, b):
    """Status, verdict, and the kinds that are found of each severity."""
    r = grayctl("abi-diff", a, b, "-o", "json")
    result = json.loads(r.stdout)
    kinds = {}
    for f in result["findings"]:
        kinds.setdefault(f["severity"], []).append(f["kind"])
    return r.returncode, result["verdict"], kinds, r.stderr


@pytest.fixture
def old(tmp_path):
    return module(tmp_path / "old", "1.0.0", contract())


def test_releases_of_pay_are_compatible():
    status, verdict, kinds, _ = diff(MODULES / "pay-1.0.0.so", MODULES / "pay-1.1.0.so")
    assert (status, verdict) == (0, "compatible") and kinds["note"][:2] == ["InterfaceRaised", "NeedAdded"]
    table = grayctl("abi-diff", MODULES / "pay-1.0.0.so", MODULES / "pay-1.1.0.so")
    assert table.returncode == 0 and table.stdout.endswith("\nVerdict: compatible\n")
    assert "com.example.pay.PayService goes from 1.0.0 to 1.1.0: callers of ^1.0.0 are bridged to it" in table.stdout


def test_a_file_is_the_same_as_itself(old):
    assert diff(old, old) == (0, "same", {}, "")


@pytest.mark.parametrize("change, kind, sentence", [
    ({"Charge": METHODS["Charge"]}, "MethodRemoved", "com.example.shop.Shop/Refund is removed"),
    ({**METHODS, "Charge": METHODS["Charge"].replace("a.ChargeReply", "a.Receipt")}, "MethodRetyped", "its output from a.ChargeReply to a.Receipt"),
    ({**METHODS, "Charge": METHODS["Charge"].replace("a.ChargeRequest", "a.Order")}, "MethodRetyped", "its input from a.ChargeRequest to a.Order"),
    ({**METHODS, "Charge": METHODS["Charge"].replace("json", "proto")}, "MethodRetyped", "takes codec proto and no longer json"),
    ({**METHODS, "Charge": METHODS["Charge"].replace("true", "false")}, "IdempotenceLost", "is no longer idempotent"),
], ids=["removed", "output", "input", "codec", "idempotence"])
def test_a_break_needs_a_major_version(old, tmp_path, change, kind, sentence):
    status, verdict, kinds, err = diff(old, module(tmp_path / "1.1.0", "1.1.0", contract("1.1.0", change)))
    assert (status, verdict, kinds["breaking"]) == (5, "breaking", [kind])
    assert err.startswith("error: ContractIncompatible: ") and sentence in err and "give the interface version 2.0.0" in err
    status, verdict, kinds, err = diff(old, module(tmp_path / "2.0.0", "2.0.0", contract("2.0.0", change)))
    assert (status, verdict, kinds["announced"]) == (0, "announced", ["InterfaceMajor", kind])
    assert "release those that change with it in one transaction" in err


def test_additions_are_compatible(old, tmp_path):
    status, verdict, kinds, _ = diff(old, module(tmp_path / "new", "1.1.0", contract("1.1.0", {**METHODS, "Void": "{}"}, "requires: {a.B: ^1}")))
    assert (status, verdict, kinds) == (0, "compatible", {"note": ["InterfaceRaised", "MethodAdded", "NeedAdded"]})


def test_state_that_would_be_lost(tmp_path):
    one = module(tmp_path / "one", "1.0.0", contract(rest="state: {schema: 1}"))
    two = module(tmp_path / "two", "1.0.1", contract(rest="state: {schema: 2, imports: [1]}"))
    three = module(tmp_path / "three", "1.0.2", contract(rest="state: {schema: 3, imports: [2]}"))
    assert diff(one, two)[:3] == (0, "compatible", {"note": ["StateOneWay"]})
    status, verdict, kinds, err = diff(one, three)
    assert (status, verdict, kinds) == (5, "breaking", {"breaking": ["StateLost"]})
    assert "StateHandoverFailed" in err and "1.0.0 holds state of schema 1 and 1.0.2, whose schema is 3" in err


def test_another_machine(old, tmp_path):
    if not CROSS:
        pytest.skip("no cross compiler for aarch64")
    there = module(tmp_path / "there", "1.1.0", contract("1.1.0"), CROSS)
    status, verdict, kinds, err = diff(old, there)
    assert (status, verdict, kinds["breaking"]) == (5, "breaking", ["MachineChanged"])
    assert "AbiIncompatible" in err and "aarch64" in err and "x86-64" in err
    # two files of one foreign machine are compared as two of this one
    gone = module(tmp_path / "gone", "1.2.0", contract("1.2.0", {"Charge": METHODS["Charge"]}), CROSS)
    assert diff(there, there)[:2] == (0, "same")
    assert diff(there, gone)[:3] == (5, "breaking", {"breaking": ["MethodRemoved"], "note": ["InterfaceRaised"]})


def test_what_the_linker_changed(old, tmp_path):
    executable = module(tmp_path / "x", "1.0.1", contract(), flags=["-Wl,-z,execstack"])
    status, _, kinds, err = diff(old, executable)
    assert (status, kinds) == (5, {"breaking": ["NotAdmissible"], "note": ["ElfChanged"]}) and "LoadFailed" in err and "executable stack" in err
    libc = module(tmp_path / "c", "1.0.1", contract(), flags=["-Wl,--no-as-needed", "-lc"])
    assert diff(old, libc)[:3] == (0, "compatible", {"note": ["LibraryAdded"]})
    script = tmp_path / "open.map"
    script.write_text("{ global: *; };")
    (tmp_path / "more.c").write_text("__attribute__((visibility(\"default\"))) int shop_more(void) { return 1; }")
    more = module(tmp_path / "m", "1.0.1", contract(), flags=[tmp_path / "more.c"], exported=script)
    assert diff(old, more)[:3] == (0, "compatible", {"note": ["SymbolAdded"]})
    assert diff(more, old)[2]["note"] == ["VersionBack", "SymbolRemoved"]


def test_no_module(old, tmp_path):
    text = tmp_path / "text"
    text.write_text("no ELF file")
    r = grayctl("abi-diff", text, old)
    assert r.returncode == 5 and "NotAModule" in r.stderr and r.stdout == ""
    assert diff(old, text)[:3] == (5, "breaking", {"breaking": ["ContractMissing"]})
    assert grayctl("abi-diff", old, tmp_path / "absent").returncode not in (0, 5)
    assert grayctl("abi-diff", old).returncode == 2


@pytest.mark.parametrize("cc", ["gcc", CROSS], ids=["here", "aarch64"])
def test_inspect_reads_any_machine(tmp_path, cc):
    if not cc:
        pytest.skip("no cross compiler for aarch64")
    path = module(tmp_path / "m", "1.2.3", contract("2.1.0", rest="requires: {a.B: '^1.2 || 3 - 4'}\nstate: {schema: 3, imports: [1, 2]}\n"
                                                    "upgrade_lock: money\nsla: {p99: 20ms, error_rate: 0.001}"), cc)
    r = grayctl("inspect", path, "-o", "json")
    facts = json.loads(r.stdout)
    c = facts["contract"]
    assert r.returncode == 0 and facts["exports"] == ["grayling_module_entry"] and facts["traits"] == []
    assert facts["machine"] == ("aarch64" if cc == CROSS else "x86-64")
    assert facts.get("own_verdict", facts["verdict"]) == "admissible"
    assert (c["module"], c["version"], c["requires"], c["state"]) == ("shop", "1.2.3", {"a.B": "^1.2 || 3 - 4"}, {"schema": 3, "imports": [1, 2]})
    assert c["provides"][0]["methods"]["Charge"] == {"input": "a.ChargeRequest", "output": "a.ChargeReply", "codec": "json", "idempotent": True}
    assert (c["upgrade_lock"], c["sla"]) == ("money", {"p99": "20ms", "error_rate": 0.001})
    table = grayctl("inspect", path).stdout
    assert "Provides:  com.example.shop.Shop 2.1.0" in table and "Requires:  a.B ^1.2 || 3 - 4" in table and "State:     schema 3, imports 1, 2" in table


@pytest.mark.parametrize("line, rest, place, sentence", [
    (10, "requires:\n  a.b: latest", "requires.a.b", '"latest" is no version range'),
    (11, "optional:\n  a.b: ^1\n  c.d: 1 - 2 - 3", "optional.c.d", "expected nothing but ||"),
    (9, "state: {schema: one}", "state.schema", "expected a schema number"),
    (12, "state:\n  schema: 3\n  imports:\n    - 0", "state.imports[0]", "expected a schema number"),
    (10, "state:\n  imports: [1]", "state", '"schema" is missing'),
], ids=["range", "hyphen", "schema", "imports", "no-schema"])
def test_the_compiler_names_file_and_line(tmp_path, line, rest, place, sentence):
    r = compile_contract(tmp_path / "m", contract(rest=rest))
    assert r.returncode == 5 and r.stderr.startswith(f"{tmp_path}/m/module.yaml:{line}: {place}: ") and sentence in r.stderr


def test_a_note_with_a_malformed_range_is_no_module(tmp_path):
    path = tmp_path / "m"
    good = module(path, "1.0.0", contract(rest="requires: {a.b: ^1.2.3}"))
    bytes_ = good.read_bytes()
    assert bytes_.count(b'"^1.2.3"') == 1
    bad = path / "bad.so"
    bad.write_bytes(bytes_.replace(b'"^1.2.3"', b'"^1.2.y"'))
    r = grayctl("verify", bad)
    assert r.returncode == 5 and "NotAModule" in r.stderr and 'requires.a.b: "^1.2.y" is no version range' in r.stderr
    assert grayctl("verify", good).returncode == 0
