"""The tree builds without a warning with clang, builds in release mode with gcc, and the dispatch library is clean under ThreadSanitizer."""
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


def test_release_builds(tmp_path):
    # no -Werror: what gcc guesses of truncation at -O3 changes with its version; gcc's errors are those of the test build
    build(tmp_path, "-DCMAKE_BUILD_TYPE=Release")
    assert (tmp_path / "graylingd").exists() and (tmp_path / "modules" / "pay-1.0.0.so").exists()


def test_dispatch_under_tsan(tmp_path):
    # no -Werror: the sanitizer's own instrumentation makes gcc see uninitialised variables that are not
    build(tmp_path, "-DCMAKE_BUILD_TYPE=Debug", "-DGRAYLING_SANITIZE=thread", targets=["supervisor/dispatch/all"])
    r = subprocess.run(["ctest", "--test-dir", tmp_path, "-R", "unit.dispatch", "--output-on-failure"], stdout=subprocess.PIPE, text=True)
    assert r.returncode == 0, r.stdout[-6000:]
