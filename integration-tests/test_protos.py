"""grayctl contract generate: what protoc says of a .proto file becomes a contract that the compiler takes, and a module that serves."""
import json
import os
import shutil
import subprocess

import pytest

from harness import BUILD

pytestmark = pytest.mark.skipif(not shutil.which("protoc"), reason="protoc is not installed (protobuf-compiler)")
PAY = """\
// A licence, which is not about any service.

syntax = "proto3";
package com.example.pay.v1;
import "google/protobuf/empty.proto";
message ChargeRequest { uint64 amount_cents = 1; }
message ChargeResponse { string id = 1; }

// Charges cards: "twice" is once.
service PayService {
  // Charges a card.
  //
  //   # and {more}
  rpc Charge(ChargeRequest) returns (ChargeResponse) { option idempotency_level = IDEMPOTENT; }
  rpc Refund(ChargeRequest) returns (google.protobuf.Empty);
  rpc Look(ChargeRequest) returns (ChargeResponse) { option idempotency_level = NO_SIDE_EFFECTS; }
}
service Health { rpc Check(google.protobuf.Empty) returns (google.protobuf.Empty); }
"""
CONTRACT = """\
# Made from a .proto file; from here on yours. No codec is named, so JSON and protobuf are both taken.
module: pay
version: 1.0.0
provides:
  # Charges cards: "twice" is once.
  - interface: com.example.pay.v1.PayService
    version: 1.0.0
    methods:
      # Charges a card.
      #
      #   # and {more}
      Charge:
        input: com.example.pay.v1.ChargeRequest
        output: com.example.pay.v1.ChargeResponse
        idempotent: true
      Refund:
        input: com.example.pay.v1.ChargeRequest
        output: google.protobuf.Empty
        idempotent: false
      Look:
        input: com.example.pay.v1.ChargeRequest
        output: com.example.pay.v1.ChargeResponse
        idempotent: true
  - interface: com.example.pay.v1.Health
    version: 1.0.0
    methods:
      Check:
        input: google.protobuf.Empty
        output: google.protobuf.Empty
        idempotent: false
"""
HEAD = 'syntax = "proto3"; package com.example.bad; message M {} '


def generate(path, *args, proto="pay.proto", env=None):
    return subprocess.run([BUILD / "grayctl", "contract", "generate", "--input", proto, *args], capture_output=True, text=True, cwd=path,
                          env=dict(os.environ, **env or {}))


def compiled(path):
    r = subprocess.run([BUILD / "grayling-contract", path], capture_output=True, text=True)
    assert r.returncode == 0, r
    return json.loads(r.stdout)


def test_the_services_become_a_contract(tmp_path):
    (tmp_path / "pay.proto").write_text(PAY)
    r = generate(tmp_path, "--output", "module.yaml", "-o", "json")
    assert r.returncode == 0 and "2 interfaces and 4 methods" in r.stderr, r
    made = json.loads(r.stdout)
    assert (made["kind"], made["file"], made["module"], made["interfaces"], made["methods"]) == ("contract", "module.yaml", "pay", 2, 4)
    assert (tmp_path / "module.yaml").read_text() == CONTRACT
    contract = compiled(tmp_path / "module.yaml")
    assert [i["interface"] for i in contract["provides"]] == ["com.example.pay.v1.PayService", "com.example.pay.v1.Health"]
    assert {m: d["idempotent"] for m, d in contract["provides"][0]["methods"].items()} == {"Charge": True, "Refund": False, "Look": True}


def test_what_the_author_wrote_is_not_overwritten(tmp_path):
    (tmp_path / "pay.proto").write_text(PAY)
    for _ in range(2):  # the same again is nothing to refuse
        assert generate(tmp_path, "--output", "module.yaml").returncode == 0
    mine = CONTRACT.replace("idempotent: false", "idempotent: false\n        deadline: 20ms")
    (tmp_path / "module.yaml").write_text(mine)
    r = generate(tmp_path, "--output", "module.yaml")
    assert r.returncode == 5 and "--force" in r.stderr and (tmp_path / "module.yaml").read_text() == mine
    assert generate(tmp_path, "--output", "module.yaml", "--force").returncode == 0
    assert (tmp_path / "module.yaml").read_text() == CONTRACT
    assert generate(tmp_path, "--output", "-").stdout == CONTRACT


def test_imports_are_found_where_the_author_says(tmp_path):
    (tmp_path / "api/acme").mkdir(parents=True)
    (tmp_path / "api/acme/types.proto").write_text('syntax = "proto3"; package acme.types; message Money { int64 cents = 1; }')
    (tmp_path / "api/acme/My_Wallet.proto").write_text(
        'syntax = "proto3"; package acme; import "acme/types.proto"; service Wallet { rpc Put(types.Money) returns (types.Money); }')
    r = generate(tmp_path, "--output", "w.yaml", proto="api/acme/My_Wallet.proto")
    assert r.returncode == 5 and "acme/types.proto" in r.stderr
    r = generate(tmp_path, "--output", "w.yaml", "--proto-path", "api", proto="api/acme/My_Wallet.proto")
    assert r.returncode == 0, r
    contract = compiled(tmp_path / "w.yaml")
    assert contract["module"] == "my_wallet" and contract["provides"][0]["methods"]["Put"]["input"] == "acme.types.Money"
    assert generate(tmp_path, "--output", "-", "--module", "purse", "--proto-path", "api", proto="api/acme/My_Wallet.proto").stdout.count("module: purse")


MANY = "".join(f"rpc M{i}(M) returns (M); " for i in range(33))
BAD = {
    "syntax": (HEAD + "service S { rpc R(M) returns (N); }", 5, '"N" is not defined'),
    "no-service": (HEAD, 5, "declares no service"),
    "no-method": (HEAD + "service S {}", 5, "S has no method"),
    "no-package": ('syntax = "proto3"; message M {} service S { rpc R(M) returns (M); }', 5, "package com.example.pay;"),
    "streams": (HEAD + "service S { rpc Tail(M) returns (stream M); }", 5, "com.example.bad.S/Tail streams"),
    "uploads": (HEAD + "service S { rpc Put(stream M) returns (M); }", 5, "com.example.bad.S/Put streams"),
    "too-many": (HEAD + "service S { " + MANY + "}", 5, "at most 32"),
    "long": (HEAD + "service S { rpc " + "R" * 64 + "(M) returns (M); }", 5, "at most 63"),
    "underscore": (HEAD + "service _S { rpc R(M) returns (M); }", 5, "begun by a letter"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_contract_is_refused(tmp_path, what):
    text, status, part = BAD[what]
    (tmp_path / "bad.proto").write_text(text)
    r = generate(tmp_path, "--output", "bad.yaml", proto="bad.proto")
    assert r.returncode == status and part in r.stderr and "bad.proto" in r.stderr, r
    assert os.listdir(tmp_path) == ["bad.proto"]


def test_a_comment_cannot_become_a_field(tmp_path):
    (tmp_path / "odd.proto").write_text(HEAD + "\n// one\u2028module: evil\u0085 two \x01 ä\nservice S { rpc R(M) returns (M); }\n")
    assert generate(tmp_path, "--output", "odd.yaml", proto="odd.proto").returncode == 0
    assert "  # one?module: evil? two ? ä\n" in (tmp_path / "odd.yaml").read_text()
    assert compiled(tmp_path / "odd.yaml")["module"] == "odd"


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "pay.proto").write_text(PAY)
    r = generate(tmp_path, "--output", "m.yaml", env={"PATH": str(tmp_path)})
    assert r.returncode == 3 and "apt install protobuf-compiler" in r.stderr, r
    r = generate(tmp_path, "--output", "m.yaml", proto="nowhere.proto")
    assert r.returncode == 3 and "cannot read nowhere.proto" in r.stderr
    r = generate(tmp_path)
    assert r.returncode == 2 and "needs --output" in r.stderr
    r = generate(tmp_path, "--output", "nowhere/m.yaml")
    assert r.returncode == 1 or r.returncode == 3, r
    assert "nowhere/m.yaml cannot be written" in r.stderr
    (tmp_path / "1 pay.proto").write_text(PAY)
    r = generate(tmp_path, "--output", "m.yaml", proto="1 pay.proto")
    assert r.returncode == 2 and "--module" in r.stderr


def test_a_file_carries_it(tmp_path):
    """Compiled into a shared library as the SDK does it, and read out of it again."""
    (tmp_path / "pay.proto").write_text(PAY)
    assert generate(tmp_path, "--output", "module.yaml").returncode == 0
    subprocess.run([BUILD / "grayling-contract", "--version", "2.0.0", "--output", tmp_path / "note.c", tmp_path / "module.yaml"], check=True)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "pay.so", tmp_path / "note.c"], check=True)
    r = subprocess.run([BUILD / "grayctl", "inspect", tmp_path / "pay.so"], capture_output=True, text=True)
    assert "com.example.pay.v1.PayService 1.0.0" in r.stdout and "Check (google.protobuf.Empty) -> (google.protobuf.Empty)" in r.stdout, r
