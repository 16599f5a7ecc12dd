"""kill -9 of either process at any time: what serves is wholly the old or wholly the new version, and listening sockets never refuse."""
import contextlib
import json
import os
import pathlib
import signal

import pytest

from harness import MODULES, PATIENCE, Traffic

CHARGE = "com.example.pay.PayService/Charge"
BODY = json.dumps({"amount_cents": 1250, "currency": "EUR"})


def test_worker_killed_under_load(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    with Traffic(grayling, CHARGE, BODY, clients=4) as t:
        for _ in range(3):
            pid = grayling.status()["worker"]["pid"]
            os.kill(pid, signal.SIGKILL)
            grayling.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])
    # a killed worker costs at most the calls in flight: one for each client and kill
    assert len(t.lost) <= 3 * 4, t.lost
    assert all("refused" not in x.lower() for x in t.lost), t.lost
    assert set(t.codes) == {200} and set(t.versions) == {"1.0.0"}


def test_sigusr2_replaces_the_worker_without_losing_a_request(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    with Traffic(grayling, CHARGE, BODY, clients=4) as t:
        for _ in range(3):
            before = grayling.status()["worker"]["pid"]
            grayling.process.send_signal(signal.SIGUSR2)
            grayling.wait_event(lambda e: e["message"].startswith("worker ") and "serves" in e["message"])
            assert grayling.status()["worker"]["pid"] != before
    assert t.lost == [] and set(t.codes) == {200}


def test_supervisor_killed_under_load(grayling):
    grayling.deploy("pay", MODULES / "pay-1.0.0.so")
    grayling.deploy("pay", MODULES / "pay-1.1.0.so")
    with Traffic(grayling, CHARGE, BODY, clients=4) as t:
        grayling.process.kill()
        grayling.process.wait()
        grayling.start()
        assert grayling.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.1.0"
    assert t.lost == [] and set(t.codes) == {200} and set(t.versions) == {"1.1.0"}


def workers(g):
    """All workers that a supervisor of g ever started and that still live: {pid: pidfd}."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text() == "grayling-worker\n":
                pidfd = os.pidfd_open(int(entry.name))
                if f"NOTIFY_SOCKET={g.root}/".encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = pidfd
                else:
                    os.close(pidfd)
    return found


def pids(g):
    found = workers(g)
    for pidfd in found.values():
        os.close(pidfd)
    return list(found)


@pytest.mark.parametrize("point", ["worker.spawn", "worker.before-hello", "worker.after-hello", "crew.load"])
def test_supervisor_killed_while_its_worker_begins(make, point):
    """However far the worker had come, it keeps no address from the next supervisor, and it ends."""
    g = make().start()
    g.deploy("pay", MODULES / "pay-1.0.0.so")
    assert g.stop() == 0
    g.start(wait=False, env={"GRAYLING_FAULT": f"{point}:1:kill"})
    assert g.process.wait(PATIENCE) == -signal.SIGKILL
    g.start()
    assert g.call(CHARGE, BODY)[1]["x-grayling-version"] == "1.0.0"
    # One that was just born has no name yet, so that a list of who is left at the death may lack it.
    g.until(lambda: pids(g) == [g.status()["worker"]["pid"]], lambda: f"workers {pids(g)} stayed")
    assert len([*g.state.glob("worker*.sock")]) == 1


def test_a_stop_amid_a_replacement_ends(grayling):
    """SIGTERM comes just when a worker is replaced because a module faulted in it: the supervisor hears of every worker's end, and ends."""
    grayling.deploy("faulty", MODULES / "faulty-1.0.0.so")
    for turn in range(6):
        build = grayling.incoming / f"build-{turn}.so"
        build.write_bytes((MODULES / "faulty-1.1.0.so").read_bytes() + str(turn).encode())
        with Traffic(grayling, "com.example.faulty.FaultyService/Poke", clients=2):
            grayling.want({"faulty": grayling.document(build, version="1.1.0", config={"mode": "handle-crash", "every": 20})})
            grayling.wait_phase("faulty", "RolledBack")
        assert grayling.stop() == 0, grayling.log()
        assert [*grayling.run.glob("worker*.sock"), *grayling.state.glob("worker*.sock")] == []
        grayling.want({"faulty": grayling.document(MODULES / "faulty-1.0.0.so", reason=str(turn))})
        grayling.start()
