"""Which connections nobody uses: exact bounds, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import RAW_READ, Runtime
from evidence_builders import Scene
from leadline.evidence.kinds import Window
from leadline.evidence.owners import Owner, OwnerBook
from leadline.rules.connections import Seen
from leadline.rules.fdl.forgotten import because, is_forgotten, is_left, is_settled, most_frequent, states
from leadline.rules.table import Table


def owner_of(
    kind: str = "tcp", *, reads: bool = False, is_read: bool = True, **facts: Any
) -> tuple[Owner, Seen]:
    """Return the owner of one accepted connection at the end of 12 s, with or without a goroutine that reads it."""
    scene = Scene(window_s=12.0)
    life = scene.place(kind, "accepted").live(**{"born_s": 2.0, **facts})
    runtime = Runtime(scene)
    if reads:
        runtime.reader(life, *RAW_READ, "main.read:5")
    else:
        runtime.use(life)
    evidence = runtime.evidence() if is_read else scene.evidence()
    book = OwnerBook.of_evidence(evidence)
    seen = Seen(Table.of(window=evidence.all(Window)), book, {})
    return next(iter(book)), seen


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, True),
        ({"born_s": 11.0}, True),
        ({"born_s": 11.1}, False),
        ({"state": "LISTEN"}, False),
        ({"state": "SYN_SENT"}, False),
        ({"reads": True}, False),
        ({"is_read": False}, False),
        ({"kind": "pipe"}, False),
    ],
)
def test_forgotten(facts: dict[str, Any], *, expected: bool) -> None:
    assert is_forgotten(*owner_of(**facts)) is expected


@pytest.mark.parametrize(
    ("facts", "left", "settled"),
    [
        ({"state": "CLOSE_WAIT", "since_ack_s": 2.0}, True, True),
        ({"state": "CLOSE_WAIT", "since_ack_s": 1.9}, False, False),
        ({"state": "ESTABLISHED"}, False, False),
        ({"rqueue": 9, "last_data_s": 11.0}, False, True),
        ({"rqueue": 9, "last_data_s": 11.1}, False, False),
    ],
)
def test_settled(facts: dict[str, Any], *, left: bool, settled: bool) -> None:
    owner, _ = owner_of(**facts)
    assert (is_left(owner), is_settled(owner)) == (left, settled)


def test_what_is_said() -> None:
    owner, _ = owner_of(state="CLOSE_WAIT", since_ack_s=2.0, last_data_s=3.0)
    assert states([owner, owner]) == "2 CLOSE_WAIT"
    assert [one.says for one in because([owner])] == [
        "No goroutine waits on 1 of 1, nor was one seen to work with them.",
        "Their sockets: 1 CLOSE_WAIT; no data has moved on one for 9 s.",
    ]
    assert most_frequent(["b", "a", "", "b"]) == "b"
    assert most_frequent([""]) == ""
