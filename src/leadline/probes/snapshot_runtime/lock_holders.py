"""Which goroutines seem to hold a lock: Go does not note it, so it is told from code and stacks.

A goroutine holds a lock when one of its frames is past a call of Lock and has the lock in hand: the code before that call
refers to this very global (amd64), or the frame's words point to the object that the lock lies in and the code names its
place in it. A call of Unlock after it, in the order of the code, speaks against it. Where no frame is past a call of Lock,
goroutines that merely know the lock are told.

Sources: sync/rwmutex.go, internal/sync/mutex.go (Lock is inlined up to the call of lockSlow), cmd/compile (addresses relative
to RIP on amd64).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.probes.snapshot_runtime.spans import read_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.known_by import StackWords
    from leadline.probes.snapshot_runtime.looks import GoProcess, Look

__all__ = ["Held", "Lock", "holders_of"]

MAX_LOCKS = 200
"""Locks whose holders are looked for, those with the most waiters first."""
MAX_HOLDERS = 16
"""Goroutines told as possible holders of one lock: more than these say nothing."""
MAX_STACKS = 5_000
"""Distinct stacks whose code is read."""
_MAX_CODE_BYTES = 64 << 10
_MAX_ADDRESS = 1 << 48
_LOCKED = 1
_CALL = 0xE8
_CALL_BYTES = 5
_REACH_BYTES = 48
"""How far before a call of Lock or Unlock the compiler puts what is locked."""
_SPILL_BYTES = 80
_GLOBAL_REACH = 256
_MAX_NAMES = 512
"""Words before a lock that may be where its object begins."""
_INNER = {"mutex": 0, "rwmutex": 16}
"""Where in a lock inlined code counts: Mutex.state, RWMutex.readerCount."""
# ModRM with a base register: without displacement (not RIP-relative), with one of a byte, with one of four.
_MODRM = rb"(?:(?P<none>[\x00-\x03\x06-\x0b\x0e-\x13\x16-\x1b\x1e-\x23\x26-\x2b\x2e-\x33\x36-\x3b\x3e\x3f])"
_MODRM += rb"|[\x40-\x43\x45-\x4b\x4d-\x53\x55-\x5b\x5d-\x63\x65-\x6b\x6d-\x73\x75-\x7b\x7d-\x7f](?P<byte>.)"
_MODRM += (
    rb"|[\x80-\x83\x85-\x8b\x8d-\x93\x95-\x9b\x9d-\xa3\xa5-\xab\xad-\xb3\xb5-\xbb\xbd-\xbf](?P<four>.{4}))"
)
_IN_PLACE = re.compile(rb"\xf0[\x40-\x4f]?\x0f[\xb1\xc1]" + _MODRM, re.DOTALL)
_LEA = re.compile(rb"[\x48-\x4f]\x8d" + _MODRM, re.DOTALL)
_ADD = re.compile(rb"[\x48\x49]\x83[\xc0-\xc7](.)", re.DOTALL)
_LOCKS = (
    "internal/sync.(*Mutex).lockSlow",
    "internal/sync.(*Mutex).Lock",
    "sync.(*Mutex).lockSlow",
    "sync.(*Mutex).Lock",
    "sync.(*RWMutex).Lock",
    "sync.(*RWMutex).RLock",
    "sync.runtime_SemacquireRWMutexR",
)
_UNLOCKS = (
    "internal/sync.(*Mutex).unlockSlow",
    "internal/sync.(*Mutex).Unlock",
    "sync.(*Mutex).unlockSlow",
    "sync.(*Mutex).Unlock",
    "sync.(*RWMutex).Unlock",
    "sync.(*RWMutex).RUnlock",
    "sync.(*RWMutex).rUnlockSlow",
)


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that goroutines wait for.

    Attributes:
        kind: ``mutex`` or ``rwmutex``.
        address: where it begins.
        waiters: indices in the look.
    """

    kind: str
    address: int
    waiters: frozenset[int]


class _Past(Enum):
    """What a frame's code has done with a lock before its return address, in the order of the code."""

    LOCKED = 1
    RELEASED = 2


class _Function(NamedTuple):
    """Code of one function, and the addresses of the operands of its calls that lock and unlock."""

    code: NDArray[np.uint8]
    locks: NDArray[np.int64]
    unlocks: NDArray[np.int64]


class Held(NamedTuple):
    """Who seems to hold a lock (indices in the look), and whether the code they are in tells."""

    holders: tuple[int, ...]
    by_code: bool


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the code of one frame has done before its return address.

    Attributes:
        first: address of its function.
        code: its machine code.
        locks, unlocks: addresses of the operands of its calls that lock and unlock, rising, the call it is in left out.
    """

    first: int
    code: NDArray[np.uint8]
    locks: tuple[int, ...]
    unlocks: tuple[int, ...]

    def of_global(self, low: int, high: int) -> _Past | None:
        """Return whether it has locked what lies between two addresses; None when it never does."""
        return self._past(lambda call: self._refers(call, low, high))

    def of_any(self) -> _Past | None:
        """Return whether it has locked anything; None when it never does."""
        return self._past(lambda _: True)

    def of_member(self, distance: int, inner: int) -> _Past | None:
        """Return whether it has locked what lies at a distance from a pointer; None when it never does.

        Args:
            distance: bytes from the pointer to the lock.
            inner: bytes from the lock to the word that inlined code counts in.
        """
        return self._past(lambda call: {distance, distance + inner} & self._displacements(call) != set())

    def _past(self, is_about: Callable[[int], bool]) -> _Past | None:
        locks = [call for call in self.locks if is_about(call)]
        if not locks:
            return None
        unlocks = [call for call in self.unlocks if is_about(call)]
        return _Past.RELEASED if unlocks and unlocks[-1] > locks[-1] else _Past.LOCKED

    def _refers(self, call: int, low: int, high: int) -> bool:
        """Return whether an operand relative to the instruction pointer leads there, shortly before a call."""
        begin, end = self._before(call)
        for place in range(begin, end - 3):
            displacement = int.from_bytes(self.code[place : place + 4].tobytes(), "little", signed=True)
            if low <= self.first + place + 4 + displacement < high:
                return True
        return False

    def _displacements(self, call: int) -> set[int]:
        """Return how far from a pointer what is locked can lie, by the code before a call.

        LOCK CMPXCHG and LOCK XADD work on it in place where Lock and Unlock are inlined; LEA and ADD make its address for a
        call. Without any of them the pointer itself is it.
        """
        begin, end = self._before(call)
        code = self.code[begin:end].tobytes()
        places = [_displacement(found) for found in _IN_PLACE.finditer(code)]
        made = [_displacement(found) for found in _LEA.finditer(code)]
        made += [found[1][0] for found in _ADD.finditer(code)]
        return {*places[-1:], *made, *([] if places or made else [0])}

    def _before(self, call: int) -> tuple[int, int]:
        end = call - 1 - self.first
        return max(end - _REACH_BYTES, 0), max(end, 0)


def _displacement(found: re.Match[bytes]) -> int:
    """Return the displacement of an instruction that matched."""
    if found["none"]:
        return 0
    return int.from_bytes(found["byte"] or found["four"] or b"", "little", signed=True)


def holders_of(process: GoProcess, look: Look, locks: Sequence[Lock], words: StackWords) -> dict[int, Held]:
    """Return for each locked lock the goroutines that seem to hold it, those with no candidate left out.

    A goroutine that waits for the lock is told only when its code has taken it before: it waits for itself.
    """
    locks = [
        lock for lock in sorted(locks, key=lambda lock: -len(lock.waiters)) if _is_locked(process, lock)
    ][:MAX_LOCKS]
    if not locks:
        return {}
    code = _Code(process)
    frames = _frames_past_locks(look, code)
    spans = read_spans(process)
    answer = {}
    for lock in locks:
        low, high = lock.address, lock.address + _size(process, lock)
        is_global = _is_global(process, lock.address)
        if is_global:
            # It may lie in a variable that is reached by a pointer: how far into it the code must tell.
            base = lock.address - _GLOBAL_REACH
        else:
            base = lock.address if spans is None else spans.base(lock.address) or lock.address
        rows = words.rows_with(np.arange(base, lock.address + 1, 8, dtype=np.uint64)[-_MAX_NAMES:])
        held = _by_code(look, frames, lock, low, high) if is_global else Held((), by_code=False)
        if not held.holders:
            held = _by_frame(look, frames, lock, base, words, rows=rows)
        if not held.holders:
            if is_global:
                rows = rows[words.words[rows] == lock.address]
            known = dict.fromkeys(i for i in words.owners[rows].tolist() if i not in lock.waiters)
            held = Held(tuple(known)[:MAX_HOLDERS], by_code=False)
        if held.holders:
            answer[lock.address] = held
    return answer


def _is_locked(process: GoProcess, lock: Lock) -> bool:
    """Return whether anybody can hold it now: a writer, or readers."""
    offsets = process.offsets
    word = process.memory.word
    if lock.kind == "mutex":
        return bool(word(lock.address + offsets.need("sync.Mutex.state")) & _LOCKED)
    if word(lock.address + offsets.need("sync.RWMutex.w") + offsets.need("sync.Mutex.state")) & _LOCKED:
        return True
    return bool(word(lock.address + offsets.need("sync.RWMutex.readerCount")) & 0xFFFFFFFF)


def _size(process: GoProcess, lock: Lock) -> int:
    if lock.kind == "mutex":
        return process.offsets.need("sync.Mutex.SIZE")
    return process.offsets.need("sync.RWMutex.readerWait") + 4


def _is_global(process: GoProcess, address: int) -> bool:
    try:
        areas = [
            (process.module(name), process.module(f"e{name}"))
            for name in ("noptrdata", "data", "bss", "noptrbss")
        ]
    except KeyError:
        return False
    return any(low <= address < high for low, high in areas)


def _frames_past_locks(look: Look, code: _Code) -> dict[int, list[tuple[int, _Frame]]]:
    """Return by distinct stack the frames (their number, leaf first) whose code has called Lock."""
    found = {}
    counts = np.unique(look.stack_of[look.stack_of >= 0])
    for stack in counts[:MAX_STACKS].tolist():
        past = []
        # The leaf is in the runtime or runs; frames of sync itself are not the program's.
        for number, pc in enumerate(look.stacks[stack]):
            frame = code.frame(pc) if number else None
            if frame is not None and frame.locks:
                past.append((number, frame))
        if past:
            found[stack] = past
    return found


def _by_code(
    look: Look, frames: dict[int, list[tuple[int, _Frame]]], lock: Lock, low: int, high: int
) -> Held:
    """Return the goroutines whose code locks this very global."""
    sure: list[int] = []
    maybe: list[int] = []
    for stack, past in frames.items():
        told = {frame.of_global(low, high) for _, frame in past} - {None}
        if told:
            members = np.flatnonzero(look.stack_of == stack)[: MAX_HOLDERS + 1].tolist()
            (sure if _Past.LOCKED in told else maybe).extend(members)
    return _told(sure, maybe, lock)


def _by_frame(
    look: Look,
    frames: dict[int, list[tuple[int, _Frame]]],
    lock: Lock,
    base: int,
    words: StackWords,
    *,
    rows: NDArray[np.int64],
) -> Held:
    """Return the goroutines with a frame that is past a call of Lock and has the lock's object among its words."""
    sure: list[int] = []
    maybe: list[int] = []
    by_owner: dict[int, list[int]] = {}
    for row, owner in zip(rows.tolist(), words.owners[rows].tolist(), strict=True):
        by_owner.setdefault(owner, []).append(row)
    for i, mine in by_owner.items():
        past = frames.get(int(look.stack_of[i]), ())
        if not past:
            continue
        begins, bottom = look.frame_pointers(i), look.stack_pointer(i)
        told = set()
        for number, frame in past:
            # Arguments that came in registers are spilled into the frame of the caller, at its beginning.
            low = begins[number] if number < len(begins) else 0
            high = begins[number + 1] + _SPILL_BYTES if number + 1 < len(begins) else _MAX_ADDRESS
            for row in mine:
                if low <= bottom + 8 * int(words.places[row]) < high:
                    distance = lock.address - int(words.words[row])
                    # The address of a lock inside something larger is kept to unlock it, as in a deferred call.
                    is_kept = not distance and lock.address != base
                    told.add(frame.of_any() if is_kept else frame.of_member(distance, _INNER[lock.kind]))
        if _Past.LOCKED in told:
            sure.append(i)
        elif _Past.RELEASED in told:
            maybe.append(i)
    return _told(sure, maybe, lock)


def _told(sure: list[int], maybe: list[int], lock: Lock) -> Held:
    """Return the best candidates: others that hold it, a waiter that holds it itself, others that may have released it."""
    chosen = [i for i in sure if i not in lock.waiters] or sure
    chosen = chosen or [i for i in maybe if i not in lock.waiters]
    if not chosen or len(chosen) > MAX_HOLDERS:
        return Held((), by_code=False)
    return Held(tuple(chosen), by_code=True)


class _Code:
    """The machine code of functions on stacks, read once each (amd64; on others nothing is told)."""

    def __init__(self, process: GoProcess) -> None:
        self._process = process
        self._is_amd64 = process.machine == "x86_64"
        self._frames: dict[int, _Frame | None] = {}
        self._functions: dict[int, _Function | None] = {}
        self._locks = self._entries(_LOCKS)
        self._unlocks = self._entries(_UNLOCKS)

    def _entries(self, names: Sequence[str]) -> NDArray[np.int64]:
        ranges = [self._process.names.function_range(name) for name in names] if self._is_amd64 else []
        return np.array([one[0] for one in ranges if one is not None], np.int64)

    def frame(self, pc: int) -> _Frame | None:
        """Return what a frame's code has done before its return address; None when it has locked nothing or is unreadable."""
        if pc not in self._frames:
            self._frames[pc] = self._read(pc)
        return self._frames[pc]

    def _read(self, pc: int) -> _Frame | None:
        around = self._process.names.function_around(pc - 1) if self._is_amd64 else None
        if around is None or around[0].startswith(("runtime.", "sync.", "internal/sync.")):
            return None
        first, end = around[2]
        if first not in self._functions:
            self._functions[first] = self._calls_of(first, end)
        known = self._functions[first]
        if known is None:
            return None
        # The call that the frame is in ends at pc.
        locks = known.locks[known.locks + 4 < pc]
        if not len(locks):
            return None
        unlocks = known.unlocks[known.unlocks + 4 < pc]
        return _Frame(first, known.code, tuple(locks.tolist()), tuple(unlocks.tolist()))

    def _calls_of(self, first: int, end: int) -> _Function | None:
        size = min(end - first, _MAX_CODE_BYTES)
        code = np.frombuffer(self._process.memory.read(first, size), np.uint8)
        if len(code) < _CALL_BYTES:
            return None
        places = np.flatnonzero(code[: len(code) - _CALL_BYTES + 1] == _CALL) + 1
        operands = np.stack([code[places + k] for k in range(4)], axis=1)
        displacements = np.ascontiguousarray(operands).view(np.int32).ravel().astype(np.int64)
        calls = places.astype(np.int64) + first
        targets = calls + 4 + displacements
        return _Function(code, calls[np.isin(targets, self._locks)], calls[np.isin(targets, self._unlocks)])
