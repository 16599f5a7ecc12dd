"""Fixtures: a directory, an etcd, and a way to make supervisors that all end with the test."""
import contextlib
import os
import pathlib
import signal
import tempfile

import pytest

from harness import Etcd, Grayling


@pytest.fixture
def root():
    with tempfile.TemporaryDirectory(prefix="grayling-") as d:
        os.chmod(d, 0o755)
        yield pathlib.Path(d)


@pytest.fixture
def etcd(root):
    e = Etcd(root)
    yield e
    e.stop()


@pytest.fixture
def make(root):
    made = []

    def build(etcd=None, **more):
        sub = root / f"g{len(made)}"
        sub.mkdir()
        g = Grayling(sub, etcd, **more)
        made.append(g)
        return g

    yield build
    for g in made:
        with contextlib.suppress(Exception):
            g.stop()
        worker = g.kill()
        if worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


@pytest.fixture
def grayling(make, etcd):
    return make(etcd).start()
