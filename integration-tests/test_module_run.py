"""grayctl module run: one module behind a front door, for its author; nothing is left of it, however it ends."""
import contextlib
import http.client
import json
import os
import pathlib
import select
import shlex
import shutil
import signal
import subprocess
import time

import pytest

from harness import BUILD, MODULES, PATIENCE, free_port

PAY = [MODULES / f"pay-1.{n}.0.so" for n in range(3)]
CHARGE = "/com.example.pay.PayService/Charge"


def below(pid):
    with contextlib.suppress(FileNotFoundError):
        children = [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return children + [g for c in children for g in below(c)]
    return []


class Run:
    def __init__(self, tmp, *args, ready=True):
        self.tmp = tmp / "tmp"
        self.tmp.mkdir(exist_ok=True)
        self.port = free_port()
        self.process = subprocess.Popen([BUILD / "grayctl", "module", "run", *args, "--listen", f"127.0.0.1:{self.port}"],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=str(self.tmp)))
        self.text = {"stdout": "", "stderr": ""}
        if ready:
            self.expect("serves at")
            self.expect("curl ")
            self.pids = [self.process.pid, *below(self.process.pid)]
            self.named = {"outer guard": self.pids[0], "inner guard": self.pids[1], "runner": self.pids[2]}
            for pid in reversed(self.pids):  # parents stand before their children
                self.named[pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] = pid

    def expect(self, what, stream="stdout"):
        """Until the stream has it; it is cut off behind it."""
        pipes = {self.process.stdout.fileno(): "stdout", self.process.stderr.fileno(): "stderr"}
        deadline = time.monotonic() + PATIENCE
        while what not in self.text[stream]:
            ready, _, _ = select.select(pipes, [], [], max(0, deadline - time.monotonic()))
            assert ready, (what, self.text)
            for fd in ready:
                more = os.read(fd, 65536).decode()
                self.text[pipes[fd]] += more
                if not more:
                    del pipes[fd]
            assert pipes or what in self.text[stream], (what, self.text)
        before, _, self.text[stream] = self.text[stream].partition(what)
        return before + what

    def call(self, path=CHARGE, body="{}"):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            c.request("POST", path, body, {"content-type": "application/json"})
            r = c.getresponse()
            return r.status, r.getheader("x-grayling-version"), r.read().decode()
        finally:
            c.close()

    def nothing_is_left(self):
        """Whoever is not our child ends at some time after the kill: its end is an event of its pidfd."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                assert select.select([fd], [], [], PATIENCE)[0], pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                os.close(fd)
        assert list(self.tmp.iterdir()) == []  # a guard removes it before it ends
        with pytest.raises(OSError):
            self.call()


@pytest.fixture
def run(tmp_path):
    made = []

    def start(*args, **more):
        made.append(Run(tmp_path, *args, **more))
        return made[-1]
    yield start
    for r in made:
        r.process.kill()
        r.process.wait()


def test_it_serves_tells_each_request_and_drains(run):
    r = run(PAY[0], "--module-config", '{"currency": "USD"}')
    assert r.call(body='{"amount_cents": 5}')[0] == 200
    assert f"POST {CHARGE} 200" in r.expect("pay 1.0.0\n")
    assert r.call("/nobody.Here/Method?secret=1")[0] == 404
    assert "secret" not in r.expect("POST /nobody.Here/Method 404 ")
    os.kill(r.process.pid, signal.SIGINT)
    assert r.process.wait(PATIENCE) == 130
    r.nothing_is_left()
    assert "draining" in r.process.stderr.read().decode() + r.text["stderr"]


def test_the_curl_line_that_it_prints_is_answered(run):
    r = run(PAY[0])
    r.text["stdout"] = "curl " + r.text["stdout"]
    line = r.expect("Charge\n")
    assert "charged" in subprocess.run(shlex.split(line), capture_output=True, text=True, check=True).stdout
    os.kill(r.process.pid, signal.SIGTERM)
    assert r.process.wait(PATIENCE) == 0
    r.nothing_is_left()


def test_a_request_in_flight_is_answered(run):
    r = run(PAY[0], "--module-config", '{"work_us": 1000000}')
    c = http.client.HTTPConnection("127.0.0.1", r.port, timeout=PATIENCE)
    c.request("POST", CHARGE, '{"amount_cents": 5}', {"content-type": "application/json"})
    busy = http.client.HTTPConnection("127.0.0.1", r.port, timeout=PATIENCE)
    busy.request("POST", "/com.example.pay.PayService/Refund", "{}", {"content-type": "application/json"})
    busy.getresponse().read()  # what was sent before on another connection has been accepted
    os.kill(r.process.pid, signal.SIGINT)
    assert c.getresponse().status == 200
    assert r.process.wait(PATIENCE) == 130
    r.nothing_is_left()


def test_a_second_signal_does_not_wait_for_the_drain(run):
    r = run(PAY[0])
    os.kill(r.named["graylingd"], signal.SIGSTOP)  # graylingd would drain for ever
    os.kill(r.process.pid, signal.SIGINT)
    r.expect("draining", "stderr")
    os.kill(r.process.pid, signal.SIGINT)
    assert r.process.wait(PATIENCE) == 130
    r.nothing_is_left()


@pytest.mark.parametrize("victim", ["outer guard", "inner guard", "runner", "graylingd", "grayling-worker"])
def test_kill_9_leaves_nothing_behind(run, victim):
    r = run(PAY[0])
    os.kill(r.named[victim], signal.SIGKILL)
    if victim == "grayling-worker":  # that is what the instance is for: another one serves
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if r.call()[0] == 200:
                    break
        r.pids += below(r.process.pid)
        os.kill(r.process.pid, signal.SIGTERM)
    status = r.process.wait(PATIENCE)
    assert status == {"outer guard": -9, "graylingd": 1, "grayling-worker": 0}.get(victim, 130)
    r.nothing_is_left()


def test_a_changed_file_is_served_without_a_lost_request(run, tmp_path):
    so = tmp_path / "pay.so"
    shutil.copy(PAY[0], so)
    r = run(so, "--watch")
    assert r.call()[1] == "1.0.0"
    (tmp_path / "new").write_bytes(b"no module")
    os.replace(tmp_path / "new", so)
    r.expect("error: NotAModule", "stderr")
    assert r.call()[1] == "1.0.0"
    shutil.copy(MODULES / "echo-1.0.0.so", so)
    r.expect("is echo now, expected pay", "stderr")
    shutil.copy(PAY[1], so)
    r.expect("pay 1.1.0 serves", "stderr")
    assert r.call()[1] == "1.1.0"


def test_a_crash_is_shown_and_the_module_goes_on(run):
    r = run(PAY[2])
    answers = [r.call()[0] for _ in range(160)]  # every 50th dereferences NULL; no breaker opens
    assert answers.count(500) in (2, 3) and answers.count(500) + answers.count(200) == 160, answers  # a fresh worker counts anew
    assert "SIGSEGV" in r.expect("Charge", "stderr") + r.expect("\n", "stderr")


@pytest.mark.parametrize("words,status,sentence", [
    (["no-such.so"], 3, "no-such.so"),
    ([__file__], 5, "NotAModule"),
    ([MODULES / "faulty-wrong-abi-1.0.0.so"], 5, "AbiIncompatible"),
    ([PAY[0], "--module-config", '{"currncy": "EUR"}'], 5, "InitFailed"),
    ([PAY[0], "--module-config", '{"currency": '], 5, "--module-config"),
    ([PAY[0], "--listen", "8081"], 2, "expected IPV4:PORT"),
    (["--watch"], 2, "usage: grayctl module"),
])
def test_what_cannot_be_served_is_refused_with_a_sentence(tmp_path, words, status, sentence):
    r = subprocess.run([BUILD / "grayctl", "module", "run", "--listen", f"127.0.0.1:{free_port()}", *map(str, words)], capture_output=True, text=True,
                       env=dict(os.environ, TMPDIR=str(tmp_path)), timeout=PATIENCE)
    assert (r.returncode, list(tmp_path.iterdir())) == (status, []) and sentence in r.stderr, r


def test_a_taken_port_is_said(run, tmp_path):
    r = run(PAY[0])
    second = subprocess.run([BUILD / "grayctl", "module", "run", PAY[0], "--listen", f"127.0.0.1:{r.port}"], capture_output=True, text=True,
                            timeout=PATIENCE)
    assert second.returncode == 1 and f"127.0.0.1:{r.port}" in second.stderr and "in use" in second.stderr, second


def test_module_new_takes_no_option_of_run(tmp_path):
    r = subprocess.run([BUILD / "grayctl", "module", "new", "hello", "--watch"], capture_output=True, text=True, cwd=tmp_path)
    assert r.returncode == 2 and "module run" in r.stderr and not list(tmp_path.iterdir())


def test_the_access_log_is_off_unless_asked_for(make):
    g = make().start()
    g.deploy("pay", PAY[0])
    assert g.call(CHARGE[1:])[0] == 200
    assert '"status"' not in g.log()
    g.stop()
    g.sets.append("Dispatch.AccessLog=yes")
    g.start()
    g.until(lambda: g.call(CHARGE[1:], headers={"x-request-id": "r-1", "authorization": "planted"})[0] == 200)
    g.until(lambda: '"status":"200"' in g.log())
    line = json.loads(next(x for x in g.log().splitlines() if '"status":"200"' in x))
    assert (line["http_method"], line["path"], line["role"], line["request_id"], line["module"], line["version"]) == \
        ("POST", CHARGE, "stable", "r-1", "pay", "1.0.0") and int(line["duration_usec"]) >= 0
    assert "planted" not in g.log()
