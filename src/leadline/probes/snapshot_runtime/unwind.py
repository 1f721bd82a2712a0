"""Walks stacks that were read from a process, many at once, by the stack sizes that Go notes for each instruction.

The caller's frame begins where the callee's ends: the function table tells how much of the stack a function has taken at
an instruction (pcsp). On amd64 the return address lies above that; on arm64 it lies at the stack pointer of the callee.
Stacks are walked level by level with numpy, and told apart by a hash of their instruction pointers; only one of each kind
is walked again to list them.

Source: Go, src/runtime/traceback.go (unwinder.initAt, resolveInternal, next).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.model import Malformed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.formats.gopclntab import GoLineTable
    from leadline.probes.snapshot_runtime.looks import Words

__all__ = ["Ending", "StackWalker", "Starts", "Walked"]

_MAX_DEPTH = 1 << 17
_SCALAR_BELOW = 4  # so few stacks are walked faster one by one
_MAX_KNOWN = 200_000
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_INJECTED = frozenset({"runtime.sigpanic", "runtime.asyncPreempt", "runtime.debugCallV2"})
_INJECTED_SKIP = 2  # words: alignUp(MinFrameSize, StackAlign) on arm64
_CALLBACK = "runtime.cgocallback"


class Ending(IntEnum):
    """How the walk of a stack ended."""

    WHOLE = 0  # at a function that nothing called
    CUT = 1  # at the end of what was read
    LOST = 2  # at what is no code, or at a function that changes stacks


class _Kind(IntEnum):
    CALLED = 0
    TOP = 1
    STOP = 2  # its caller cannot be told, unless it is the innermost
    INJECTED = 3  # arm64: a signal pushed a word more
    BAD = 4


class Starts(NamedTuple):
    """Where stacks begin: arrays of one length.

    Attributes:
        pcs: instruction pointers (run-time addresses).
        links: return addresses in the link register, 0 where there is none (always on amd64).
        begins: index of the word at the stack pointer in the words that were read.
        counts: how many words of it were read.
    """

    pcs: Words
    links: Words
    begins: NDArray[np.int64]
    counts: NDArray[np.int64]


class Walked(NamedTuple):
    """Result by stack: ``hashes`` are equal where the instruction pointers are; ``endings`` are numbers of Ending."""

    hashes: Words
    endings: NDArray[np.int64]


class StackWalker:
    """Walks the stacks of one process.

    Args:
        table: its function table, in linked addresses.
        bias: run-time minus linked addresses.
        uses_link: arm64, where the innermost return address may be in a register.
    """

    def __init__(self, table: GoLineTable, bias: int, *, uses_link: bool) -> None:
        self._table = table
        self._bias = bias
        self._uses_link = uses_link
        self._facts: dict[int, tuple[int, _Kind]] = {}
        self._pcs = np.zeros(0, np.uint64)
        self._sizes = np.zeros(0, np.int64)
        self._kinds = np.zeros(0, np.int64)

    def walk(self, words: Words, starts: Starts) -> Walked:
        """Return hash and ending of each stack.

        Args:
            words: what was read of all stacks, end to end.
            starts: where each begins.
        """
        count = len(starts.pcs)
        hashes = np.zeros(count, np.uint64)
        endings = np.full(count, int(Ending.LOST), np.int64)
        active = np.arange(count)
        pcs, places = starts.pcs.copy(), starts.begins.copy()
        limits = starts.begins + starts.counts
        for level in range(_MAX_DEPTH):
            if level and len(active) <= _SCALAR_BELOW:
                break
            if not len(active):
                break
            rows = self._rows(pcs)
            sizes, kinds = self._sizes[rows], self._kinds[rows]
            is_code = kinds != _Kind.BAD
            hashes[active] = np.where(is_code, self._mix(hashes[active], pcs), hashes[active])
            endings[active[kinds == _Kind.TOP]] = int(Ending.WHOLE)
            goes_on = (kinds == _Kind.CALLED) | (kinds == _Kind.INJECTED)
            if level == 0:
                goes_on |= kinds == _Kind.STOP
            returns = places if self._uses_link else places + sizes
            links = starts.links[active] if level == 0 and self._uses_link else None
            from_link = None if links is None else (sizes == 0) & (links != 0)
            is_read = (returns < limits[active]) & goes_on
            if from_link is not None:
                is_read |= from_link & goes_on
            endings[active[goes_on & ~is_read]] = int(Ending.CUT)
            kept = np.flatnonzero(is_read)
            following = (
                words[np.minimum(returns[kept], len(words) - 1)] if len(words) else np.zeros(0, np.uint64)
            )
            if from_link is not None and links is not None:
                following = np.where(from_link[kept], links[kept], following)
            after = returns[kept] + 1 if not self._uses_link else places[kept] + sizes[kept]
            if self._uses_link:
                after = after + np.where(kinds[kept] == _Kind.INJECTED, _INJECTED_SKIP, 0)
                stuck = (after == places[kept]) & (following == pcs[kept])
                kept, following, after = kept[~stuck], following[~stuck], after[~stuck]
            active, pcs, places = active[kept], following, after
        for index, pc, place in zip(active.tolist(), pcs.tolist(), places.tolist(), strict=True):
            limit = int(limits[index])
            found, _, ending = self._follow(words, pc, place, limit, is_innermost=False)
            hashed = hashes[index : index + 1]
            for each in found:
                hashed = self._mix(hashed, np.array([each], np.uint64))
            hashes[index] = hashed[0]
            endings[index] = int(ending)
        return Walked(hashes, endings)

    def walk_one(
        self, words: Words, pc: int, link: int = 0
    ) -> tuple[tuple[int, ...], tuple[int, ...], Ending]:
        """Return the instruction pointers of one stack, leaf first, where each frame begins, and how it ended.

        Args:
            words: its words from the stack pointer on.
            pc: instruction pointer.
            link: return address in the link register, 0 where there is none.

        Places are counted in words from the stack pointer.
        """
        pcs, places, ending = self._follow(words, pc, 0, len(words), is_innermost=True, link=link)
        return tuple(pcs), tuple(places), ending

    def walk_frames(self, words: Words, pc: int, stack_pointer: int, frame_pointer: int) -> tuple[int, ...]:
        """Return the instruction pointers by the chain of frame pointers; empty when it does not reach the top.

        It needs no table of stack sizes, but misses frames of functions that keep no frame pointer.
        """
        found = [pc]
        place = (frame_pointer - stack_pointer) // 8
        while len(found) < _MAX_DEPTH and 0 <= place < len(words) - 1:
            found.append(int(words[place + 1]))
            if self._fact(found[-1])[1] == _Kind.TOP:
                return tuple(found)
            following = (int(words[place]) - stack_pointer) // 8
            if following <= place or self._fact(found[-1])[1] == _Kind.BAD:
                break
            place = following
        return ()

    def _follow(
        self, words: Words, pc: int, place: int, limit: int, *, is_innermost: bool, link: int = 0
    ) -> tuple[list[int], list[int], Ending]:
        pcs: list[int] = []
        places: list[int] = []
        while len(pcs) < _MAX_DEPTH:
            size, kind = self._fact(pc)
            if kind == _Kind.BAD:
                return pcs, places, Ending.LOST
            pcs.append(pc)
            places.append(place)
            if kind == _Kind.TOP:
                return pcs, places, Ending.WHOLE
            if kind == _Kind.STOP and not is_innermost:
                return pcs, places, Ending.LOST
            by_link = self._uses_link and is_innermost and size == 0 and link != 0
            at = place if self._uses_link else place + size
            if at >= limit and not by_link:
                return pcs, places, Ending.CUT
            following = link if by_link else int(words[at])
            after = place + size if self._uses_link else at + 1
            if self._uses_link and kind == _Kind.INJECTED:
                after += _INJECTED_SKIP
            if after == place and following == pc:
                return pcs, places, Ending.LOST
            pc, place, is_innermost = following, after, False
        return pcs, places, Ending.LOST

    @staticmethod
    def _mix(hashes: Words, pcs: Words) -> Words:
        mixed = (hashes + pcs) * _MULTIPLIER
        return mixed ^ (mixed >> np.uint64(32))

    def _rows(self, pcs: Words) -> NDArray[np.int64]:
        """Return for each instruction pointer its row in the arrays of what is known."""
        if len(self._pcs):
            rows = np.minimum(np.searchsorted(self._pcs, pcs), len(self._pcs) - 1)
            if bool((self._pcs[rows] == pcs).all()):
                return rows
            unknown = np.unique(pcs[self._pcs[rows] != pcs])
        else:
            unknown = np.unique(pcs)
        facts = [self._fact(pc) for pc in unknown.tolist()]
        if len(self._pcs) > _MAX_KNOWN:  # only garbage makes so many: keep what is asked for now
            self._facts.clear()
            unknown = np.unique(pcs)
            facts = [self._fact(pc) for pc in unknown.tolist()]
            self._pcs, self._sizes, self._kinds = (
                np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64),
            )  # fmt: skip
        every = np.concatenate([self._pcs, unknown])
        order = np.argsort(every, kind="stable")
        self._pcs = every[order]
        self._sizes = np.concatenate([self._sizes, np.array([size for size, _ in facts], np.int64)])[order]
        self._kinds = np.concatenate([self._kinds, np.array([int(kind) for _, kind in facts], np.int64)])[
            order
        ]
        return np.searchsorted(self._pcs, pcs)

    def _fact(self, pc: int) -> tuple[int, _Kind]:
        """Return how many words the function has taken of the stack at an instruction, and its kind."""
        known = self._facts.get(pc)
        if known is None:
            known = self._facts[pc] = self._look_up(pc)
        return known

    def _look_up(self, pc: int) -> tuple[int, _Kind]:
        try:
            code = self._table.code_at(pc - self._bias)
        except Malformed:
            code = None
        if code is None:
            return 0, _Kind.BAD
        if code.is_top:
            return 0, _Kind.TOP
        if code.stack_delta is None or code.stack_delta < 0 or code.stack_delta % 8:
            return 0, _Kind.BAD
        size = code.stack_delta // 8
        if code.moves_stack and code.function != _CALLBACK:
            return size, _Kind.STOP
        return size, _Kind.INJECTED if code.function in _INJECTED else _Kind.CALLED
