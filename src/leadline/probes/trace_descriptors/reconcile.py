"""Compare what the event stream believes with the kernel's own table: pure, over structured arrays.

The two are read one after the other, so a descriptor that is made or closed in between looks wrong once. Only what
looks wrong in the same way in several readings is wrong.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leadline.contracts.bpf import Rows

__all__ = ["Comparison", "Seen", "compare", "with_lives"]


class Seen(IntEnum):
    """How a descriptor of the table is known."""

    TRANSIENT = 0  # being made or closed at the moment of reading: leave it out
    TRACED = 1
    BEFORE = 2
    INHERITED = 3
    UNKNOWN = 4


class Comparison(NamedTuple):
    """One reading compared.

    Attributes:
        life_of: for each row of the table the index of its life, -1 when the stream knows none.
        stale: (number, time of birth) of lives that the table does not contain.
        unknown: (number, file) of rows without a life.
    """

    life_of: NDArray[np.int64]
    stale: frozenset[tuple[int, int]]
    unknown: frozenset[tuple[int, int]]


def compare(table: Rows, lives: Rows) -> Comparison:
    """Return which rows and lives belong together: same number, same open file description.

    Args:
        table: rows of the iterator, of one process.
        lives: what is believed alive in that process.
    """
    order = np.argsort(lives["fd"], kind="stable")
    life_of = np.full(len(table), -1, np.int64)
    if len(lives) and len(table):
        place = np.searchsorted(lives["fd"][order], table["fd"])
        candidate = order[np.minimum(place, len(lives) - 1)]
        same = (lives["fd"][candidate] == table["fd"]) & (lives["file"][candidate] == table["file"])
        life_of[same] = candidate[same]
    orphan = np.ones(len(lives), bool)
    orphan[life_of[life_of >= 0]] = False
    unknown = life_of < 0
    return Comparison(
        life_of,
        frozenset(zip(lives["fd"][orphan].tolist(), lives["born_ns"][orphan].tolist(), strict=True)),
        frozenset(zip(table["fd"][unknown].tolist(), table["file"][unknown].tolist(), strict=True)),
    )


_LIFE_COLUMNS = ("site", "born_ns", "owner", "nr")


def with_lives(table: Rows, lives: Rows, life_of: NDArray[np.int64]) -> Rows:
    """Return the table with ``origin`` (``Seen``), ``site``, ``born_ns``, ``owner``, ``nr``, ``birth_tid``, ``seen_since_ns``.

    Rows without a life have origin TRANSIENT and zeros: the caller decides what they are.
    """
    dtype = np.dtype(
        [("origin", "u1")]
        + [(name, table.dtype[name]) for name in table.dtype.names or ()]
        + [(name, lives.dtype[name]) for name in _LIFE_COLUMNS]
        + [("birth_tid", "<u4"), ("seen_since_ns", "<u8")]
    )
    out = np.zeros(len(table), dtype)
    for name in table.dtype.names or ():
        out[name] = table[name]
    known = life_of >= 0
    chosen = lives[life_of[known]]
    for name in _LIFE_COLUMNS:
        out[name][known] = chosen[name]
    out["birth_tid"][known] = chosen["tid"]
    out["seen_since_ns"][known] = chosen["born_ns"]
    # The kind by the maker tells anonymous inodes apart; the kind by the file knows sockets better.
    anonymous = known.copy()
    anonymous[known] = (chosen["kind"] & 255) >= _FIRST_MADE_KIND
    out["kind"][anonymous] = lives["kind"][life_of[anonymous]]
    out["origin"][known] = Seen.TRACED
    return out


_FIRST_MADE_KIND = 16  # enum what: from here on only the maker knows
