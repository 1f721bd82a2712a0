"""Control group files and paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.cgroup import (
    CgroupMount,
    container_id,
    cpu_max,
    find_entry,
    memory_limit,
    parse_cgroup,
    parse_flat_counters,
    parse_mountinfo_cgroups,
    pod_uid,
    unit_name,
)
from leadline.model import Malformed

ID = "4c01db0b339c8a7d1f2f8e5b6a7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8"
UID = "8f1c2d3e-0000-4abc-9def-001122334455"
UNDERSCORED = UID.replace("-", "_")

V1 = b"""12:pids:/docker/ab
9:name=systemd:/docker/ab
4:memory:/docker/ab:with:colons
2:cpu,cpuacct:/
0::/system.slice/web.service
"""


def test_v1_v2_and_named_hierarchies_are_told_apart() -> None:
    entries = parse_cgroup(V1)
    assert [entry.hierarchy for entry in entries] == [12, 9, 4, 2, 0]
    found = {name: find_entry(entries, name) for name in (None, "memory", "cpu")}
    assert {name: None if entry is None else entry.path for name, entry in found.items()} == {
        None: "/system.slice/web.service",
        "memory": "/docker/ab:with:colons",
        "cpu": "/",
    }
    assert entries[3].controllers == ("cpu", "cpuacct")
    assert find_entry(entries, "hugetlb") is None


def test_the_group_of_a_removed_directory_keeps_its_path() -> None:
    assert parse_cgroup(b"0::/gone (deleted)\n")[0].path == "/gone"


@pytest.mark.parametrize("text", [b"x", b"a::/", b"0:/", b"0::relative", b":::/"])
def test_other_lines_are_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_cgroup(text)


def test_mounts_of_both_versions_with_escapes() -> None:
    mounts = parse_mountinfo_cgroups(
        b"22 27 0:21 / /proc rw - proc proc rw\n"
        b"31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct\n"
        b"32 23 0:28 /docker/ab /my\\040mounts/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    assert mounts == (
        CgroupMount("/", "/sys/fs/cgroup/cpu,cpuacct", 1, ("cpu", "cpuacct")),
        CgroupMount("/docker/ab", "/my mounts/cgroup", 2, ()),
    )


@pytest.mark.parametrize(
    ("root", "path", "directory"),
    [
        ("/", "/system.slice/web.service", "/sys/fs/cgroup/system.slice/web.service"),
        ("/", "/", "/sys/fs/cgroup"),
        ("/docker/ab", "/docker/ab", "/sys/fs/cgroup"),
        ("/docker/ab", "/docker/ab/sub", "/sys/fs/cgroup/sub"),
        ("/docker/ab", "/docker/abc", None),
        ("/", "/../other", None),
    ],
)
def test_a_group_is_found_below_its_mount_only(root: str, path: str, directory: str | None) -> None:
    assert CgroupMount(root, "/sys/fs/cgroup", 2, ()).directory(path) == directory


def test_memory_limits_at_and_above_the_unlimited_mark() -> None:
    assert memory_limit(b"max\n") is None
    assert memory_limit(b"0\n") == 0
    assert memory_limit(str(2**62 - 1).encode()) == 2**62 - 1
    assert memory_limit(str(2**62).encode()) is None
    assert memory_limit(b"9223372036854771712\n") is None


def test_cpu_quota() -> None:
    assert cpu_max(b"150000 100000\n") == (150000, 100000)
    assert cpu_max(b"max 100000\n") == (None, 100000)


def test_flat_counters() -> None:
    text = b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    assert parse_flat_counters(text, source="memory.oom_control")["oom_kill"] == 3


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/docker/{ID}", ID),
        (f"/system.slice/docker-{ID}.scope", ID),
        (f"/system.slice/containerd.service/kubepods-burstable-pod{UNDERSCORED}.slice:cri-containerd:{ID}", ID),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice/cri-containerd-{ID}.scope", ID),
        (f"/kubepods/besteffort/pod{UID}/{ID}", ID),
        (f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/crio-{ID}.scope/container", ID),
        (f"/machine.slice/libpod-{ID}.scope/container", ID),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", ID),
        (f"/docker/{'a' * 64}/docker/{ID}", ID),
        ("/system.slice/web.service", None),
        (f"/system.slice/{ID[:63]}", None),
        (f"/system.slice/{ID}0", None),
        ("/", None),
    ],
)  # fmt: skip
def test_container_ids_of_every_runtime(path: str, expected: str | None) -> None:
    assert container_id(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/kubepods/burstable/pod{UID}/{ID}", UID),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice/crio-{ID}.scope",
            UID,
        ),
        (f"/kubepods/burstable/pod{'0a' * 16}/{ID}", "0a" * 16),
        (f"/docker/{ID}", None),
        ("/podman/pod", None),
    ],
)
def test_pod_uids_of_both_drivers_and_of_static_pods(path: str, expected: str | None) -> None:
    assert pod_uid(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/system.slice/web.service", "web.service"),
        ("/system.slice/web.service/worker", "web.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/api.service", "api.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("/user.slice/user-1000.slice", "user-1000.slice"),
        ("/docker/ab", None),
        ("/", None),
    ],
)
def test_the_innermost_unit_is_named(path: str, expected: str | None) -> None:
    assert unit_name(path) == expected


@given(
    st.binary(max_size=120)
    | st.builds(lambda a, b: V1[:a] + b + V1[a:], st.integers(0, 110), st.binary(max_size=9))
)
def test_any_bytes_give_a_value_or_malformed(text: bytes) -> None:
    for parse in (
        parse_cgroup,
        parse_mountinfo_cgroups,
        lambda raw: (memory_limit(raw),),
        cpu_max,
        lambda raw: parse_flat_counters(raw, source="cpu.stat"),
    ):
        try:
            value = parse(text)
        except Malformed:
            continue
        assert len(value) >= 0


@given(st.text(max_size=80))
def test_any_path_has_an_answer(path: str) -> None:
    assert len(container_id(path) or ID) == 64
    assert len(pod_uid(path) or UID) in {32, 36}
    assert (unit_name(path) or "x.service").endswith(
        (".service", ".scope", ".slice", ".socket", ".mount", ".swap")
    )
