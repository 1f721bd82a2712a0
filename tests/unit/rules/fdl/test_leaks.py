"""Which rule owns which birthplace, and what only sockets can correct."""

from __future__ import annotations

from typing import Any

import pytest

from evidence_builders import Scene, steady
from leadline.evidence.kinds import (
    Birthplace,
    Descriptor,
    DescriptorKind,
    ProcessInfo,
    Refusal,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.rules.fdl.leaks import Judged, LeakNeeds, assess_birthplace, owner
from leadline.rules.survival import Shape


def needs(scene: Scene) -> LeakNeeds:
    evidence = scene.evidence()
    return LeakNeeds(
        window=evidence.all(Window),
        birthplaces=evidence.all(Birthplace),
        descriptors=evidence.all(Descriptor),
        sockets=evidence.get(SocketState),
        stacks=evidence.get(Stack),
        processes=evidence.get(ProcessInfo),
        timeline=evidence.get(TimelineSample),
        refusals=evidence.get(Refusal),
    )


def judged(scene: Scene) -> Judged:
    table = needs(scene).table()
    return assess_birthplace(table, table.birthplaces[0])


@pytest.mark.parametrize("kind", list(DescriptorKind))
@pytest.mark.parametrize("role", ["dialed", "accepted", "opened", "duplicated", "created"])
def test_each_birthplace_has_one_owner(kind: DescriptorKind, role: str) -> None:
    scene = Scene()
    scene.place(kind.value, role).live(1.0)
    table = needs(scene).table()
    codes = {"tcp": "FDL101", "file": "FDL103", "directory": "FDL103", "device": "FDL103", "pipe": "FDL104"}
    expected = codes.get(kind.value, "FDL105")
    if kind is DescriptorKind.TCP and role == "accepted":
        expected = "FDL102"
    if kind.is_socket and role == "duplicated":
        expected = "FDL105"
    assert owner(table.birthplaces[0], table) == expected


@pytest.mark.parametrize("syscall", ["snapshot", "unknown"])
def test_without_births_it_is_the_rule_on_growth(syscall: str) -> None:
    scene = Scene()
    scene.place("tcp", "accepted", syscall=syscall).live(1.0)
    table = needs(scene).table()
    assert owner(table.birthplaces[0], table) == "FDL110"


def test_older_ones_that_look_the_same_ask_for_eight() -> None:
    def at(count: int, older: int) -> Shape:
        scene = Scene(window_s=12.0)
        place = scene.place("file", "opened")
        place.all([-5.0] * older)
        place.all(steady(count, 0.2, 11.7))
        return judged(scene).assessment.shape

    assert at(7, 3) is Shape.LEAKING
    assert at(7, 4) is Shape.UNCLEAR
    assert at(8, 4) is Shape.LEAKING


def test_old_peers_that_are_gone_decide_from_five_seconds_on() -> None:
    def at(born_s: float) -> Shape:
        scene = Scene(window_s=12.0)
        scene.place("tcp", "accepted").all([born_s] * 5, state="CLOSE_WAIT", since_ack_s=2.0)
        return judged(scene).assessment.shape

    assert at(7.0) is Shape.LEAKING
    assert at(7.1) is not Shape.LEAKING


def test_replacement_of_older_ones_is_not_decided_unless_sockets_prove_it() -> None:
    def at(**facts: Any) -> Shape:
        scene = Scene(window_s=12.0)
        place = scene.place("tcp", "dialed")
        for index in range(20):
            place.live(-9.0, 0.3 + 0.5 * index)
        place.all(steady(20, 0.2, 11.7), **facts)
        return judged(scene).assessment.shape

    assert at() is Shape.UNCLEAR
    assert at(state="CLOSE_WAIT", since_ack_s=2.0) is Shape.LEAKING


def test_without_a_count_by_kind_all_kinds_are_asked_where_older_ones_look_the_same() -> None:
    def at(stock: int, others_closed: int) -> Shape:
        scene = Scene(window_s=12.0, kinds_at_begin=False)
        place = scene.place("file", "opened")
        place.all([-9.0] * stock)
        place.all(steady(20, 0.2, 11.7))
        others = scene.place("tcp", "accepted")
        for index in range(others_closed):
            others.live(-9.0, 0.3 + 0.5 * index)
        return judged(scene).assessment.shape

    assert at(10, 4) is Shape.UNCLEAR
    assert at(10, 3) is Shape.LEAKING
    assert at(9, 20) is Shape.LEAKING


def test_confidence_is_less_without_births() -> None:
    def at(syscall: str) -> float:
        scene = Scene(window_s=12.0)
        scene.place("file", "opened", syscall=syscall).all(steady(23, 0.2, 11.7))
        return judged(scene).assessment.confidence

    assert at("snapshot") == pytest.approx(0.8 * at("openat"), abs=0.001)
