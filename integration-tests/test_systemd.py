"""The installed service under a real systemd: its unit and sandbox, restarts and deaths under load, reload, journal, credentials."""
import http.client
import json
import os
import re
import socket
import subprocess

import pytest

from harness import BUILD, MODULES, PATIENCE, SOURCE, Etcd
from systemd_service import CHARGE, MSG_SAFE_MODE, MSG_STARTED, MSG_WORKER_STARTED, UNIT, Load, Service, installed

CONF = """[Service]
Name=order
[Source]
Etcd=
Directory=/etc/grayling/modules.d
[Dispatch]
Listen=127.0.0.1:8080
[Artifacts]
FileRoots=/etc/grayling/incoming
"""
MORE = f"""mkdir -p $1/etc/grayling/modules.d
cp {MODULES}/pay-1.0.0.so {MODULES}/pay-1.1.0.so $1/etc/grayling/incoming/
ln -s pay-1.1.0.so $1/etc/grayling/incoming/pay-link.so
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with installed(tmp_path_factory.mktemp("rig"), CONF, MORE) as rig:
        yield rig


@pytest.fixture
def service(rig):
    s = Service(rig)
    yield s.serve()
    left = list(s.drop_ins.iterdir())
    for d in left:
        d.unlink()
    if left:
        rig.run("systemctl", "try-restart", UNIT)


@pytest.fixture
def unit_drop_in(rig):
    """Adds lines to the unit until the end of the test."""
    directory = rig.path("/run/systemd/system/grayling.service.d")

    def add(text):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "more.conf").write_text(text)
        rig.run("systemctl", "daemon-reload")
        rig.run("systemctl", "restart", UNIT)

    yield add
    (directory / "more.conf").unlink()
    rig.run("systemctl", "daemon-reload")
    rig.run("systemctl", "restart", UNIT)


# --- the files, without a manager ---------------------------------------------------------------------------


def analyze(*args):
    return subprocess.run(["systemd-analyze", "--no-pager", *args], capture_output=True, text=True)


def test_the_unit_is_hardened():
    r = analyze("security", "--offline=yes", "--threshold=15", BUILD / "systemd" / UNIT)
    assert r.returncode == 0, r.stdout[-2000:] + r.stderr


def test_the_units_are_understood(tmp_path):
    """systemd-analyze exits 0 on a key it does not know: what counts is its silence."""
    unit = (BUILD / "systemd" / UNIT).read_text().splitlines()
    lines = [f"ExecStart={BUILD}/graylingd" if line.startswith("ExecStart=") else line for line in unit]
    (tmp_path / UNIT).write_text("\n".join(lines) + "\n")
    (tmp_path / "grayling.socket").write_text((SOURCE / "systemd/grayling.socket").read_text())
    r = analyze("verify", tmp_path / UNIT, tmp_path / "grayling.socket")
    complaints = [line for line in r.stderr.splitlines() if "grayling" in line]  # others are about the machine's own units
    assert r.returncode == 0 and complaints == [], r.stderr


# --- as installed -------------------------------------------------------------------------------------------


def test_the_installed_units_are_understood(rig):
    r = rig.try_run("systemd-analyze", "verify", UNIT, "grayling.socket")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")


def test_the_service_starts_and_serves(service, rig):
    assert rig.show("ActiveState") == "active"
    status, headers, _ = service.call(CHARGE)
    assert status == 200 and headers["x-grayling-version"] == "1.0.0"


def test_the_user_is_dynamic(service, rig):
    uid = os.stat(f"/proc/{rig.leader}/root/run/grayling/control.sock").st_uid
    assert 61184 <= uid <= 65519
    assert rig.path("/var/lib/private/grayling/journal.db").stat().st_uid == uid


def test_operators_may_ask_and_others_may_not(service, rig):
    group = rig.run("getent", "group", "grayling-operators").split(":")[2]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534"]
    assert "pay" in rig.run(*nobody, f"--groups={group}", "grayctl", "list")
    assert rig.try_run(*nobody, "--clear-groups", "grayctl", "list").returncode == 7


def test_a_link_is_refused_where_openat2_is_filtered(service, rig):
    link = {**service.document(MODULES / "pay-1.1.0.so"), "source": ["file:///etc/grayling/incoming/pay-link.so"]}
    service.want({"pay": link})
    ev = service.wait_phase("pay", "Rejected")
    assert ev["reason"] == "SourceRefused" and "symbolic link" in ev["message"] and "put the file itself there" in ev["message"]
    service.want({"pay": service.document(MODULES / "pay-1.1.0.so")})
    service.wait_phase("pay", "Healthy")
    assert service.call(CHARGE)[1]["x-grayling-version"] == "1.1.0"


def start_limits():
    """The unit's own, which the rig's drop-in switches off."""
    limits = [line for line in (BUILD / "systemd" / UNIT).read_text().splitlines() if line.startswith("StartLimit")]
    assert len(limits) == 2
    return limits


# --- restarts and deaths under load -------------------------------------------------------------------------


@pytest.fixture(params=["socket unit", "descriptor store"])
def front_door(request, service):
    if request.param == "descriptor store":
        service.without_socket_unit()
    yield service
    if request.param == "descriptor store":
        service.rig.run("systemctl", "stop", UNIT)


def test_restarts_lose_nothing(front_door, rig):
    with Load(front_door) as load:
        for _ in range(3):
            before = rig.show("MainPID")
            rig.run("systemctl", "restart", UNIT)
            assert rig.show("MainPID") != before
    load.expect_all_answered()


def wait_next_supervisor(service, cursor):
    """The supervisor that systemd started by itself, with a worker that serves."""
    def of_service(message_id):
        return lambda e: e.get("MESSAGE_ID") == message_id and e.get("_SYSTEMD_UNIT") == UNIT
    service.rig.wait_journal(cursor, of_service(MSG_STARTED))
    service.rig.wait_journal(cursor, of_service(MSG_WORKER_STARTED))


def test_a_killed_supervisor_loses_nothing(front_door, rig):
    worker, cursor = front_door.worker(), rig.cursor()
    with Load(front_door) as load:
        rig.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", UNIT)
        wait_next_supervisor(front_door, cursor)
        rig.wait_journal(cursor, lambda e: f"worker {worker} of the supervisor before" in e["MESSAGE"])
        assert front_door.worker() != worker
        assert front_door.call(CHARGE)[0] == 200
    load.expect_all_answered()
    assert rig.show("ActiveState") == "active"


def test_a_hanging_supervisor_is_restarted_and_loses_nothing(service, rig, unit_drop_in):
    unit_drop_in("[Service]\nWatchdogSec=3s\n")
    worker, cursor = service.worker(), rig.cursor()
    with Load(service) as load:
        rig.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", UNIT)
        rig.wait_journal(cursor, lambda e: e.get("UNIT") == UNIT and "Watchdog timeout" in e["MESSAGE"])
        wait_next_supervisor(service, cursor)
        assert service.worker() != worker
    load.expect_all_answered()


def test_a_killed_worker_costs_at_most_the_calls_in_flight(service, rig):
    main, cursor = rig.show("MainPID"), rig.cursor()
    with Load(service) as load:
        rig.run("kill", "-KILL", service.worker())
        rig.wait_journal(cursor, lambda e: e.get("MESSAGE_ID") == MSG_WORKER_STARTED)
    assert len(load.lost()) <= 5 and not any("refused" in x.lower() for x in load.lost()), load.lost()
    assert all(set(k.codes) == {200} for k in load.kinds)
    assert rig.show("MainPID") == main


def test_killed_together_with_its_worker_refuses_nobody(front_door, rig):
    """Nobody of ours is left: systemd alone holds the door. What a worker had taken up is lost, once for each client, and nothing else."""
    main, worker, cursor = rig.show("MainPID"), front_door.worker(), rig.cursor()
    with Load(front_door) as load:
        rig.run("systemctl", "kill", "--kill-whom=all", "--signal=KILL", UNIT)
        wait_next_supervisor(front_door, cursor)
        load.await_turns(2)
    assert rig.show("MainPID") != main and front_door.worker() != worker
    assert len(load.lost()) <= load.clients() and not any("refused" in x.lower() for x in load.lost()), load.lost()
    assert all(set(k.codes) == {200} and set(k.versions) == {"1.0.0"} for k in load.kinds), [(k.codes, k.versions) for k in load.kinds]
    pay = front_door.module("pay")
    assert (pay["phase"], pay["stable"]["version"]) == ("Healthy", "1.0.0"), pay


def test_a_stop_leaves_nobody_behind(service, rig):
    rig.run("systemctl", "stop", UNIT)
    assert rig.show("ActiveState") == "inactive" and rig.show("Result") == "success"
    assert rig.try_run("pgrep", "-x", "grayling-worker").stdout == ""


# --- a build that cannot start ------------------------------------------------------------------------------


@pytest.fixture
def build(rig):
    """Puts one in the place of graylingd, as a bad upgrade would, and back."""
    directory = rig.path("/run/systemd/system/grayling.service.d")

    def put(*lines):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "more.conf").write_text("\n".join([*lines, "[Service]", "ExecStart=", "ExecStart=/bin/false", ""]))
        rig.run("systemctl", "daemon-reload")

    def put_back():
        (directory / "more.conf").unlink(missing_ok=True)
        rig.run("systemctl", "daemon-reload")

    yield put, put_back
    put_back()
    rig.try_run("systemctl", "reset-failed", UNIT, "grayling.socket")
    rig.run("systemctl", "restart", UNIT)


def test_a_build_that_cannot_start_drops_nobody(front_door, rig, build):
    """While systemd tries it again and again, whoever connects waits; the good one answers all of them."""
    put, put_back = build
    cursor = rig.cursor()
    with Load(front_door) as load:
        put()
        assert rig.try_run("systemctl", "restart", UNIT).returncode != 0
        rig.wait_journal(cursor, lambda e: e.get("UNIT") == UNIT and "restart counter is at 2." in e["MESSAGE"])
        put_back()
        rig.run("systemctl", "restart", UNIT)
        load.await_turns(2)
    load.expect_all_answered()
    assert rig.show("ActiveState") == "active"


def connects(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_a_build_that_never_starts_ends_at_the_start_limit(front_door, rig, build):
    """systemd gives up as the unit says, and closes the door, so that whoever looks after the host sees it; the good one serves what was in force."""
    put, put_back = build
    limits = start_limits()
    cursor, socket_unit = rig.cursor(), rig.show("ActiveState", "grayling.socket") == "active"
    put("[Unit]", *limits)
    rig.try_run("systemctl", "restart", UNIT)
    rig.wait_journal(cursor, lambda e: e.get("UNIT") == UNIT and "Start request repeated too quickly" in e["MESSAGE"])
    if socket_unit:  # the next one to knock is what tells the socket
        connects(front_door.port)
        rig.wait_journal(cursor, lambda e: e.get("UNIT") == "grayling.socket" and "service-start-limit-hit" in e["MESSAGE"])
    assert rig.show("ActiveState") == "failed" and not connects(front_door.port)
    put_back()
    rig.run("systemctl", "reset-failed", UNIT)
    rig.run("systemctl", "start", *(["grayling.socket"] if socket_unit else []), UNIT)
    status, headers, _ = front_door.call(CHARGE)
    assert status == 200 and headers["x-grayling-version"] == "1.0.0"


# --- starts that die ----------------------------------------------------------------------------------------


@pytest.fixture
def dying(service, rig):
    """From the next start on each start dies as the fault says, within the unit's own start limit; ends with the test."""
    directory = rig.path("/run/systemd/system/grayling.service.d")

    def kill_main():
        rig.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", UNIT)

    def begin(fault):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "more.conf").write_text("\n".join(["[Unit]", *start_limits(), "[Service]", f"Environment=GRAYLING_FAULT={fault}", ""]))
        rig.run("systemctl", "daemon-reload")
        kill_main()

    rig.run("systemctl", "restart", UNIT)  # a start that ended in order: what died before does not count
    yield begin, kill_main
    (directory / "more.conf").unlink(missing_ok=True)
    rig.run("systemctl", "daemon-reload")
    rig.try_run("systemctl", "reset-failed", UNIT)
    rig.run("systemctl", "restart", UNIT)


def pause_a_candidate(service):
    service.want({"pay": service.document(MODULES / "pay-1.1.0.so", strategy={"steps": [{"weight": 50}, {"pause": {}}, {"weight": 100}]})})
    service.wait_phase("pay", "Paused")


def drop_the_candidate(service, rig):
    rig.run("grayctl", "abort", "pay", "--reason", "the test is over")
    service.wait_phase("pay", "RolledBack")


def test_kills_cost_a_candidate_nothing(service, rig, dying):
    _, kill_main = dying
    pause_a_candidate(service)
    for _ in range(3):
        cursor = rig.cursor()
        kill_main()
        wait_next_supervisor(service, cursor)
    status = service.status()
    assert service.module("pay")["rollout"]["phase"] == "Paused" and status["quarantine"] == [] and status["safe_mode"] is False, status
    drop_the_candidate(service, rig)


def test_starts_that_die_with_a_candidate_in_play_convict_it(service, rig, dying):
    """Three of them, and systemd goes on trying: the fourth serves. Nobody at the door notices, since the worker before serves on."""
    begin, _ = dying
    pause_a_candidate(service)
    cursor = rig.cursor()
    with Load(service) as load:
        begin("crew.load:2:crash")
        wait_next_supervisor(service, cursor)
    assert load.lost() == [] and all(set(k.codes) == {200} for k in load.kinds), load.lost()
    convicted, = service.status()["quarantine"]
    assert (convicted["version"], convicted["reason"]) == ("1.1.0", "Crashed") and "3 starts died" in convicted["evidence"], convicted
    assert rig.show("ActiveState") == "active" and int(rig.show("NRestarts")) >= 4
    assert {service.call(CHARGE)[1]["x-grayling-version"] for _ in range(20)} == {"1.0.0"}
    rig.run("grayctl", "quarantine", "lift", convicted["hash"], "--reason", "the test is over")


def test_starts_that_die_without_a_culprit_end_in_safe_mode(service, rig, dying):
    """What the source says ends each of them; the sixth does not follow it, within the unit's start limit."""
    begin, _ = dying
    cursor = rig.cursor()
    with Load(service) as load:
        begin("plan.begin:1:crash")
        wait_next_supervisor(service, cursor)
        service.want({"pay": service.document(MODULES / "pay-1.1.0.so")})
        rig.wait_journal(cursor, lambda e: e.get("MESSAGE_ID") == MSG_SAFE_MODE)
        rig.run("systemctl", "start", UNIT)  # waits until it is
    load.expect_all_answered()
    status = service.status()
    assert status["phase"] == "Degraded" and "5 starts in a row died" in status["message"], status
    assert rig.show("ActiveState") == "active" and rig.show("Result") == "success"
    rig.path("/run/systemd/system/grayling.service.d/more.conf").unlink()
    rig.run("systemctl", "daemon-reload")
    rig.run("systemctl", "restart", UNIT)
    assert service.status()["safe_mode"] is True  # until a person leaves it
    rig.run("grayctl", "safe-mode", "leave", "--reason", "the test is over")
    assert service.status()["safe_mode"] is False and service.call(CHARGE)[0] == 200


def test_the_service_knows_the_boot(service, rig):
    """By the unit, since ProcSubset=pid hides the kernel's own file: what tells a power cut from a death."""
    environment = dict(v.split("=", 1) for v in rig.path(f"/proc/{rig.show('MainPID')}/environ").read_text().split("\0") if "=" in v)
    assert environment["GRAYLING_BOOT_ID"] == rig.run("cat", "/proc/sys/kernel/random/boot_id").strip().replace("-", "")


# --- memory -------------------------------------------------------------------------------------------------

LEAK, POKE = "com.example.drill.FaultyService/Poke", "com.example.faulty.FaultyService/Poke"


class Memory:
    """What the kernel counts for the service's group, and MemoryMax= of its unit, until done()."""

    def __init__(self, rig):
        self.rig, self.group = rig, rig.path("/sys/fs/cgroup/system.slice/" + UNIT)

    def used(self):
        """As Grayling counts: what could be given back at once is not used."""
        stat = dict(line.split() for line in (self.group / "memory.stat").read_text().splitlines())
        return int((self.group / "memory.current").read_text()) - int(stat["inactive_file"])

    def limit(self, what):
        self.rig.run("systemctl", "set-property", "--runtime", UNIT, f"MemoryMax={what}")


@pytest.fixture
def memory(rig):
    controllers = rig.path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    if "memory" not in controllers:
        pytest.skip(f"MemoryMax= does nothing here: of cgroup2's controllers the guest has {controllers}, and not memory")
    m = Memory(rig)
    yield m
    m.limit("infinity")


def restarts(g, reason):
    return int(re.search(rf'grayling_worker_restarts_total{{reason="{reason}"}} (\d+)', g.metrics())[1])


def resident(rig, pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", rig.path(f"/proc/{pid}/status").read_text())[1]) << 10


def fault(g):
    """In a process of its own: by itself it replaces no worker."""
    g.until(lambda: g.module("faulty")["stable"].get("pid"))
    assert g.call(POKE)[0] == 500


def test_a_worker_that_fills_its_group_is_replaced_once_modules_fault(service, rig, memory):
    """MemoryMax= itself: nearly all of it used is no reason, and together with a fault it is; nobody is lost, and nobody is killed by the kernel."""
    (service.drop_ins / "10.conf").write_text("[Dispatch]\nBreakerFaults=0\n")
    rig.run("systemctl", "restart", UNIT)
    service.deploy("faulty", MODULES / "faulty-1.2.0.so", config={"mode": "handle-crash"})
    service.deploy("drill-faulty", MODULES / "drill-faulty-1.0.0.so", config={"mode": "leak-mem"})
    main, before = rig.show("MainPID"), service.worker()
    limit = memory.used() + 16 * resident(rig, before)  # in what is left of it above nine tenths there is room for the worker that comes
    memory.limit(limit)
    with Load(service) as load:
        c = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        while memory.used() < limit * 0.92:
            assert all(service.call(LEAK, connection=c)[0] == 200 for _ in range(20))
        c.close()
        service.deploy("pay", MODULES / "pay-1.1.0.so")
        assert service.worker() == before and restarts(service, "memory") == 0
        fault(service)
        told = service.wait_event(lambda e: "while modules fault: it is replaced" in e["message"], after=0)
        assert f"worker {before} uses " in told["message"] and f"MemoryMax= of /system.slice/{UNIT}" in told["message"], told
        service.until(lambda: service.worker() not in (None, before))
        service.until(lambda: memory.used() < limit * 0.8, memory.used)
    assert load.lost() == [] and all(set(k.codes) == {200} for k in load.kinds), (load.lost(), [k.codes for k in load.kinds])
    assert (restarts(service, "memory"), restarts(service, "crash")) == (1, 0) and rig.show("MainPID") == main
    assert "oom_kill 0" in (memory.group / "memory.events").read_text()
    service.want({"faulty": None, "drill-faulty": None})
    service.until(lambda: [m["module"] for m in service.status()["modules"]] == ["pay"])


# --- configuration ------------------------------------------------------------------------------------------


def test_reload_takes_up_the_policy_under_load(service, rig):
    main, cursor = rig.show("MainPID"), rig.cursor()
    with Load(service) as load:
        (service.drop_ins / "10.conf").write_text("[Artifacts]\nMaxBytes=1K\n")
        rig.run("systemctl", "reload", UNIT)
        rig.wait_journal(cursor, lambda e: "the artifact policy was reloaded" in e["MESSAGE"])
        service.want({"pay": service.document(MODULES / "pay-1.1.0.so", reason="too large now")})
        assert service.wait_phase("pay", "Rejected")["reason"] == "TooLarge"
    load.expect_all_answered()
    assert rig.show("MainPID") == main and rig.show("ActiveState") == "active"


def test_a_bad_configuration_is_not_reloaded(service, rig):
    main, cursor = rig.show("MainPID"), rig.cursor()
    (service.drop_ins / "10.conf").write_text("[Artifacts]\n\nMaxBytes=many\n")
    rig.run("systemctl", "reload", UNIT)
    rig.wait_journal(cursor, lambda e: "10.conf:3" in e["MESSAGE"] and "the old one stays in force" in e["MESSAGE"])
    assert rig.show("MainPID") == main and service.call(CHARGE)[0] == 200


def test_a_bad_configuration_fails_the_unit_with_file_and_line(service, rig):
    rig.run("systemctl", "stop", UNIT, "grayling.socket")
    cursor = rig.cursor()
    (service.drop_ins / "10.conf").write_text("[Dispatch]\nThreds=2\n")
    assert rig.try_run("systemctl", "start", UNIT).returncode != 0
    entry = rig.wait_journal(cursor, lambda e: "10.conf:2" in e["MESSAGE"])
    assert "Threds" in entry["MESSAGE"] and "Threads" in entry["MESSAGE"]
    assert rig.show("ActiveState") == "failed" and rig.show("ExecMainStatus") == "2" and rig.show("NRestarts") == "0"
    rig.run("systemctl", "reset-failed", UNIT)


# --- the journal --------------------------------------------------------------------------------------------


def entries(rig, *match):
    return [json.loads(line) for line in rig.run("journalctl", "--no-pager", "-o", "json", "-u", UNIT, *match).splitlines()]


def test_the_journal_has_fields(service, rig):
    cursor = rig.cursor()
    bad = {**service.document(MODULES / "pay-1.1.0.so"), "version_hash": "sha256:" + "0" * 64}
    service.want({"pay": bad})
    ev = service.wait_phase("pay", "Rejected")
    told = rig.wait_journal(cursor, lambda e: e.get("GRAYLING_REASON") == "DigestMismatch")
    assert {k: told[f"GRAYLING_{k.upper()}"] for k in ("module", "version", "phase", "reason")} == \
        {"module": "pay", "version": "1.1.0", "phase": "Rejected", "reason": "DigestMismatch"}
    assert int(told["GRAYLING_ROLLOUT"]) == ev["rollout"] and int(told["GRAYLING_REVISION"]) > 0
    assert told["MESSAGE"] == ev["message"] and told["SYSLOG_IDENTIFIER"] == "graylingd" and told["PRIORITY"] in ("3", "4")
    everything = entries(rig, "GRAYLING_MODULE=pay")
    assert everything and all(len(e["MESSAGE_ID"]) == 32 for e in everything)
    assert any(e["_COMM"] == "graylingd" for e in everything)


def test_the_catalog_explains(service, rig):
    rig.run("journalctl", "--update-catalog")
    assert "Subject: Grayling started" in rig.run("journalctl", "--no-pager", "-x", "-u", UNIT)


# --- credentials --------------------------------------------------------------------------------------------


class GuardedEtcd(Etcd):
    """One that asks for a password. It listens in the guest's network, where this thread is."""

    token = None

    def guard(self, password):
        self.post("auth/user/add", {"name": "root", "password": password})
        self.post("auth/role/add", {"name": "root"})
        self.post("auth/user/grant", {"user": "root", "role": "root"})
        self.post("auth/enable", {})

    def put_as_root(self, password, key, value):
        c = subprocess.run(["etcdctl", "--endpoints", self.url, "--user", f"root:{password}", "--command-timeout", "60s",
                            "--dial-timeout", "60s", "put", key, json.dumps(value)],
                           capture_output=True, text=True, env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}, timeout=PATIENCE)
        assert c.returncode == 0, c.stderr


@pytest.mark.parametrize("how", ["LoadCredential=etcd-password:/etc/grayling/etcd-password", "SetCredential=etcd-password:s3cret"])
def test_the_password_comes_as_a_credential(service, rig, unit_drop_in, tmp_path, how):
    etcd = GuardedEtcd(tmp_path)
    try:
        etcd.guard("s3cret")
        secret = rig.path("/etc/grayling/etcd-password")
        secret.write_text("s3cret")
        secret.chmod(0o400)  # root's: the service itself could not read it
        rig.run("systemctl", "stop", UNIT, "grayling.socket")
        rig.run("rm", "-rf", "/var/lib/private/grayling")  # another source has other revisions
        (service.drop_ins / "10.conf").write_text(f"[Source]\nEtcd={etcd.url}\n[Etcd]\nUser=root\nPasswordFile=etcd-password\n")
        unit_drop_in(f"[Service]\n{how}\n")
        service.seen = 0
        etcd.put_as_root("s3cret", service.key("pay"), service.document(MODULES / "pay-1.1.0.so"))
        service.wait_phase("pay", "Healthy")
        assert service.call(CHARGE)[1]["x-grayling-version"] == "1.1.0"
    finally:
        rig.run("systemctl", "stop", UNIT)
        rig.run("rm", "-rf", "/var/lib/private/grayling")
        (service.drop_ins / "10.conf").unlink(missing_ok=True)
        etcd.stop()
