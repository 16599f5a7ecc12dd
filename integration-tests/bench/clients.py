"""The load: runs bench-http and bench-grpc, and reads what they say. Every run has a bound in count and time."""
import contextlib
import json
import subprocess
import threading
import time

from harness import BUILD, PATIENCE

CONNECTIONS = 64  # keep-alive connections of the HTTP client
CHANNELS = 8  # connections of the gRPC client, over which calls are multiplexed

ECHO = "/com.example.echo.EchoService/Echo"
CHARGE = "/com.example.pay.PayService/Charge"
BODY = {CHARGE: json.dumps({"amount_cents": 1250, "currency": "EUR"})}  # else 64 bytes of JSON


def http_arguments(port, path, rate, seconds, header=None):
    data = ["--data", BODY[path]] if path in BODY else []
    data += ["--header", header] if header else []
    return [str(BUILD / "bench/bench-http"), "--port", str(port), "--path", path, "--rate", str(rate), "--seconds", str(seconds),
            "--connections", str(CONNECTIONS), *data]


def finish(argv):
    run = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
    if run.returncode != 0:
        raise RuntimeError(f"{argv[0]}: {run.stderr.strip()}")
    return json.loads(run.stdout)


def http(port, path, rate, seconds, header=None):
    return finish(http_arguments(port, path, rate, seconds, header))


def grpc(port, rate, seconds):
    return finish([str(BUILD / "bench/bench-grpc"), str(port), str(rate), str(seconds), str(CHANNELS)])


def failed(result):
    return sum(result["failed"].values())


class Load:
    """HTTP load beside something that changes; windows are told while it runs, it ends with the block. `interest` names a header:
    `seen` is every change of its value as (value, time), in seconds of time.monotonic(), and `runs` how long the value before had come:
    (value, how often in a row, time of the last). `users` gives requests an x-user-id, by turns."""

    def __init__(self, port, path, rate, interest, seconds=300, users=0):
        argv = [*http_arguments(port, path, rate, seconds), "--interest", interest, "--control", *(["--users", str(users)] if users else [])]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen, self.runs, self.result, self.changed = [], [], None, threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                if line.startswith("answer "):
                    _, value, nsec, last, run = line.rsplit("\n", 1)[0].split(" ")
                    if self.seen:
                        self.runs.append((self.seen[-1][0], int(run), int(last) / 1e9))
                    self.seen.append((value, int(nsec) / 1e9))
                else:
                    self.result = json.loads(line)
                self.changed.notify_all()

    def window(self, begin, end):
        self.process.stdin.write(f"window {int(begin * 1e9)} {int(end * 1e9)}\n")
        self.process.stdin.flush()

    def first_answer(self, value, after):
        """When the first answer with this value was read, at or after the time `after`."""
        def found():
            return next((at for v, at in self.seen if v == value and at >= after), None)
        with self.changed:
            if not self.changed.wait_for(found, PATIENCE):
                raise RuntimeError(f"no answer by {value} came within {PATIENCE:.0f} s")
            return found()

    def __enter__(self):
        with self.changed:
            if not self.changed.wait_for(lambda: self.seen, PATIENCE):
                raise RuntimeError("no request of the load was answered")
        return self

    def __exit__(self, kind, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()  # the client drains and prints
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(PATIENCE)
        if kind is None and self.result is None:
            raise RuntimeError(f"the load ended with status {self.process.returncode} and without a result")


class Schedule:
    """Due times at a fixed distance, as the load's own: what took longer than its turn does not move the next one closer."""

    def __init__(self, seconds):
        self.every, self.due = seconds, time.monotonic()
        self.never = threading.Event()

    def wait(self):
        self.never.wait(max(0, self.due - time.monotonic()))
        self.due = max(self.due, time.monotonic()) + self.every
