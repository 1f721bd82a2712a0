"""Where addresses occur on the stacks of goroutines and in global variables.

A word on a stack may be a dead slot: it says that a goroutine has known an object, not that it will use it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import GoProcess, Look, Words

__all__ = ["StackWords", "globals_with", "goroutines_with", "is_pointer", "stack_words"]

MAX_GOROUTINES = 20_000
"""Goroutines whose stacks are searched, those with the rarest stacks first."""
MAX_WORDS = 1024
"""Words of one stack that are searched, from its stack pointer upwards."""
MAX_GLOBAL_BYTES = 64 << 20
_CHUNK_WORDS = 1 << 20
_MAX_ADDRESS = 1 << 56
_FILTER_BITS = 22
_FEW = 2_000
_FEW_FILTER_BITS = 17


def is_pointer(words: Words) -> NDArray[np.bool_]:
    """Return which words may be addresses of Go objects of pointer size."""
    low, high = np.uint64(1 << 16), np.uint64(_MAX_ADDRESS)
    return np.asarray((words >= low) & (words < high) & (words % np.uint64(8) == 0), np.bool_)


@dataclass(frozen=True, slots=True)
class StackWords:
    """The words of many stacks that may be pointers, in one array.

    Attributes:
        words: the words.
        owners: index in the look of the goroutine on whose stack each is.
        places: how many words above the stack pointer each lies.
        is_complete: all goroutines that were asked for and have a stack are in it; those that run on a CPU have none.
    """

    words: Words
    owners: NDArray[np.int64]
    places: NDArray[np.int64]
    is_complete: bool

    def rows_with(self, addresses: Words) -> NDArray[np.int64]:
        """Return the rows whose word is one of these addresses."""
        return _rows_with(self.words, addresses)


def stack_words(
    look: Look, *, limit: int = MAX_GOROUTINES, among: NDArray[np.int64] | None = None
) -> StackWords:
    """Return the stacks of a look, of at most ``limit`` goroutines; of some goroutines only when ``among`` tells which."""
    stack_of = look.stack_of
    chosen = np.flatnonzero((stack_of >= 0) & ~look.is_system)
    if among is not None:
        chosen = among[stack_of[among] >= 0]
    is_complete = len(chosen) <= limit
    if not is_complete:
        sizes = np.bincount(stack_of[chosen])
        chosen = np.sort(chosen[np.argsort(sizes[stack_of[chosen]], kind="stable")[:limit]])
    parts = [look.words(i)[:MAX_WORDS] for i in chosen.tolist()]
    lengths = np.array([len(part) for part in parts], np.int64)
    if not lengths.sum():
        nothing = np.zeros(0, np.uint64)
        return StackWords(nothing, np.zeros(0, np.int64), np.zeros(0, np.int64), is_complete)
    words = np.concatenate(parts)
    kept = np.flatnonzero(is_pointer(words))
    firsts = np.cumsum(lengths) - lengths
    row = np.searchsorted(firsts, kept, side="right") - 1
    # Goroutines without a word share their place in ``firsts`` with the next one: the last of them has it.
    return StackWords(words[kept], chosen[row].astype(np.int64), kept - firsts[row], is_complete)


def goroutines_with(words: StackWords, addresses: Words) -> dict[int, tuple[int, ...]]:
    """Return for each address that is on some stack the goroutines (indices in the look) that have it."""
    rows = words.rows_with(addresses)
    found: dict[int, dict[int, None]] = {}
    for word, owner in zip(words.words[rows].tolist(), words.owners[rows].tolist(), strict=True):
        found.setdefault(word, {})[owner] = None
    return {word: tuple(owners) for word, owners in found.items()}


def globals_with(process: GoProcess, addresses: Words) -> dict[int, int]:
    """Return for addresses the global variable's address that they are (locks) or that points to them (channels)."""
    found: dict[int, int] = {}
    if not len(addresses):
        return found
    try:
        areas = [
            (process.module(name), process.module(f"e{name}"))
            for name in ("noptrdata", "data", "bss", "noptrbss")
        ]
    except KeyError:
        return found
    for low, high in areas:
        inside = addresses[(addresses >= low) & (addresses < high)]
        found.update({address: address for address in inside.tolist()})
    for low, high in areas[1:3]:
        if not 0 < high - low <= MAX_GLOBAL_BYTES:
            continue
        for at in range(low, high, 8 * _CHUNK_WORDS):
            words = process.memory.words(at, min(_CHUNK_WORDS, (high - at) // 8))
            for row in _rows_with(words, addresses).tolist():
                found.setdefault(int(words[row]), at + 8 * row)
    return found


def _rows_with(words: Words, addresses: Words) -> NDArray[np.int64]:
    """Return the rows of ``words`` that are in ``addresses``; a table of low bits drops nearly all others first."""
    if not len(words) or not len(addresses):
        return np.zeros(0, np.int64)
    bits = _FEW_FILTER_BITS if len(addresses) <= _FEW else _FILTER_BITS
    mask = np.uint64((1 << bits) - 1)
    table = np.zeros(1 << bits, np.bool_)
    table[(addresses >> np.uint64(3)) & mask] = True
    rows = np.flatnonzero(table[(words >> np.uint64(3)) & mask])
    return rows[np.isin(words[rows], addresses)].astype(np.int64)
