"""The tree builds without a warning with clang, and the dispatch library is clean under ThreadSanitizer. An optimised build with gcc is what
test_systemd_packages.py installs."""
import os
import pathlib
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ["GRAYLING_SOURCE"])
JOBS = str(os.cpu_count())


def build(tmp_path, *options, targets=()):
    subprocess.run(["cmake", "-S", SOURCE, "-B", tmp_path, "-G", "Ninja", *options], check=True, stdout=subprocess.DEVNULL)
    r = subprocess.run(["ninja", "-C", tmp_path, "-j", JOBS, *targets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert r.returncode == 0, r.stdout[-4000:]


@pytest.mark.skipif(not shutil.which("clang"), reason="clang is not installed")
def test_clang_has_no_warning(tmp_path):
    build(tmp_path, "-DGRAYLING_WERROR=ON", "-DCMAKE_C_COMPILER=clang", "-DCMAKE_BUILD_TYPE=Debug")


def test_dispatch_under_tsan(tmp_path):
    # no -Werror: the sanitizer's own instrumentation makes gcc see uninitialised variables that are not
    build(tmp_path, "-DCMAKE_BUILD_TYPE=Debug", "-DGRAYLING_SANITIZE=thread", targets=["supervisor/dispatch/all"])
    r = subprocess.run(["ctest", "--test-dir", tmp_path, "-R", "unit.dispatch", "--output-on-failure"], stdout=subprocess.PIPE, text=True)
    assert r.returncode == 0, r.stdout[-6000:]
