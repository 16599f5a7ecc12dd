"""A hostile module in a process of its own: what it tries to reach is refused, and what it writes over its ring harms nobody else."""
import ctypes
import json
import re

from harness import MODULES, Traffic

POKE = "com.example.faulty.FaultyService/Poke"
ECHO = "com.example.echo.EchoService/Echo"
EPERM, EACCES = 1, 13
FILES = {"read", "create", "store", "mem"}  # what Landlock keeps


def landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0  # landlock_create_ruleset: the version


def worker(g):
    return g.status()["worker"]["pid"]


def hostile(g, **config):
    g.deploy("faulty", MODULES / "faulty-1.2.0.so", config=config)


def test_nothing_outside_is_reached(make):
    g = make().start()
    hostile(g, mode="escape")
    before = worker(g), g.module("faulty")["stable"]["pid"]
    status, _, body = g.call(POKE)
    said = {name: int(why) for name, why in re.findall(r"([a-z-]+)=(\d+)", json.loads(body)["message"])}
    expected = {name: EACCES if name in FILES else EPERM for name in said}
    if not landlock():  # this kernel does not keep modules from files
        for name in FILES:
            del said[name], expected[name]
    assert (status, len(said) >= 8, said) == (409, True, expected), body
    assert (worker(g), g.module("faulty")["stable"]["pid"]) == before


def test_a_scribbled_ring_harms_nobody_else(make):
    """Every number of every slot, at random and at any moment: others are served, by the same worker, without one bad answer."""
    g = make(sets=["Dispatch.CallGrace=100ms", "Dispatch.BreakerFaults=0"]).start()
    g.deploy("echo", MODULES / "echo-1.0.0.so")
    before = worker(g)
    with Traffic(g, ECHO, b'{"n":1}', clients=2) as other:
        hostile(g, mode="scribble", every=2)
        with Traffic(g, POKE, clients=3) as t:
            t.await_turns(40)
            _, _, lost = t.take()
            assert lost == [], lost  # whatever it is, each call has an answer
        other.assert_served("1.0.0")
    assert worker(g) == before, g.log()
    assert "faulty has scribbled over its ring" in (g.root / "graylingd.log").read_text(errors="replace")
    g.deploy("faulty", MODULES / "faulty-1.0.0.so")
    assert g.call(POKE)[0] == 200 and worker(g) == before
