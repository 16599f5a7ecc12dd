"""Every command in the documents is run: blocks in order, in a throw-away place; grayctl lines in the text at least parse."""
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from documents import Shell, blocks, play
from harness import BUILD, SOURCE, free_port

DOCUMENTS = [SOURCE / "README.md", *sorted((SOURCE / "docs").rglob("*.md"))]
PLAYED = [d for d in DOCUMENTS if any(b.language == "sh" for b in blocks(d))]
COMMAND = re.compile(r"^\s*(build/)?(grayctl|graylingd|etcdctl|cmake|ctest|curl|systemctl|journalctl|apt-get|\./demo|\./test) ", re.M)
WORDS = {"...": "", "[": " ", "]": " "}


def name(document):
    return str(document.relative_to(SOURCE))


class Place:
    """Ports, directories and prefixes of the text become ones of this run; everything else is as it stands."""

    def __init__(self, tmp):
        self.tmp, self.ports = tmp, {}
        self.tree = tmp / "tree"
        self.tree.mkdir()
        for entry in SOURCE.iterdir():
            if not entry.name.startswith((".", "build")):
                (self.tree / entry.name).symlink_to(entry)
        (self.tree / "build").symlink_to(BUILD)
        (self.tree / "demo").unlink()  # without installing and building, which has been done
        (self.tree / "demo").write_text('#!/bin/sh\nexec python3 integration-tests/demo.py "$@"\n')
        (self.tree / "demo").chmod(0o755)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("GRAYLING_C")}
        self.env |= {"PATH": f"{BUILD}:{os.environ['PATH']}", "CMAKE_PREFIX_PATH": str(tmp / "usr-local"), "HOME": str(tmp)}

    def port(self, match):
        return f"127.0.0.1:{self.ports.setdefault(match[1], free_port())}"

    def change(self, text):
        text = re.sub(r"127\.0\.0\.1:(\d+)", self.port, text)
        text = re.sub(r"(?<![\w.])/tmp/", f"{self.tmp}/", text)
        return text.replace("/usr/local", str(self.tmp / "usr-local"))


@pytest.mark.parametrize("document", PLAYED, ids=name)
def test_its_blocks_run(document, tmp_path):
    place = Place(tmp_path)
    play(document, Shell(place.tree, place.env, place.change))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_no_command_hides(document):
    """A block with a command in it is one that is run, an example with what it answers (a prompt), or is run by a file that names it."""
    for b in blocks(document):
        if b.language != "sh":
            assert not COMMAND.search(b.text), f"{b}: commands, so fence it as sh"
        elif b.elsewhere:
            there = (SOURCE / b.elsewhere).read_text()
            for line in filter(None, b.text.splitlines()):
                command = line.split("#")[0].strip()
                assert command in there, f"{b}: {b.elsewhere} does not have {command}"


def spans(document):
    """`grayctl ...` in running text, with its alternatives: `grayctl pause|resume MODULE` is two."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)
    for span in re.findall(r"`(?:build/)?grayctl ([^`]+)`", text):
        for mark, by in WORDS.items():
            span = span.replace(mark, by)
        verb, _, rest = span.partition(" ")
        for one in verb.split("|"):
            if not one.startswith("-"):  # an option that is spoken of without a verb
                yield [one, *shlex.split(rest)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_grayctl_in_the_text_is_one(document):
    for words in spans(document):
        r = subprocess.run([BUILD / "grayctl", *words, "--help"], capture_output=True, text=True)
        assert r.returncode == 0, f"grayctl {' '.join(words)}: {r.stderr}"
