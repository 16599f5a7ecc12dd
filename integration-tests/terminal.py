"""A program on a terminal of its own, as a person sees it. Waits for what the program prints, never for a duration."""
import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from harness import PATIENCE

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>()][A-Z0-9]?|\r")


class Terminal:
    def __init__(self, args, env, columns=120, rows=40, cwd=None):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                if cwd:
                    os.chdir(cwd)
                os.execvpe(args[0], [str(a) for a in args], env)
            os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.fd, text.encode())

    def read(self, patience=PATIENCE):
        """More of what the program says; False: it ended."""
        ready, _, _ = select.select([self.fd], [], [], patience)
        assert ready, f"nothing came for {patience} s after:\n{self.text}"
        try:
            data = os.read(self.fd, 65536)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern, start=0):
        """Reads until the pattern is in the text from `start` on; returns the match."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.compile(pattern, re.S).search(self.text, start)
            if found:
                return found
            assert time.monotonic() < deadline and self.read(), f"expected {pattern} in:\n{self.text[start:]}"

    def plain(self):
        return CONTROL.sub("", self.text)

    def end(self, sig=signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, sig)
        with contextlib.suppress(OSError):
            while os.read(self.fd, 65536):
                pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
