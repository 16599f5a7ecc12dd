#!/usr/bin/env python3
"""Plays a document: its blocks of commands, in order, in one shell.

    documents.py FILE.md [SOURCE-TREE]    plays it as it stands, and says how long each block took

A block of commands is fenced as ```sh. What else may stand behind it:
    background       goes on while the next blocks run, once it says that it is ready; ended with the document
    elsewhere=FILE   is not run here: FILE runs it (test_documents.py looks that it names each command)
"""
import contextlib
import os
import pathlib
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

FENCE = re.compile(r"^```(.*)\n((?:(?!```).*\n)*)```$", re.M)
READY_WORDS = "serves at"  # of what does not tell the service manager
PATIENCE = 420.0  # longer than any timeout in a document, so that the command itself says what it waited for


class Block:
    def __init__(self, document, line, info, text):
        self.document, self.line, self.text = document, line, text
        words = info.split()
        self.language = words[0] if words else ""
        self.background = "background" in words
        self.elsewhere = next((w.partition("=")[2] for w in words if w.startswith("elsewhere=")), None)

    def __str__(self):
        return f"{self.document}:{self.line}"


def blocks(path):
    text = pathlib.Path(path).read_text()
    return [Block(path, text.count("\n", 0, m.start()) + 2, m[1].strip(), m[2]) for m in FENCE.finditer(text)]


class Shell:
    """One bash for a document, and what runs beside it."""

    def __init__(self, cwd, env, change=lambda text: text, say=lambda text: None, patience=PATIENCE):
        self.cwd, self.env, self.change, self.say, self.patience, self.beside = str(cwd), env, change, say, patience, []
        self.state = tempfile.NamedTemporaryFile(prefix="grayling-doc-", mode="w+")
        self.state.write(f"cd {shlex.quote(self.cwd)}\n")
        self.state.flush()

    def script(self, block):
        """Variables and the directory are carried from block to block; the first command that fails ends it."""
        keep = f"__status=$?; {{ declare -px; echo cd \"$PWD\"; }} >{self.state.name}.new; exit $__status"
        return f". {self.state.name}\nset -e -o pipefail\ntrap {shlex.quote(keep)} EXIT\n{self.change(block.text)}"

    def run(self, block):
        at = time.monotonic()
        command = ["bash", "-c", self.script(block)]
        try:
            r = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
                               timeout=self.patience)
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"{block} did not end within {self.patience:.0f} s:\n{block.text}\n{(e.output or b'').decode()}{self.said()}") from None
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.state.name + ".new", self.state.name)
        assert r.returncode == 0, f"{block} ended with {r.returncode}:\n{block.text}\n{r.stdout}{self.said()}"
        self.say(f"{time.monotonic() - at:6.1f} s  {block}\n{r.stdout}")
        return r.stdout

    def start(self, block):
        at = time.monotonic()
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.state.name + ".notify"
        notify.bind(path)
        log = tempfile.TemporaryFile("w+")
        told = not re.search(r"module run", block.text)
        read, write = os.pipe()
        p = subprocess.Popen(["bash", "-c", self.script(block)], env=dict(self.env, NOTIFY_SOCKET=path), stdout=log if told else write,
                             stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        os.close(write)
        self.beside.append((block, p, log, read))
        if re.search(r"graylingd|etcd|module run", block.text):
            self.await_ready(block, p, notify if told else read)
        notify.close()
        os.unlink(path)
        self.say(f"{time.monotonic() - at:6.1f} s  {block} goes on")

    def await_ready(self, block, p, channel):
        said, pidfd, deadline = "", os.pidfd_open(p.pid), time.monotonic() + PATIENCE
        while "READY=1" not in said and READY_WORDS not in said:
            ready, _, _ = select.select([channel, pidfd], [], [], max(0, deadline - time.monotonic()))
            if channel in ready:
                said += (channel.recv(4096) if isinstance(channel, socket.socket) else os.read(channel, 4096)).decode(errors="replace")
            assert channel in ready or pidfd in ready and not ready, f"{block} was not ready:\n{said}{self.said()}"
        os.close(pidfd)

    def said(self):
        text = ""
        for block, p, log, _ in self.beside:
            log.seek(0)
            text += f"\n{block} said{'' if p.poll() is None else f', ended with {p.returncode}'}:\n" + log.read()[-3000:]
        return text

    def end(self):
        """What goes on is ended as a person would, last things first; what does not listen is killed."""
        for _, p, log, read in reversed(self.beside):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGTERM)
            try:
                p.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
            log.close()
            os.close(read)
        self.state.close()


def play(document, shell, also_elsewhere=False):
    try:
        for block in blocks(document):
            if block.language != "sh" or (block.elsewhere and not also_elsewhere):
                continue
            if block.background:
                shell.start(block)
            else:
                shell.run(block)
    finally:
        shell.end()


if __name__ == "__main__":
    tree = sys.argv[2] if len(sys.argv) > 2 else "."
    began = time.monotonic()
    play(sys.argv[1], Shell(pathlib.Path(tree).resolve(), dict(os.environ), say=lambda text: print(text, flush=True), patience=3600), also_elsewhere=True)
    print(f"{time.monotonic() - began:6.1f} s  in all")
