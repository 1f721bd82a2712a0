"""What the heap is searched for: sockets of every age, and the channels at which most goroutines are stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from leadline.evidence.kinds import WaitObject
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.observe import MAX_ASKED, MAX_SEARCHED, _reached, _spread, _unserved

if TYPE_CHECKING:
    from leadline.probes.snapshot_runtime.looks import Look


class Columns:
    """Goroutines 1 to n: the stack of each."""

    def __init__(self, stacks: list[int]) -> None:
        self.goids = np.arange(1, len(stacks) + 1)
        self.stack_of = np.array(stacks)


def channels(*receivers: tuple[int, ...]) -> Found:
    found = Found()
    for number, goids in enumerate(receivers, 1):
        one = WaitObject(id=number, pid=7, kind="chan", receivers=goids, stacks_searched=True)
        found.objects.append(one)
        found.addresses[number] = 0x1000 * number
    return found


def asked(found: Found, stacks: list[int]) -> dict[int, tuple[int, ...]]:
    return _unserved(found, cast("Look", Columns(stacks)))


def test_channels_whose_waiters_stand_where_most_stand_come_first() -> None:
    """One channel for each stuck goroutine: many of one kind are what leaks, though each is waited for by one only."""
    lonely, crowd = [100 + n for n in range(MAX_ASKED)], [5] * 40
    waits = asked(channels(*((n,) for n in range(1, MAX_ASKED + 41))), [*lonely, *crowd])
    assert len(waits) == MAX_ASKED
    assert list(waits.values())[:40] == [(n,) for n in range(MAX_ASKED + 1, MAX_ASKED + 41)]


def test_channels_that_somebody_has_at_hand_are_not_asked_about() -> None:
    found = channels((1,), (2,))
    found.objects[0] = WaitObject(
        id=1, pid=7, kind="chan", receivers=(1,), holders=(9,), stacks_searched=True
    )
    assert list(asked(found, [0, 0])) == [0x2000]


def test_an_answer_is_kept_where_none_was_known() -> None:
    found = channels((1,))
    assert _reached(found.objects[0], found, {0x1000: "nobody"}).reachable == "nobody"
    assert _reached(found.objects[0], found, {}).reachable is None


def test_old_and_young_sockets_are_searched_for_alike() -> None:
    few, many = list(range(5)), list(range(10 * MAX_SEARCHED))
    assert _spread(few) == few
    chosen = _spread(many)
    assert len(chosen) == MAX_SEARCHED
    assert (chosen[0], chosen[-1]) == (0, many[-10])
