"""What the build makes out of the tables of the programs: completion in real shells, manual pages that render."""
import os
import re
import shutil
import subprocess

import pytest

from harness import BUILD, MODULES, SOURCE
from terminal import Terminal

HAND = sorted((SOURCE / "docs/man").iterdir())
PAGES = [BUILD / "man/grayctl.1", BUILD / "man/grayling.conf.5", *HAND]
BASH = ["bash", "--norc", "--noprofile", "-i"]
ZSH = ["zsh", "-f", "-i"]


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """A supervisor with one module, whose name the shells have to ask for."""
    from harness import Grayling
    g = Grayling(tmp_path_factory.mktemp("manual")).start()
    try:
        g.deploy("pay", MODULES / "pay-1.0.0.so")
        yield g
    finally:
        g.stop()
        g.kill()


@pytest.fixture
def env(serving):
    return dict(os.environ, PATH=f"{BUILD}:{os.environ['PATH']}", TERM="dumb", PS1="> ", HOME=str(serving.root), LC_ALL="C.UTF-8",
                GRAYLING_CONTROL=str(serving.run / "control.sock"))


def typed(shell, env, setup, lines, cwd):
    """What is typed is run by the shell as it was completed; without completion it would be refused."""
    t = Terminal(shell, env, cwd=cwd)
    try:
        t.send(setup + "; echo rea''dy\r")
        t.expect("\nready")
        for line, answer in lines:
            at = len(t.text)
            t.send(line + "\r")
            t.expect(answer, at)
    finally:
        t.end(9)


LINES = [
    ("grayctl prom\t --help", "Usage: grayctl promote MODULE"),
    ("grayctl get p\t -o name", r"\npay\r"),
    ("grayctl promote --over\t --help", "Usage: grayctl promote MODULE"),
    ("grayctl list -o js\t", r"\[\r\n|\"module\":\s*\"pay\""),
    ("grayctl config ca\t --running", r"\[Service\]"),
    ("grayctl inspect pay-\t -o name", "sha256:[0-9a-f]{64}"),
]
SHELLS = [
    pytest.param(BASH, f"source {BUILD}/completions/grayctl", marks=needs("bash"), id="bash"),
    pytest.param(ZSH, f"fpath=({BUILD}/completions $fpath); autoload -Uz compinit; compinit -u -D", marks=needs("zsh"), id="zsh"),
]


@pytest.mark.parametrize("shell,setup", SHELLS)
def test_a_shell_completes(env, shell, setup, tmp_path):
    shutil.copy(MODULES / "pay-1.0.0.so", tmp_path)
    (tmp_path / "pay-1.0.0.txt").write_text("no module")
    typed(shell, env, setup, LINES, tmp_path)


@needs("fish")
def test_fish_completes(env, tmp_path):
    env = dict(env, XDG_CONFIG_HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path))

    def complete(line):
        r = subprocess.run(["fish", "--no-config", "-c", f"source {BUILD}/completions/grayctl.fish; complete -C {line!r}"], env=env,
                           capture_output=True, text=True, check=True)
        return {c.split("\t")[0]: c.partition("\t")[2] for c in r.stdout.splitlines()}

    assert complete("grayctl prom") == {"promote": "To the next step of its rollout"}
    assert complete("grayctl get ") == {"pay": "Healthy"}
    assert set(complete("grayctl list -o js")) == {"json", "jsonl"}
    assert set(complete("grayctl list --output=js")) == {"--output=json", "--output=jsonl"}
    assert set(complete("grayctl config ")) == {"cat", "check"}
    assert complete("grayctl undo pay --to ") == {"1.0.0": "Healthy"}
    (tmp_path / "there.conf").write_text("")
    assert f"{tmp_path}/there.conf" in complete(f"grayctl config check --config {tmp_path}/th")


def test_completion_does_not_wait_for_a_daemon_that_is_away(env):
    r = subprocess.run([BUILD / "grayctl", "__complete", "get", ""], env=dict(env, GRAYLING_CONTROL="/nowhere.sock"), capture_output=True, text=True)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_page_renders_without_a_warning(page):
    r = subprocess.run(["groff", "-ww", "-mandoc", "-Tutf8", str(page)], capture_output=True, text=True, env=dict(os.environ, LC_ALL="C.UTF-8"))
    assert (r.returncode, r.stderr) == (0, "") and len(r.stdout) > 1000
    if shutil.which("mandoc"):
        r = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(page)], capture_output=True, text=True)
        assert (r.returncode, r.stdout + r.stderr) == (0, "")


def text_of(page):
    out = subprocess.run(["groff", "-mandoc", "-Tascii", "-P-cbou", "-rLL=200n", str(page)], capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s+", " ", out)


def test_grayctl_1_has_every_verb_and_its_examples(env):
    text = text_of(BUILD / "man/grayctl.1")
    verbs = [line.split("\t") for line in
             subprocess.run([BUILD / "grayctl", "__complete", ""], env=env, capture_output=True, text=True, check=True).stdout.splitlines()]
    assert len(verbs) > 25
    for name, summary in verbs:
        help = subprocess.run([BUILD / "grayctl", name, "--help"], env=env, capture_output=True, text=True, check=True).stdout
        example = help.split("Examples:\n")[1].splitlines()[0].strip()
        assert f"{summary}." in text and example in text, name


def test_grayling_conf_5_has_every_key(serving, env):
    text = text_of(BUILD / "man/grayling.conf.5")
    shown = subprocess.run([BUILD / "grayctl", "config", "cat", "--running"], env=env, capture_output=True, text=True, check=True).stdout
    keys = re.findall(r"^(\w+)=", shown, re.M)
    assert len(keys) > 15
    for key in keys:
        assert f" {key}= " in text, key


def test_references_lead_to_pages():
    """Every page that another names is there, or is one of systemd's."""
    known = {(p.name.rsplit(".", 1)[0], p.suffix[1:]) for p in PAGES}
    for page in PAGES:
        for name, section in re.findall(r"^\.(?:It )?Xr (\S+) (\d)", page.read_text(), re.M):
            assert (name, section) in known or name.startswith("systemd"), f"{page.name}: {name}({section})"


# --- pages written by hand, against what they tell of ---------------------------------------------------------------

FOR_TESTS = {"GRAYLING_FAULT", "GRAYLING_FAULT_TRACE", "GRAYLING_BOOT_ID", "GRAYLING_BUILD"}
BY_SYSTEMD = {"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"}  # read by libsystemd


def variables(*directories):
    """Of the environment, as the sources of a program ask for them."""
    found = set()
    for directory in directories:
        for path in (SOURCE / directory).rglob("*.c"):
            if not path.stem.endswith("-test") and path.parent.name not in ("live", "testing"):
                found |= set(re.findall(r'getenv\("(\w+)"\)', path.read_text())) | set(re.findall(r'"(GRAYLING_(?:CONFIG|CONTROL)|\w+_DIRECTORY)"', path.read_text()))
    return found - FOR_TESTS


def told_variables(page):
    return {v for line in re.findall(r"^\.It Ev (.*)$", page.read_text(), re.M) for v in re.split(r" ,(?: Ev)? ", line)}


def test_pages_have_each_variable_of_the_environment_and_no_other():
    daemon = variables("supervisor/base", "supervisor/control", "supervisor/state", "supervisor/rollout", "watchers", "verifier") | BY_SYSTEMD
    assert told_variables(SOURCE / "docs/man/graylingd.8") == daemon
    shown_otherwise = {"LC_ALL", "LC_CTYPE", "LANG", "XDG_STATE_HOME", "GRAYLING_LIBEXEC"}
    assert told_variables(BUILD / "man/grayctl.1") == variables("supervisor/cli") | shown_otherwise


def test_graylingd_8_has_each_option_and_signal():
    page = (SOURCE / "docs/man/graylingd.8").read_text()
    usage = subprocess.run([BUILD / "graylingd", "--help"], capture_output=True, text=True, check=True).stdout
    main = (SOURCE / "supervisor/control/graylingd-main.c").read_text()
    told = set(re.findall(r"Fl \\-([a-z\\-]+)", page))
    options = set(re.findall(r'^        \{"([a-z-]+)", ', main, re.M))
    assert {o.replace("\\", "") for o in told} == options == set(re.findall(r"--([a-z-]+)", usage))
    signals = set(re.findall(r"SIG\w+", re.search(r"signals\[\] = \{(.*?)\}", main)[1]))
    assert signals and set(re.findall(r"Dv (SIG\w+)|, Dv (SIG\w+)", page)) and all(f"Dv {s}" in page for s in signals), signals


def test_grayling_module_3_has_each_hook_function_and_code():
    header = (SOURCE / "modules/include/grayling/module.h").read_text()
    page = (SOURCE / "docs/man/grayling-module.3").read_text()
    names = re.findall(r"\(\*(\w+)\)\(", header)
    names = [n for n in names if not n.endswith("_fn")]
    assert len(names) > 15
    for name in names:
        assert re.search(rf"\.(?:It )?Fn {name}\b|, Fn {name}\b", page), name
    constants = re.findall(r"#define (GRAYLING_(?!MAGIC|ABI|EXPORT|HAS|MODULE_H)\w+)", header)
    assert len(constants) > 20
    for name in constants:
        assert f".Dv {name}" in page or f" {name}" in page, name
    request = re.search(r"struct grayling_request \{(.*?)\n\};", header, re.S)[1]
    for field in re.findall(r"(\w+);", re.sub(r"/\*.*?\*/", "", request, flags=re.S)):
        assert field in page, field


def test_statuses_are_all_there():
    page = (BUILD / "man/grayctl.1").read_text()
    assert re.findall(r"^\.It (\d+)$", page, re.M) == ["0", "1", "2", "3", "4", "5", "6", "7", "130"]
