"""Connections in groups: who joins whom, how they grow, how long nothing has moved; and all healthy patterns stay silent."""

from __future__ import annotations

import importlib

import msgspec
import pytest

from connection_builders import Runtime
from evidence_builders import HTTP_DIAL, PID, Place, Scene, steady
from judging import verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Pool,
    ProcessInfo,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.model import Finding, Severity
from leadline.rules._index import RULES
from leadline.rules.connections import ConnectionNeeds, Group, Seen, at, connections, still_ns
from leadline.rules.survival import Shape
from runtime_scenes import HEALTHY

OURS = ("GOR101", "HTP101", "HTP102", "HTP103", "HTP104", "TLS101", "TLS102")
S = 10**9


@pytest.mark.parametrize("seen", ["two looks", "one look", "without sockets"])
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_patterns_are_never_found(name: str, seen: str) -> None:
    runtime = HEALTHY[name]()
    runtime.scene.has_sockets = seen != "without sockets"
    if seen == "one look":
        runtime.passes = 1
        runtime.goroutines = [
            msgspec.structs.replace(one, moved=None, is_new=False) for one in runtime.goroutines
        ]
    evidence = runtime.evidence()
    for code in OURS:
        rule = importlib.import_module(RULES[code]).RULE
        found = [verdict.title for verdict in verdicts(rule, evidence) if isinstance(verdict, Finding)]
        assert not found, f"{code} is a false alarm"


def joined(evidence: Evidence) -> Seen:
    return ConnectionNeeds(
        window=evidence.all(Window),
        runtimes=evidence.all(GoRuntime),
        connections=evidence.all(Connection),
        goroutines=evidence.get(Goroutine),
        uses=evidence.get(DescriptorUse),
        stacks=evidence.get(Stack),
        pools=evidence.get(Pool),
        descriptors=evidence.get(Descriptor),
        sockets=evidence.get(SocketState),
        processes=evidence.get(ProcessInfo),
        birthplaces=evidence.get(Birthplace),
        timeline=evidence.get(TimelineSample),
    ).joined()


def clients(births: list[float], *, passes: int = 2, **facts: float) -> tuple[Runtime, Place]:
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed", function="main.fetch", below=HTTP_DIAL)
    place.all(births, **facts)
    runtime = Runtime(scene, passes)
    for life in place.lives:
        runtime.client(life, "idle", moved=False if life.born_s < 0 else None)
    return runtime, place


def host(owner: object) -> str:
    return getattr(getattr(owner, "connection", None), "host", "") or ""


def test_those_from_before_join_the_largest_group_with_their_key() -> None:
    runtime, _ = clients([*([-9.0] * 4), *steady(6, 0.0, 10.0)])
    other = runtime.scene.place("tcp", "dialed", function="main.other", line=7, below=HTTP_DIAL)
    other.all(steady(3, 0.0, 10.0))
    for life in other.lives:
        runtime.client(life, "idle")
    strange = runtime.scene.place("tcp", "dialed")
    strange.all([-9.0] * 2)
    for life in strange.lives:
        runtime.client(life, "idle", host="strange.test:80")
    seen = joined(runtime.evidence())
    groups = seen.groups(seen.owners(), host)
    assert [(group.count, group.hosts) for group in groups] == [
        (10, "http://api.test:80"),
        (3, "http://api.test:80"),
        (2, "http://strange.test:80"),
    ]
    assert [at(seen.acquired(group)) for group in groups] == [
        " at main.fetch (main.go:42)",
        " at main.other (main.go:7)",
        "",
    ]


def test_growth_is_that_of_members_made_in_the_window() -> None:
    runtime, _ = clients([*([-9.0] * 50), *steady(20, 0.5, 19.5)])
    seen = joined(runtime.evidence())
    (group,) = seen.groups(seen.owners(), host)
    growth = seen.growth(group)
    assert growth.shape is Shape.LEAKING
    assert growth.rate_per_s == pytest.approx(1.0, abs=0.1)
    assert "the soft limit is reached in" in seen.says_left(PID, growth)
    assert seen.severity(PID, growth) is Severity.HIGH
    old, _ = clients([-9.0] * 50)
    seen = joined(old.evidence())
    (group,) = seen.groups(seen.owners(), host)
    assert seen.growth(group).rate_per_s is None
    assert seen.severity(PID, seen.growth(group)) is Severity.MEDIUM
    assert seen.births(group, seen.growth(group)) == ()


def test_what_was_closed_at_the_same_place_counts_unless_the_members_are_lost() -> None:
    runtime, place = clients([])
    for born_s in steady(100, 0.0, 20.0):
        life = place.live(born_s, born_s + 2.0)
        if life.died_s > 20.0:
            runtime.client(life, "idle")
    seen = joined(runtime.evidence())
    (group,) = seen.groups(seen.owners(), host)
    assert seen.growth(group).shape is not Shape.LEAKING


@pytest.mark.parametrize(("passes", "has_sockets", "seconds"), [(2, False, 20), (2, True, 20), (1, True, 5)])
def test_nothing_has_happened_for_the_longest_time_that_is_told(
    passes: int, has_sockets: bool, seconds: int
) -> None:
    runtime, _ = clients([-9.0], passes=passes, last_data_s=15.0)
    runtime.scene.has_sockets = has_sockets
    seen = joined(runtime.evidence())
    assert still_ns(seen.book.get(PID, 3), seen) == seconds * S


def test_what_the_runtime_noted_counts_and_nothing_told_is_unknown() -> None:
    scene = Scene(window_s=20.0, has_sockets=False)
    place = scene.place("tcp", "accepted")
    place.all([1.0, 1.0, 1.0])
    runtime = Runtime(scene, passes=1)
    runtime.reader(place.lives[0], waited_ns=70 * S)
    runtime.connection(place.lives[1], "server", "http/1.1", "headers", since_s=-10.0)
    seen = joined(runtime.evidence())
    assert [still_ns(seen.book.get(PID, fd), seen) for fd in (3, 4, 5)] == [70 * S, 30 * S, None]


def test_many_hosts_are_cut_short_and_one_connection_is_one() -> None:
    runtime, place = clients([])
    for name in ("a", "b", "b", "c"):
        runtime.client(place.live(1.0), "idle", host=name)
    seen = joined(runtime.evidence())
    assert Group(PID, tuple(seen.owners()), None).hosts == "http://b, http://a ..."
    assert (connections(1), connections(2)) == ("1 connection", "2 connections")
