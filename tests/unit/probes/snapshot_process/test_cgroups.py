"""Limits of control groups, v1 and v2, own and inherited."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.formats.cgroup import parse_cgroup
from leadline.model import TargetGone
from leadline.probes.snapshot_process.cgroups import group_path, read_cgroup
from recorded_machines import Machine

V1_MOUNTS = (
    "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 23 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
V1_GROUPS = "4:memory:/docker/ab\n2:cpu,cpuacct:/docker/ab\n0::/\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def v2_group(machine: Machine, path: str, **files: str) -> None:
    for name, text in files.items():
        machine.write(f"sys/fs/cgroup{path}/{name.replace('_', '.', 1)}", text)


def v1_group(machine: Machine, controller: str, path: str, **files: str) -> None:
    for name, text in files.items():
        machine.write(f"sys/fs/cgroup/{controller}{path}/{name.replace('__', '.')}", text)


def test_v2(machine: Machine) -> None:
    machine.process(41, "api", cgroup="0::/web\n")
    v2_group(
        machine, "/web", memory_current="1000\n", memory_max="4000\n", memory_events="low 0\noom 2\noom_kill 1\n",
        cpu_max="50000 100000\n", cpu_stat="usage_usec 9\nnr_periods 31\nnr_throttled 30\nthrottled_usec 3300\n",
    )  # fmt: skip
    state = read_cgroup(machine.host(), 41, "begin")
    assert (state.pid, state.when, state.version, state.path) == (41, "begin", 2, "/web")
    assert (state.memory_bytes, state.memory_limit_bytes, state.oom_kill_total) == (1000, 4000, 1)
    assert (state.cpu_quota_us, state.cpu_period_us) == (50_000, 100_000)
    assert (state.nr_periods, state.nr_throttled, state.throttled_ns) == (31, 30, 3_300_000)


def test_v1(machine: Machine) -> None:
    machine.process(41, "api", cgroup=V1_GROUPS)
    machine.write("proc/9/mountinfo", V1_MOUNTS)
    v1_group(
        machine, "memory", "/docker/ab", memory__usage_in_bytes="1000\n", memory__limit_in_bytes="4096\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    )  # fmt: skip
    v1_group(
        machine, "cpu,cpuacct", "/docker/ab", cpu__cfs_quota_us="150000\n", cpu__cfs_period_us="100000\n",
        cpu__stat="nr_periods 5\nnr_throttled 4\nthrottled_time 77\n",
    )  # fmt: skip
    state = read_cgroup(machine.host(), 41, "end")
    assert (state.version, state.path, state.when) == (1, "/docker/ab", "end")
    assert (state.memory_bytes, state.memory_limit_bytes, state.oom_kill_total) == (1000, 4096, 3)
    assert (state.cpu_quota_us, state.cpu_period_us, state.throttled_ns) == (150_000, 100_000, 77)


def test_unlimited_is_none_in_both_versions(machine: Machine) -> None:
    machine.process(41, "api", cgroup="0::/web\n")
    v2_group(machine, "/web", memory_current="1000\n", memory_max="max\n", cpu_max="max 100000\n")
    state = read_cgroup(machine.host(), 41, "end")
    assert (state.memory_bytes, state.memory_limit_bytes, state.cpu_quota_us) == (1000, None, None)
    machine.process(42, "api", cgroup=V1_GROUPS)
    machine.write("proc/9/mountinfo", V1_MOUNTS)
    v1_group(
        machine,
        "memory",
        "/docker/ab",
        memory__usage_in_bytes="5\n",
        memory__limit_in_bytes="9223372036854771712\n",
    )
    v1_group(machine, "cpu,cpuacct", "/docker/ab", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    state = read_cgroup(machine.host(), 42, "end")
    assert (state.memory_bytes, state.memory_limit_bytes, state.cpu_quota_us) == (5, None, None)


def test_the_ancestor_that_is_nearest_to_its_limit_binds(machine: Machine) -> None:
    """A pod's group may be full while its container's own limit is far away."""
    machine.process(41, "api", cgroup="0::/pod/container\n")
    v2_group(machine, "/pod/container", memory_current="100\n", memory_max="900\n", cpu_max="max 100000\n")
    v2_group(machine, "/pod", memory_current="990\n", memory_max="1000\n", cpu_max="20000 100000\n")
    v2_group(machine, "/pod", cpu_stat="nr_periods 9\nnr_throttled 8\nthrottled_usec 7\n")
    state = read_cgroup(machine.host(), 41, "end")
    assert (state.memory_bytes, state.memory_limit_bytes) == (990, 1000)
    assert (state.cpu_quota_us, state.nr_throttled) == (20_000, 8)
    assert state.path == "/pod/container"


def test_root_groups_without_files_are_unknown(machine: Machine) -> None:
    machine.process(41, "api", cgroup="0::/\n")
    state = read_cgroup(machine.host(), 41, "end")
    assert (state.memory_bytes, state.memory_limit_bytes, state.cpu_quota_us, state.nr_periods) == (None,) * 4


def test_the_deepest_path_is_the_most_telling() -> None:
    assert group_path(parse_cgroup(b"4:memory:/a/b\n1:name=systemd:/a/b/c\n0::/\n")) == "/a/b/c"
    assert group_path(parse_cgroup(b"0::/\n")) == "/"
    assert group_path(()) == "/"


def test_a_process_that_is_not_there_is_gone(machine: Machine) -> None:
    with pytest.raises(TargetGone):
        read_cgroup(machine.host(), 99, "end")
