"""grayctl doctor on hosts that are broken, one thing each: the line says so, and what it says to type mends it."""
import datetime
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

from harness import BUILD, MODULES, PATIENCE

PLAIN = {k: v for k, v in os.environ.items() if not k.startswith("GRAYLING_CON")}


def doctor(g, **env):
    r = subprocess.run([BUILD / "grayctl", "--control", g.run / "control.sock", "doctor", "-o", "json"], capture_output=True, text=True,
                       env={**PLAIN, **env}, timeout=PATIENCE)
    lines = json.loads(r.stdout)["items"]
    assert r.returncode == (4 if any(line["state"] == "fail" for line in lines) else 0), r
    return lines


def found(g, check, state, *parts, **env):
    lines = doctor(g, **env)
    of = [line for line in lines if line["check"] == check]
    fitting = [line["message"] for line in of if line["state"] == state and all(p in line["message"] for p in parts)]
    assert fitting, (check, state, parts, of or lines)
    return fitting[0]


def fine(g, check):
    of = [line for line in doctor(g) if line["check"] == check]
    assert of and {line["state"] for line in of} == {"ok"}, of


def typed(g, message, pattern):
    """The command in the sentence, as a person would type it on this host."""
    command = re.search(pattern, message)[0]
    env = {**PLAIN, "PATH": f"{BUILD}:{os.environ['PATH']}", "GRAYLING_CONTROL": str(g.run / "control.sock")}
    subprocess.run(command, shell=True, check=True, env=env, timeout=PATIENCE)


@pytest.mark.parametrize("check, path", [("state directory", ""), ("store", "store")])
def test_a_directory_that_others_can_write(grayling, check, path):
    fine(grayling, check)
    (grayling.state / path).chmod(0o777)
    typed(grayling, found(grayling, check, "fail", "can be written by others"), r"chmod \S+ \S+")
    fine(grayling, check)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_store_of_somebody_else(grayling):
    os.chown(grayling.state / "store", 4711, 0)
    typed(grayling, found(grayling, "store", "fail", "belongs to uid 4711, expected"), r"chown -R \d+ \S+")
    fine(grayling, "store")


def test_a_file_of_the_store_that_was_changed(grayling):
    g = grayling
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    fine(g, "store")
    so = next((g.state / "store").glob("pay-1.0.0-*.so"))
    changed = so.with_suffix(".new")
    changed.write_bytes(so.read_bytes() + b"x")
    changed.rename(so)  # under another inode: what runs keeps its own
    message = found(g, "store", "fail", str(so), "was changed after it was verified", "expected " + so.stem.rsplit("-", 1)[1])
    worker = g.status()["worker"]["pid"]
    typed(g, message, r"grayctl worker replace")
    g.until(lambda: (g.status().get("worker") or {}).get("pid") not in (None, 0, worker))
    g.until(lambda: not [line for line in doctor(g) if line["check"] == "store" and line["state"] == "fail"])
    found(g, "store", "warn", "1 files of", "(.damaged)")
    assert g.call("com.example.pay.PayService/Charge")[0] == 200


def test_few_open_files(make):
    g = make(sets=[])
    g.wrapper = ["prlimit", "--nofile=1000:1000"]
    g.start()
    message = found(g, "open files", "warn", "at most 1000 (of the worker)", "expected 20000", "start it anew")
    assert "LimitNOFILE=" in message and "ulimit -n" in message
    g.stop()
    g.wrapper = ["prlimit", "--nofile=20000:20000"]
    g.start()
    found(g, "open files", "ok", "at most 20000 (of the worker)")


def test_etcd_that_is_down_and_comes_back(make, etcd):
    g = make(etcd).start()
    fine(g, "source"), fine(g, "etcd version"), fine(g, "clock of etcd")
    etcd.stop()
    g.until(lambda: not g.status()["source"]["up"])
    assert etcd.url in found(g, "source", "fail")
    found(g, "daemon's source", "fail")
    etcd.start()
    g.until(lambda: g.status()["source"]["up"])
    fine(g, "source")


def certificate(path, days):
    """A self-signed one that ends so many days from now, by openssl's own ca command, which takes any dates."""
    at = [(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=d)).strftime("%Y%m%d%H%M%SZ") for d in (-60, days)]
    work = path.parent / f"ca{days}"
    work.mkdir(exist_ok=True)
    (work / "index.txt").write_text("")
    (work / "ca.conf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={work}/index.txt\nnew_certs_dir={work}\ndefault_md=sha256\npolicy=p\n"
                                  "rand_serial=yes\n[p]\ncommonName=supplied\n")
    for command in (["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=etcd", "-keyout", work / "key", "-out", work / "csr"],
                    ["ca", "-batch", "-selfsign", "-config", work / "ca.conf", "-keyfile", work / "key", "-in", work / "csr", "-out", path,
                     "-startdate", at[0], "-enddate", at[1], "-notext"]):
        subprocess.run(["openssl", *command], check=True, capture_output=True)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_a_certificate_at_its_end(make, etcd, root):
    path = root / "ca.pem"
    certificate(path, 90)
    g = make(etcd, sets=[f"Etcd.CAFile={path}"]).start()
    found(g, "etcd CA", "ok", "is valid for another")
    certificate(path, -3)
    found(g, "etcd CA", "fail", "expired 3 days ago: renew it, then systemctl restart grayling")
    certificate(path, 5)
    found(g, "etcd CA", "warn", "days: renew it, then systemctl restart grayling")
    path.write_text("no certificate")
    found(g, "etcd CA", "fail", "holds no certificate in PEM")
    path.unlink()
    found(g, "etcd CA", "fail", "No such file or directory; install it")


def test_a_secret_that_others_read(make, etcd, root):
    path = root / "password"
    path.write_text("secret")
    path.chmod(0o644)
    g = make(etcd, sets=["Etcd.User=grayling", f"Etcd.PasswordFile={path}"])
    try:
        g.start()
    except AssertionError:
        pytest.fail("a daemon with a password that etcd does not ask for did not start")
    message = found(g, "etcd password", "fail", "can be read by others")
    typed(g, message + f" {path}", r"chmod 0600 \S+")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    fine(g, "etcd password")


def test_programs_of_two_releases(grayling, tmp_path):
    for name in ("grayling-worker", "grayling-preflight", "grayling-store"):
        (tmp_path / name).symlink_to(BUILD / name)
    (tmp_path / "grayling-worker").unlink()
    (tmp_path / "grayling-worker").write_text("#!/bin/sh\necho grayling-worker 0.0.7\n")
    (tmp_path / "grayling-worker").chmod(0o755)
    found(grayling, "grayling-worker", "fail", "is of release 0.0.7", "Install the package again", GRAYLING_LIBEXEC=str(tmp_path))
    fine(grayling, "grayling-worker")


def test_a_daemon_that_is_not_there(grayling):
    grayling.stop()
    message = found(grayling, "daemon", "fail", str(grayling.run / "control.sock"))
    assert "systemctl" in message, message
    grayling.start()
    fine(grayling, "daemon")
