"""Birthplaces without stacks."""

from __future__ import annotations

import pytest

from leadline.contracts import FdLink
from leadline.evidence.kinds import DescriptorKind as Kind
from leadline.probes.trace_snapshots.groups import (
    MAX_GROUPS,
    MAX_SAMPLES,
    Endpoint,
    Groups,
    group_key,
    path_pattern,
)
from leadline.probes.trace_snapshots.tracker import Seen

SECOND = 1_000_000_000


def seen(fd: int, first_s: float, last_s: float = 0.0) -> Seen:
    return Seen(FdLink(fd, f"socket:[{fd}]"), int(first_s * SECOND), int(last_s * SECOND), is_before=False)


@pytest.mark.parametrize(
    ("kind", "name", "endpoint", "key"),
    [
        (Kind.TCP, "socket:[9]", Endpoint(8080, "10.0.0.2:51000", 51000), ("tcp", "accepted", "port 8080")),
        (Kind.TCP, "socket:[9]", Endpoint(51000, "10.0.0.2:5432", 5432), ("tcp", "dialed", "port 5432")),
        (Kind.TCP, "socket:[9]", Endpoint(8080, "", None), ("tcp", "created", "")),
        (Kind.TCP, "socket:[9]", None, ("tcp", "created", "")),
        (Kind.FILE, "/spool/job-17.tmp", None, ("file", "opened", "/spool/job-#.tmp")),
        (Kind.EVENTFD, "anon_inode:[eventfd]", None, ("eventfd", "created", "")),
    ],
)
def test_groups_are_by_kind_role_and_place(
    kind: Kind, name: str, endpoint: Endpoint | None, key: tuple[str, ...]
) -> None:
    assert group_key(kind, name, endpoint, frozenset({8080})) == key


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/a/1/b22.log", "/a/#/b#.log"),
        ("/cache/3fa9b2c4deadbeef", "/cache/#"),
        ("/decade/facade", "/decade/facade"),
        ("/plain", "/plain"),
        ("/tmp/x9 (deleted)", "/tmp/x# (deleted)"),
    ],
)
def test_changing_parts_of_paths_are_left_open(path: str, pattern: str) -> None:
    assert path_pattern(path) == pattern


def test_a_birthplace_counts_births_deaths_ages_and_lifetimes() -> None:
    groups = Groups(0)
    key = ("tcp", "dialed", "port 5432")
    everyone = [seen(fd, 1, 3) for fd in range(5)]
    for one in everyone:
        groups.join(one, key)
    groups.sample(SECOND, everyone)
    for one in everyone[3:]:
        groups.bury(one, SECOND // 2)  # seen for 2 s, with looks each half second
    groups.sample(4 * SECOND, everyone[:3])
    (birthplace,), ids = groups.birthplaces(7, 4 * SECOND, everyone[:3], {0: "a", 1: "a", 2: "b"})
    assert (birthplace.pid, birthplace.kind, birthplace.role, birthplace.syscall) == (
        7,
        Kind.TCP,
        "dialed",
        "snapshot",
    )
    assert (birthplace.births, birthplace.deaths, birthplace.alive) == (5, 2, 3)
    assert birthplace.ages_ns == (3 * SECOND,) * 3
    assert [(bucket.lower_ns, bucket.upper_ns, bucket.count) for bucket in birthplace.lifetimes] == [
        (1 << 31, 1 << 32, 2)
    ]
    assert [(one.births, one.deaths, one.alive) for one in birthplace.series] == [
        (0, 0, 0),
        (5, 0, 5),
        (5, 2, 3),
    ]
    assert birthplace.peers == (("a", 2), ("b", 1))
    assert (birthplace.stack, birthplace.site) == (None, None)
    assert ids == {key: birthplace.id}


def test_most_alive_come_first() -> None:
    groups = Groups(0)
    few, many = [seen(1, 1)], [seen(fd, 1) for fd in range(2, 25)]
    for one in few:
        groups.join(one, ("file", "opened", "/x"))
    for one in many:
        groups.join(one, ("tcp", "created", ""))
    found, _ = groups.birthplaces(7, SECOND, few + many, {})
    assert [(birthplace.id, birthplace.alive) for birthplace in found] == [(1, 23), (2, 1)]


def test_the_number_of_groups_is_bounded() -> None:
    groups = Groups(0)
    everyone = [seen(fd, 1) for fd in range(MAX_GROUPS + 23)]
    for one in everyone:
        groups.join(one, ("file", "opened", f"/{one.link.fd}"))
    found, _ = groups.birthplaces(7, SECOND, everyone, {})
    assert len(found) == MAX_GROUPS + 1
    assert (found[0].alive, found[0].role) == (23, "created")


def test_samples_are_bounded_and_keep_the_ends() -> None:
    groups = Groups(0)
    one = seen(1, 0)
    groups.join(one, ("tcp", "created", ""))
    for number in range(1, 5 * MAX_SAMPLES):
        groups.sample(number, [one])
    (birthplace,), _ = groups.birthplaces(7, SECOND, [one], {})
    times = [sample.mono_ns for sample in birthplace.series]
    assert len(times) <= MAX_SAMPLES
    assert (times[0], times[-1]) == (0, 5 * MAX_SAMPLES - 1)
    assert times == sorted(set(times))
