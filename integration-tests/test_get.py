"""grayctl get: the tree of a real rollout, on a terminal and without one."""
import json
import os
import re
import subprocess

import pytest

from harness import BUILD, MODULES, Traffic
from terminal import Terminal

CHARGE = "com.example.pay.PayService/Charge"
BODY = b'{"amount_cents": 1250, "currency": "EUR"}'


@pytest.fixture
def g(make):
    g = make().start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    return g


def environment(g, **more):
    plain = {k: v for k, v in os.environ.items() if k not in ("LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR")}
    return dict(plain, GRAYLING_CONTROL=str(g.run / "control.sock"), TERM="xterm", **more)


def get(g, *args, **env):
    return subprocess.run([BUILD / "grayctl", "get", *args], env=environment(g, **{"LC_ALL": "C.UTF-8", **env}), capture_output=True, text=True)


def roll_out(g):
    """1.1.0 at a quarter of the traffic, until somebody promotes it."""
    steps = [{"weight": 25}, {"pause": {}}, {"weight": 100}]
    g.want({"pay": g.document(MODULES / "pay-1.1.0.so", strategy={"steps": steps, "sticky": "header:x-user-id"})})
    g.wait_event(lambda e: e.get("module") == "pay" and e.get("phase") == "Paused")


def promote(g):
    assert subprocess.run([BUILD / "grayctl", "promote", "pay", "--full", "--local"], env=environment(g), capture_output=True).returncode == 0


def test_a_terminal_sees_the_rollout_go_by(g):
    t = Terminal([BUILD / "grayctl", "get", "pay", "-w"], environment(g, LC_ALL="C.UTF-8"), columns=140)
    try:
        t.expect("✔ Healthy.*Stable.*Next: ")
        with Traffic(g, CHARGE, BODY, clients=2):
            at = len(t.text)
            roll_out(g)
            t.expect("‖ Paused\x1b\\[0m  step 2/3", at)
            t.expect("Strategy: 25 → 100, bake 300ms.*Sticky: header x-user-id", at)
            t.expect("├─ 1.1.0 [0-9a-f]{4}…[0-9a-f]{2} .*Candidate.*in flight [0-9]+, errors 0.0 %, p99 [0-9]", at)
            t.expect("│  └─ analysis .*n=[0-9]", at)
            t.expect("set 25 %   observed [0-9.]+ %", at)
            t.expect(re.escape("Next: grayctl promote pay | grayctl abort pay | grayctl undo pay --to 1.0.0"), at)
            promote(g)
            g.wait_phase("pay", "Healthy")
            t.expect("✔ Healthy.*1\\.1\\.0 .*Stable", len(t.text))
        assert "\x1b[J" in t.text  # drawn over the one before
        t.send("\x03")
        while t.read():
            pass
    finally:
        assert t.end() in (130, -15)


@pytest.mark.parametrize("columns,there,gone", [(120, ["KIND", "AGE"], []), (99, ["AGE"], ["KIND"]), (79, [], ["KIND", "AGE"])])
def test_narrow_terminals_lose_columns_and_no_line_wraps(g, columns, there, gone):
    t = Terminal([BUILD / "grayctl", "get", "pay"], environment(g, LC_ALL="C.UTF-8"), columns=columns)
    while t.read():
        pass
    assert t.end() == 0
    title = next(line for line in t.plain().splitlines() if line.startswith("NAME"))
    assert all(c in title for c in there) and not any(c in title for c in gone), title
    assert max(map(len, t.plain().splitlines())) <= columns


def test_without_a_terminal_a_change_is_a_line(g):
    p = subprocess.Popen([BUILD / "grayctl", "get", "pay", "-w"], env=environment(g, LC_ALL="C.UTF-8"), stdout=subprocess.PIPE, text=True)
    try:
        assert re.fullmatch(r"20\S+Z pay Healthy  stable 1\.0\.0\n", p.stdout.readline())
        roll_out(g)
        seen = []
        while not seen or "Paused  step 2/3  weight 25 %  stable 1.0.0  candidate 1.1.0" not in seen[-1]:
            seen.append(p.stdout.readline())
            assert re.match(r"20\S+Z pay \w+ ", seen[-1]), seen
        promote(g)
        while "Healthy  stable 1.1.0" not in seen[-1]:
            seen.append(p.stdout.readline())
        plain = [line.split(" ", 1)[1] for line in seen]
        assert all(a != b for a, b in zip(plain, plain[1:])) and "\x1b" not in "".join(seen), seen
    finally:
        p.terminate()
        p.wait()


def test_the_locale_decides_about_ascii_and_the_terminal_about_colour(g):
    plain = get(g, "pay", LC_ALL="C")
    assert plain.returncode == 0 and plain.stdout.isascii() and "`- 1.0.0 " in plain.stdout and "+ Stable" in plain.stdout
    unicode = get(g, "pay")
    assert "└─ 1.0.0" in unicode.stdout and "\x1b" not in unicode.stdout
    colored = get(g, "pay", "--color", "always")
    assert "\x1b[32m✔ Stable\x1b[0m" in colored.stdout
    assert re.sub(r"\x1b\[\d*m", "", colored.stdout).split("Age")[0][:60] == unicode.stdout.split("Age")[0][:60]


def test_watching_as_json_is_a_line_per_change(g):
    p = subprocess.Popen([BUILD / "grayctl", "get", "pay", "-w", "-o", "json"], env=environment(g), stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(p.stdout.readline())["stable"]["version"] == "1.0.0"
        roll_out(g)
        while (json.loads(p.stdout.readline())["candidate"] or {}).get("version") != "1.1.0":
            pass
    finally:
        p.terminate()
        p.wait()


def test_a_module_that_is_not_there_and_a_daemon_that_is_away(g):
    nobody = get(g, "nobody")
    assert nobody.returncode == 3 and "grayctl list" in nobody.stderr
    assert get(g, "pay", "--control", "/nowhere.sock").returncode == 7
