"""Objects that goroutines work with, found among the words of their stacks.

A word is only a candidate: a ``check`` must prove by the object's own structure what it is. Goroutines with the same stack
hold the object at the same place of a frame, so after a few of them only that place is read of the others.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Look, Words
    from leadline.probes.snapshot_runtime.sites import Sites

    Check = Callable[[Words], NDArray[np.int64]]

__all__ = ["Object", "find_objects"]

_SAMPLES = 3
_MAX_ALONE = 300
"""Goroutines whose whole frame is searched because the usual place did not hold the object."""
_MAX_WORDS = 600


class Object(NamedTuple):
    """An object that was proved: its address, and the value that the check gave for it."""

    address: int
    value: int


def find_objects(
    look: Look,
    sites: Sites,
    indices: NDArray[np.int64],
    wanted: Callable[[str], bool],
    check: Check,
    *,
    expected: dict[int, int] | None = None,
    unique: bool = True,
) -> dict[int, Object]:
    """Return the object of each goroutine by index, those without one left out.

    Args:
        look: the goroutines.
        sites: frames of the same look.
        indices: goroutines to search.
        wanted: names the function in whose frame the object must be.
        check: gives for addresses a value >= 0 where the object is what is searched for, -1 elsewhere; it is asked for few
            distinct addresses, all of which may be garbage.
        expected: value that the object of a goroutine must have, by index; others may have any.
        unique: an object belongs to one goroutine: where two seem to have it, both are left out unless it was expected.
    """
    found: dict[int, Object] = {}
    by_stack: dict[int, list[int]] = {}
    for i, stack in zip(indices.tolist(), look.stack_of[indices].tolist(), strict=True):
        if stack >= 0:
            by_stack.setdefault(stack, []).append(i)
    for members in by_stack.values():
        extent = sites.extent(members[0], wanted)
        if extent is not None:
            found.update(_in_group(look, members, extent, check, expected or {}))
    return _once(found, expected or {}) if unique else found


def _in_group(
    look: Look, members: list[int], extent: tuple[int, int], check: Check, expected: dict[int, int]
) -> dict[int, Object]:
    first, last = extent[0], min(extent[1], extent[0] + _MAX_WORDS)
    rows = [look.words(i)[first:last] for i in members]
    members = [i for i, row in zip(members, rows, strict=True) if len(row)]
    rows = [row for row in rows if len(row)]
    if not rows:
        return {}
    width = min(map(len, rows))
    table = np.stack([row[:width] for row in rows])
    found: dict[int, Object] = {}
    places: Counter[int] = Counter()
    for row in {0, len(members) // 2, len(members) - 1, *range(min(_SAMPLES, len(members)))}:
        chosen = _in_row(table[row], look.words(members[row]), check, expected.get(members[row]))
        if chosen is not None:
            found[members[row]] = chosen
            places.update(np.flatnonzero(table[row] == np.uint64(chosen.address)).tolist())
    pending = [row for row, i in enumerate(members) if i not in found]
    for place, _ in places.most_common(4):
        if not pending:
            break
        values = _checked(table[pending, place], check)
        for row, value in zip(pending, values.tolist(), strict=True):
            if value >= 0 and expected.get(members[row], value) == value:
                found[members[row]] = Object(int(table[row, place]), value)
        pending = [row for row in pending if members[row] not in found]
    for row in pending[:_MAX_ALONE]:
        chosen = _in_row(table[row], look.words(members[row]), check, expected.get(members[row]))
        if chosen is not None:
            found[members[row]] = chosen
    return found


def _in_row(row: Words, stack: Words, check: Check, expected: int | None) -> Object | None:
    """Return the object that a frame speaks for: the only one, or the one that it, and then its stack, names most often."""
    addresses, counts = np.unique(row, return_counts=True)
    values = _checked(addresses, check)
    is_good = values >= 0 if expected is None else values == expected
    if not is_good.any():
        return None
    addresses, counts, values = addresses[is_good], counts[is_good], values[is_good]
    best = counts == counts.max()
    if best.sum() > 1:
        totals = np.array([int((stack == address).sum()) for address in addresses])
        best &= totals == totals[best].max()
    if best.sum() > 1:  # a stale word may name another object: rather none than a wrong one
        return None
    at = int(np.flatnonzero(best)[0])
    return Object(int(addresses[at]), int(values[at]))


def _checked(addresses: Words, check: Check) -> NDArray[np.int64]:
    values = np.full(len(addresses), -1, np.int64)
    is_pointer = (addresses > 4096) & (addresses < 1 << 47) & (addresses % 8 == 0)
    if is_pointer.any():
        values[is_pointer] = check(addresses[is_pointer])
    return values


def _once(found: dict[int, Object], expected: dict[int, int]) -> dict[int, Object]:
    """Leave out an object that two goroutines seem to have, except where it was expected."""
    uses = Counter(one.address for one in found.values())
    return {i: one for i, one in found.items() if uses[one.address] == 1 or i in expected}
