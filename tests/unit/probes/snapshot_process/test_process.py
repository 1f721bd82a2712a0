"""Who the target is, on a recorded machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.evidence import Evidence
from leadline.evidence.kinds import CgroupState, ProcessInfo
from leadline.model import Gap, GapReason, TargetGone
from leadline.probes.snapshot_process import PROBE, read_process
from recorded_machines import Machine

ID = "4c01db0b339c8a7d1f2f8e5b6a7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.process(
        41,
        "api",
        args=["--listen=:8080", "--password", "hunter2"],
        cgroup=f"0::/system.slice/docker-{ID}.scope\n",
        start=300,
        uid=33,
        fds={0: "/dev/null", 3: "socket:[501]", 4: "socket:[502]"},
    )
    machine.listeners({501: 8080, 999: 22})
    return machine


def info_of(evidence: Evidence) -> ProcessInfo:
    info = evidence.first(ProcessInfo)
    assert info is not None
    return info


def test_identity_limits_and_resources(machine: Machine) -> None:
    evidence = Evidence()
    info = read_process(machine.host(), 41, evidence)
    assert (info.pid, info.start_boot_ns, info.comm, info.exe) == (41, 3_000_000_000, "api", "/usr/bin/api")
    assert (info.uid, info.threads, info.rss_bytes, info.cpu_ns) == (33, 3, 102_400, 1_000_000_000)
    assert (info.nofile_soft, info.nofile_hard) == (1024, 524288)
    assert info.container_id == ID
    assert info.cgroup_path == f"/system.slice/docker-{ID}.scope"
    assert info.pid_in_namespace is None
    assert evidence.get(Gap) is None


def test_secrets_in_the_command_line_are_redacted_when_recorded(machine: Machine) -> None:
    info = read_process(machine.host(), 41, Evidence())
    assert "hunter2" not in info.cmdline
    assert info.cmdline.startswith("api --listen=:8080 --password")


def test_unlimited_descriptors_are_unknown(machine: Machine) -> None:
    machine.process(42, "db", nofile=("unlimited", "unlimited"))
    info = read_process(machine.host(), 42, Evidence())
    assert (info.nofile_soft, info.nofile_hard) == (None, None)


def test_listeners_are_the_targets_own(machine: Machine) -> None:
    listener = read_process(machine.host(), 41, Evidence()).listeners
    assert [(one.inode, one.address, one.port, one.accept_queue, one.backlog) for one in listener] == [
        (501, "10.0.0.1", 8080, 0, 4096)
    ]


def test_the_pid_inside_a_namespace_is_told(machine: Machine) -> None:
    path = machine.folder / "proc" / "41" / "status"
    path.write_text(path.read_text().replace("NSpid:\t41", "NSpid:\t41\t1"))
    assert read_process(machine.host(), 41, Evidence()).pid_in_namespace == 1


def test_cpu_time_is_told_for_both_looks(machine: Machine) -> None:
    evidence = Evidence()
    host = machine.host()
    observation = PROBE.begin(host, 41, evidence)
    path = machine.folder / "proc" / "41" / "stat"
    path.write_text(path.read_text().replace(" 70 30 ", " 170 50 "))
    observation.tick()
    observation.finish(evidence)
    info = info_of(evidence)
    assert (info.cpu_begin_ns, info.cpu_ns, info.ended_mono_ns) == (1_000_000_000, 2_200_000_000, None)


def test_the_group_is_looked_at_twice(machine: Machine) -> None:
    evidence = Evidence()
    PROBE.begin(machine.host(), 41, evidence).finish(evidence)
    assert [state.when for state in evidence.all(CgroupState)] == ["begin", "end"]


def test_of_a_process_that_ends_the_first_look_is_kept_with_the_time_of_its_end(machine: Machine) -> None:
    evidence = Evidence()
    host = machine.host()
    observation = PROBE.begin(host, 41, evidence)
    host.clock.advance(5)
    machine.end(41)
    observation.tick()
    ended_ns = host.clock.mono_ns()
    host.clock.advance(1000)
    observation.finish(evidence)
    info = info_of(evidence)
    assert (info.comm, info.ended_mono_ns) == ("api", ended_ns)
    assert [state.when for state in evidence.all(CgroupState)] == ["begin"]


@pytest.mark.parametrize("change", [{"start": 301}, {"state": "Z"}])
def test_another_process_of_the_same_pid_and_a_zombie_are_not_the_target(
    machine: Machine, change: dict[str, object]
) -> None:
    evidence = Evidence()
    observation = PROBE.begin(machine.host(), 41, evidence)
    machine.process(41, "other", **{"start": 300, **change})  # type: ignore[arg-type]
    observation.finish(evidence)
    info = info_of(evidence)
    assert info.comm == "api"
    assert info.ended_mono_ns is not None


def test_a_process_that_is_not_there_raises(machine: Machine) -> None:
    with pytest.raises(TargetGone):
        PROBE.begin(machine.host(), 99, Evidence())


def test_what_cannot_be_read_leaves_one_gap_and_the_rest(machine: Machine) -> None:
    (machine.folder / "proc" / "41" / "limits").write_text("no limits here\n")
    evidence = Evidence()
    PROBE.begin(machine.host(), 41, evidence).finish(evidence)
    gaps = evidence.all(Gap)
    assert [(gap.what, gap.reason) for gap in gaps] == [("resource limits", GapReason.MALFORMED)]
    assert (info_of(evidence).nofile_soft, info_of(evidence).comm) == (None, "api")
