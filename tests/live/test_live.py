"""The real machine: large tables, other users, targets that are killed while they are looked at."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from leadline.app.targets import resolve
from leadline.contracts import Probe
from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, Descriptor, ProcessInfo, TimelineSample
from leadline.evidence.kinds import DescriptorKind as Kind
from leadline.host import LiveHost
from leadline.host.features import probe_features
from leadline.model import Gap, GapReason, LeadlineError, NotPermitted, TargetGone
from leadline.probes import (
    snapshot_descriptors,
    snapshot_netcounters,
    snapshot_process,
    snapshot_sockets,
    trace_snapshots,
)

pytestmark = pytest.mark.live

PROBES: list[Probe] = [
    snapshot_process.PROBE,
    snapshot_descriptors.PROBE,
    snapshot_sockets.PROBE,
    snapshot_netcounters.PROBE,
    trace_snapshots.PROBE,
]
NOBODY = 65534
DEADLINE_S = 20.0

EVERY_KIND = """
import ctypes, os, resource, select, socket, sys
libc = ctypes.CDLL(None)
held = [
    socket.socket(), socket.socket(socket.AF_INET6), socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    socket.socket(socket.AF_UNIX), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), select.epoll(),
]
extra = [os.eventfd(0), os.memfd_create("cache"), os.pidfd_open(os.getpid()), libc.timerfd_create(1, 0), libc.inotify_init1(0),
         libc.signalfd(-1, ctypes.create_string_buffer(8), 0), os.open("/etc", os.O_RDONLY), os.open("/etc/passwd", os.O_RDONLY),
         os.open("/dev/zero", os.O_RDONLY), *os.pipe()]
print("ready", flush=True)
sys.stdin.read()
"""
DUPLICATES = """
import os, sys
first = os.open("/etc/passwd", os.O_RDONLY)
os.dup2(first, 50, inheritable=True)
os.dup2(os.open("/etc/passwd", os.O_RDONLY), 60, inheritable=False)
os.close(4)
print("ready", flush=True)
sys.stdin.read()
"""
MANY = """
import os, resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
count = int(sys.argv[1])
held = [end for _ in range(count // 2) for end in socket.socketpair()]
print("ready", flush=True)
sys.stdin.read()
"""
GROWING = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
held = []
print(listener.getsockname()[1], flush=True)
for line in sys.stdin:
    client = socket.create_connection(listener.getsockname())
    held += [client, listener.accept()[0], open("/proc/self/stat")]
    print(len(held), flush=True)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a starter of Python children that say a line when ready; they end with the test."""
    children: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline()
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most the deadline."""
    limit = time.perf_counter() + DEADLINE_S
    while not condition():
        assert time.perf_counter() < limit, "condition not met in time"
        time.sleep(0.005)


def look(probe: Probe, pid: int) -> Evidence:
    evidence = Evidence()
    probe.begin(LiveHost(), pid, evidence).finish(evidence)
    return evidence


def test_every_kind_of_descriptor_is_told(start: Callable[..., subprocess.Popen[str]]) -> None:
    child = start(EVERY_KIND)
    found = look(snapshot_descriptors.PROBE, child.pid).all(Descriptor)
    kinds = [one.kind for one in found if one.fd > 2]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        Kind.TCP: 2, Kind.UDP: 1, Kind.UNIX: 1, Kind.NETLINK: 1, Kind.EVENTPOLL: 1, Kind.EVENTFD: 1, Kind.MEMFD: 1, Kind.PIDFD: 1,
        Kind.TIMERFD: 1, Kind.INOTIFY: 1, Kind.SIGNALFD: 1, Kind.DIRECTORY: 1, Kind.FILE: 1, Kind.DEVICE: 1, Kind.PIPE: 2,
    }  # fmt: skip


class WithoutBpf(LiveHost):
    """A machine on which programs may not be loaded."""

    def bpf(self) -> NoReturn:
        raise NotPermitted("not here")


def test_iterator_and_proc_tell_the_same_table(start: Callable[..., subprocess.Popen[str]]) -> None:
    child = start(EVERY_KIND)
    fields = ("fd", "kind", "inode", "device", "name")
    tables = []
    for host in (LiveHost(), WithoutBpf()):
        evidence = Evidence()
        snapshot_descriptors.PROBE.begin(host, child.pid, evidence).finish(evidence)
        tables.append([tuple(getattr(one, name) for name in fields) for one in evidence.all(Descriptor)])
    by_iterator, by_proc = tables
    # Links of anonymous inodes, sockets and pipes name no device, and those of anonymous inodes no inode.
    assert [row for row in by_iterator if row[4].startswith("/")] == [
        row for row in by_proc if row[4].startswith("/")
    ]
    assert [(row[0], row[1], row[4]) for row in by_iterator] == [(row[0], row[1], row[4]) for row in by_proc]
    assert all(
        mine[2] == other[2] for mine, other in zip(by_iterator, by_proc, strict=True) if other[2] is not None
    )


def test_duplicates_of_one_open_file_are_told_by_the_iterator(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    child = start(DUPLICATES)
    found = look(snapshot_descriptors.PROBE, child.pid).all(Descriptor)
    files = [one for one in found if one.name == "/etc/passwd"]
    assert [one.cloexec for one in files] == [True, False, True]
    assert files[0].file_ref == files[1].file_ref != files[2].file_ref


def test_a_table_of_18_000_descriptors_is_whole(start: Callable[..., subprocess.Popen[str]]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(18_000, hard - 100) // 2 * 2
    child = start(MANY, str(count))
    evidence = look(snapshot_descriptors.PROBE, child.pid)
    found = evidence.all(Descriptor)
    assert sum(one.kind is Kind.UNIX for one in found) == count
    assert [one.fd for one in found] == sorted(
        int(path.name) for path in Path(f"/proc/{child.pid}/fd").iterdir()
    )
    sample = evidence.first(TimelineSample)
    assert sample is not None
    assert sample.by_kind["unix"] == count


def test_growth_is_seen_without_bpf(start: Callable[..., subprocess.Popen[str]]) -> None:
    child = start(GROWING)
    assert child.stdin is not None
    assert child.stdout is not None
    evidence = Evidence()
    observation = trace_snapshots.PROBE.begin(LiveHost(), child.pid, evidence)
    for _ in range(23):
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        observation.tick()
    observation.finish(evidence)
    found = {(one.kind, one.role): (one.births, one.alive) for one in evidence.all(Birthplace)}
    assert found == {
        (Kind.TCP, "accepted"): (23, 23),
        (Kind.TCP, "dialed"): (23, 23),
        (Kind.FILE, "opened"): (23, 23),
    }


def test_a_port_leads_to_the_process_that_listens(start: Callable[..., subprocess.Popen[str]]) -> None:
    child = start(GROWING)
    info = look(snapshot_process.PROBE, child.pid).first(ProcessInfo)
    assert info is not None
    (listener,) = info.listeners
    assert resolve(LiveHost(), f"port:{listener.port}").pid == child.pid


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.INFO.name)
@pytest.mark.parametrize("reaped", [False, True], ids=["zombie", "reaped"])
def test_a_target_killed_in_the_middle_gives_a_report(
    start: Callable[..., subprocess.Popen[str]], probe: Probe, reaped: bool
) -> None:
    child = start(MANY, "40")
    evidence = Evidence()
    observation = probe.begin(LiveHost(), child.pid, evidence)
    observation.tick()
    child.kill()
    if reaped:
        child.communicate()
    else:
        until(lambda: Path(f"/proc/{child.pid}/stat").read_bytes().rpartition(b") ")[2].startswith(b"Z"))
    observation.tick()
    observation.finish(evidence)
    if probe is snapshot_process.PROBE:
        info = evidence.first(ProcessInfo)
        assert info is not None
        assert info.ended_mono_ns is not None
    else:
        assert GapReason.TARGET_GONE in {gap.reason for gap in evidence.all(Gap)}


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.INFO.name)
def test_a_target_killed_at_any_moment_never_makes_a_probe_crash(
    start: Callable[..., subprocess.Popen[str]], probe: Probe
) -> None:
    for delay_ms in range(0, 14, 2):
        child = start(MANY, "2000")
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.0{delay_ms:02d}; kill -9 {child.pid}"])
        evidence = Evidence()
        try:
            observation = probe.begin(LiveHost(), child.pid, evidence)
            observation.tick()
            observation.finish(evidence)
        except TargetGone:
            assert probe.INFO.name in {"snapshot_process", "trace_snapshots"}
        killer.wait()
        child.communicate()


# -- without rights ------------------------------------------------------------------------------------------


def as_nobody(run: Callable[[], object]) -> object:
    """Return what a function returns in a child process without rights."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(writer, json.dumps(run()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answers:
        text = answers.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def test_without_rights_each_missing_feature_has_a_remedy() -> None:
    found = as_nobody(lambda: {one.name: (one.status, one.remedy) for one in probe_features(LiveHost())})
    assert isinstance(found, dict)
    for name in (
        "raw_tracepoint",
        "tp_btf",
        "iter_task_file",
        "others_descriptors",
        "other_netns",
        "CAP_BPF",
        "map_files",
    ):
        status, remedy = found[name]
        assert status != "yes", name
        assert remedy, name
    for name in ("sock_diag_tcp4", "sock_diag_unix", "pidfd", "cgroup_v2"):
        assert found[name][0] == "yes", name


def test_without_rights_another_users_target_is_refused_with_a_remedy(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    child = start(MANY, "2")

    def errors() -> dict[str, list[str]]:
        host = LiveHost()
        calls: dict[str, Callable[[], object]] = {
            "fd_links": lambda: host.fd_links(child.pid),
            "fd_count": lambda: len(host.list_proc(f"{child.pid}/fd")),
            "memory": lambda: host.read_memory(child.pid, 4096, 8),
            "protocol": lambda: host.socket_protocol(child.pid, 3),
        }
        found = {}
        for name, call in calls.items():
            try:
                call()
            except LeadlineError as error:
                found[name] = [type(error).__name__, error.remedy]
        return found

    found = as_nobody(errors)
    assert isinstance(found, dict)
    assert {name: kind for name, (kind, _) in found.items()} == dict.fromkeys(
        ("fd_links", "fd_count", "memory", "protocol"), NotPermitted.__name__
    )
    assert all("root" in remedy for _, remedy in found.values())


def test_without_rights_one_s_own_processes_are_seen() -> None:
    def own() -> list[str]:
        with socket.socket():
            evidence = look(snapshot_descriptors.PROBE, os.getpid())
        return [one.kind.value for one in evidence.all(Descriptor)]

    found = as_nobody(own)
    assert isinstance(found, list)
    assert "tcp" in found


def test_without_rights_another_users_target_gives_gaps_not_crashes(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    child = start(MANY, "2")

    def gaps() -> dict[str, list[str]]:
        found = {}
        for probe in PROBES[:4]:
            evidence = look(probe, child.pid)
            found[probe.INFO.name] = sorted({gap.reason.value for gap in evidence.all(Gap)})
        return found

    assert as_nobody(gaps) == {
        "snapshot_process": ["not-permitted"],
        "snapshot_descriptors": ["not-permitted"],
        "snapshot_sockets": ["not-permitted"],
        "snapshot_netcounters": [],
    }


def test_stopping_signals_do_not_stop_a_look(start: Callable[..., subprocess.Popen[str]]) -> None:
    """A stopped target can be looked at like any other: nothing waits for it to run."""
    child = start(MANY, "46")
    os.kill(child.pid, signal.SIGSTOP)
    try:
        found = look(snapshot_descriptors.PROBE, child.pid).all(Descriptor)
        assert sum(one.kind is Kind.UNIX for one in found) == 46
    finally:
        os.kill(child.pid, signal.SIGCONT)
