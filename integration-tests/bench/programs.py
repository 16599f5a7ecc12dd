#!/usr/bin/env python3
"""Runs one benchmark program and reports what it prints.

    programs.py NAME TITLE

NAME is below the build directory (bench/bench-guard). Asserts nothing about time; the whole takes seconds."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import BUILD  # noqa: E402

import report  # noqa: E402
from service import Noise  # noqa: E402


def main():
    name, title = sys.argv[1:]
    noise, load = Noise(), os.getloadavg()[0]
    figures = report.program(name)
    text = f"## {title}\n\n{report.machine(load, noise.share())}\n\n{figures}\n"
    output = BUILD / f"bench/{pathlib.Path(name).name.removeprefix('bench-')}.md"
    output.parent.mkdir(exist_ok=True)
    output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
