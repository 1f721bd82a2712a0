"""What waiting goroutines wait for: channels through their sudogs, locks through the semaphore on which they are parked.

Sources: runtime/chan.go (chansend, chanrecv), runtime/select.go (selectgo), runtime/sema.go (semacquire1, notifyListWait),
sync and internal/sync. A sudog counts only when it names the goroutine that it was reached from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.evidence.kinds import WaitObject
from leadline.formats.gooffsets import wait_reasons
from leadline.model import Gap, GapReason
from leadline.probes.snapshot_runtime.known_by import globals_with, goroutines_with, stack_words
from leadline.probes.snapshot_runtime.lock_holders import Lock, holders_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look, Words

__all__ = ["read"]

MAX_OBJECTS = 20_000
"""Objects told one by one, those with the most waiters first; that many with one waiter each look alike."""
MAX_CASES = 1024
"""Cases of one select that are followed; selectgo allows 65,536."""
MAX_QUEUE = 4096
"""Waiters of one channel that are followed where both its queues are in use."""
_WAITING = 4
_MAX_ADDRESS = 1 << 56
_FRAME_WORDS = 64
"""Words of a stack in which the frame of the waiting runtime function ends, where frames are not known."""
_SEMACQUIRE = "runtime.semacquire1"
_CONDITION = "sync.runtime_notifyListWait"
_MUTEX = frozenset({"sync.(*Mutex).lockSlow", "internal/sync.(*Mutex).lockSlow"})


class _Queued(NamedTuple):
    """Waits of goroutines, one row each: index of the goroutine, address of what it waits for."""

    goroutines: NDArray[np.int64]
    addresses: Words


@dataclass(slots=True)
class _Waits:
    """Who waits for one object.

    Attributes:
        goroutines: indices in the look.
    """

    kind: str
    address: int
    receivers: list[int] = field(default_factory=list)
    senders: list[int] = field(default_factory=list)
    waiters: list[int] = field(default_factory=list)
    capacity: int | None = None
    length: int | None = None
    is_closed: bool | None = None

    @property
    def goroutines(self) -> list[int]:
        """Return all that wait for it."""
        return [*self.receivers, *self.senders, *self.waiters]


def read(process: GoProcess, look: Look, found: Found) -> None:
    """Add what the goroutines of a look wait for to ``found.objects`` and ``found.waits_on``.

    Channels that a ``select`` waits for are told too. Objects get the numbers after those that are there. Nothing is said of
    waits whose sudog was not found: nil channels, ``select {}``, goroutines that moved while they were read.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    channels = _channels(process, look)
    locks = _locks(process, look)
    waits = sorted([*channels, *locks], key=lambda one: -len(one.goroutines))
    if not waits:
        return
    if len(waits) > MAX_OBJECTS:
        found.gaps.append(
            Gap(
                what="channels and locks with the fewest waiters",
                reason=GapReason.OVERRUN,
                detail=f"{len(waits) - MAX_OBJECTS} of {len(waits)} are not told one by one",
                probe="snapshot_runtime",
            )
        )
        waits = waits[:MAX_OBJECTS]
    _tell(process, look, waits, found)


def _tell(process: GoProcess, look: Look, waits: list[_Waits], found: Found) -> None:
    """Number the objects, and add who else knows them."""
    addresses = np.array([one.address for one in waits], np.uint64)
    words = stack_words(look)
    knowing = goroutines_with(words, addresses)
    variables = globals_with(process, addresses)
    locks = [
        Lock(one.kind, one.address, frozenset(one.waiters))
        for one in waits
        if one.kind in {"mutex", "rwmutex"}
    ]
    held = holders_of(process, look, locks, words)
    goids: list[int] = look.goids.tolist()
    for one in waits:
        own = set(one.goroutines)
        holders, by_code = held.get(one.address, ((), False))
        if one.kind not in {"mutex", "rwmutex"}:
            holders = tuple(i for i in knowing.get(one.address, ()) if i not in own)
        variable = variables.get(one.address)
        name = process.variable_at(variable) or "" if variable is not None else ""
        reachable = "global" if variable is not None else "goroutine" if holders else None
        number = len(found.objects) + 1
        found.addresses[number] = one.address
        found.objects.append(
            WaitObject(
                id=number,
                pid=process.pid,
                kind=one.kind,
                name=name,
                receivers=_numbers(goids, one.receivers),
                senders=_numbers(goids, one.senders),
                waiters=_numbers(goids, one.waiters),
                holders=_numbers(goids, holders),
                held_by_code=by_code,
                capacity=one.capacity,
                length=one.length,
                is_closed=one.is_closed,
                reachable=reachable,
                stacks_searched=words.is_complete,
            )
        )
        for i in own:
            found.waits_on.setdefault(goids[i], []).append(number)


def _numbers(goids: list[int], indices: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({goids[i] for i in indices}))


def _with_reason(process: GoProcess, look: Look, words: Sequence[str]) -> NDArray[np.int64]:
    """Return the indices of waiting goroutines whose reason is one of these, with or without a note in brackets."""
    reasons = wait_reasons(process.go_version) or ()
    numbers = [
        number
        for number, text in enumerate(reasons)
        if text in words or text.removesuffix(" (durable)").removesuffix(" (synctest)") in words
    ]
    return np.flatnonzero((look.statuses == _WAITING) & np.isin(look.reasons, numbers)).astype(np.int64)


# -- channels ---------------------------------------------------------------------------------------------


def _channels(process: GoProcess, look: Look) -> list[_Waits]:
    receiving = set(_with_reason(process, look, ("chan receive",)).tolist())
    sending = set(_with_reason(process, look, ("chan send",)).tolist())
    waiting = _with_reason(process, look, ("chan receive", "chan send", "select"))
    queued, sudogs = _queued(process, look, waiting)
    if not len(queued.addresses):
        return []
    size = process.offsets.need("hchan.sendq") + 16
    distinct, inverse = np.unique(queued.addresses, return_inverse=True)
    counts = np.bincount(inverse, minlength=len(distinct))
    chosen = np.sort(np.argsort(-counts, kind="stable")[: MAX_OBJECTS + 1])
    rows, is_read = process.memory.gather(distinct[chosen], size)
    by_channel = np.argsort(inverse, kind="stable")
    ends = np.cumsum(counts)
    found = []
    for number, place in enumerate(chosen.tolist()):
        one = _channel(process, int(distinct[place]), rows[number]) if is_read[number] else None
        if one is None:
            continue
        mine = by_channel[int(ends[place] - counts[place]) : int(ends[place])]
        queues = _Queues.of(process, rows[number])
        for row in mine.tolist():
            i = int(queued.goroutines[row])
            if i in receiving or (i not in sending and queues.is_receiver(int(sudogs[row]))):
                one.receivers.append(i)
            else:
                one.senders.append(i)
        found.append(one)
    return found


def _queued(process: GoProcess, look: Look, waiting: NDArray[np.int64]) -> tuple[_Queued, Words]:
    """Return (goroutine, channel) for each sudog of waiting goroutines, and the sudogs."""
    offsets = process.offsets
    size = offsets.need("sudog.SIZE")
    own, channel, link = (offsets.need(f"sudog.{name}") // 8 for name in ("g", "c", "waitlink"))
    goroutines = waiting
    sudogs = look.field("waiting")[waiting]
    all_goroutines, all_channels, all_sudogs = [], [], []
    for _ in range(MAX_CASES):
        is_there = (sudogs != 0) & (sudogs % 8 == 0) & (sudogs < _MAX_ADDRESS)
        goroutines, sudogs = goroutines[is_there], sudogs[is_there]
        if not len(sudogs):
            break
        rows, is_read = process.memory.gather(sudogs, size)
        words = rows.view(np.uint64)
        is_own = is_read & (words[:, own] == look.addresses[goroutines])
        goroutines, sudogs, words = goroutines[is_own], sudogs[is_own], words[is_own]
        has_channel = (words[:, channel] != 0) & (words[:, channel] % 8 == 0)
        all_goroutines.append(goroutines[has_channel])
        all_channels.append(words[has_channel, channel])
        all_sudogs.append(sudogs[has_channel])
        sudogs = words[:, link]
    if not all_goroutines:
        nothing = np.zeros(0, np.uint64)
        return _Queued(np.zeros(0, np.int64), nothing), nothing
    return (
        _Queued(np.concatenate(all_goroutines), np.concatenate(all_channels)),
        np.concatenate(all_sudogs),
    )


def _channel(process: GoProcess, address: int, row: NDArray[np.uint8]) -> _Waits | None:
    """Return a channel as its ``runtime.hchan`` says, None when this is none."""
    offsets = process.offsets
    words = row.view(np.uint64)
    length = int(words[offsets.need("hchan.qcount") // 8])
    capacity = int(words[offsets.need("hchan.dataqsiz") // 8])
    closed = offsets.need("hchan.closed")
    is_closed = int.from_bytes(row[closed : closed + 4].tobytes(), "little")
    if length > capacity or capacity >= 1 << 40 or is_closed > 1:
        return None
    return _Waits("chan", address, capacity=capacity, length=length, is_closed=bool(is_closed))


@dataclass(slots=True)
class _Queues:
    """The two queues of one channel; nearly always one is empty, which tells what a ``select`` waits to do."""

    process: GoProcess
    receivers: int
    senders: int
    known: set[int] | None = None

    @classmethod
    def of(cls, process: GoProcess, row: NDArray[np.uint8]) -> _Queues:
        """Return the queues of a ``runtime.hchan``."""
        words = row.view(np.uint64)
        offsets = process.offsets
        return cls(
            process,
            int(words[offsets.need("hchan.recvq") // 8]),
            int(words[offsets.need("hchan.sendq") // 8]),
        )

    def is_receiver(self, sudog: int) -> bool:
        """Return whether a sudog waits to receive."""
        if not self.senders or not self.receivers:
            return bool(self.receivers) or not self.senders
        if self.known is None:
            self.known = set()
            link = self.process.offsets.need("sudog.next")
            one = self.receivers
            while one and one not in self.known and len(self.known) < MAX_QUEUE:
                self.known.add(one)
                one = self.process.memory.word(one + link)
        return sudog in self.known


# -- locks ------------------------------------------------------------------------------------------------


def _locks(process: GoProcess, look: Look) -> list[_Waits]:
    by_stack: dict[int, list[int]] = {}
    for stack in {int(stack) for stack in np.unique(look.stack_of) if stack >= 0}:
        functions = look.functions(stack)
        if any(name in {_SEMACQUIRE, _CONDITION} for name in functions[:4]):
            by_stack[stack] = []
    if not by_stack:
        return []
    waiting = (look.statuses == _WAITING) & np.isin(look.stack_of, list(by_stack))
    for i in np.flatnonzero(waiting).tolist():
        by_stack[int(look.stack_of[i])].append(i)
    found: dict[tuple[str, int], _Waits] = {}
    for stack, members in by_stack.items():
        functions = look.functions(stack)
        if not members:
            continue
        search = _conditions if _CONDITION in functions[:4] else _semaphores
        kind, offset = _what(process, functions)
        for i, address in search(process, look, members):
            base = address - offset
            found.setdefault((kind, base), _Waits(kind, base)).waiters.append(i)
    return list(found.values())


def _what(process: GoProcess, functions: Sequence[str]) -> tuple[str, int]:
    """Return what a semaphore belongs to by the functions that wait for it, and where in it the semaphore lies."""
    offsets = process.offsets
    for name in functions:
        if name in _MUTEX:
            # RWMutex.Lock takes the mutex inside first: w is its first field.
            if "sync.(*RWMutex).Lock" in functions[: functions.index(name) + 4]:
                return "rwmutex", offsets.need("sync.RWMutex.w") + offsets.need("sync.Mutex.sema")
            return "mutex", offsets.need("sync.Mutex.sema")
        if name == "sync.(*RWMutex).Lock":
            return "rwmutex", offsets.need("sync.RWMutex.writerSem")
        if name == "sync.(*RWMutex).RLock":
            return "rwmutex", offsets.need("sync.RWMutex.readerSem")
        if name == "sync.(*WaitGroup).Wait":
            in_two = offsets.get("sync.WaitGroup.sema")
            return "waitgroup", offsets.need("sync.WaitGroup.state2") if in_two is None else in_two
        if name == "sync.(*Cond).Wait":
            return "cond", offsets.need("sync.Cond.notify")
    return "semaphore", 0


def _leaf_words(process: GoProcess, look: Look, members: Sequence[int], function: str) -> Words:
    """Return the words of the waiting runtime function's frame and those below, one row per goroutine."""
    first = members[0]
    end = _FRAME_WORDS
    begins = look.frame_pointers(first)
    for number, pc in enumerate(look.stacks[int(look.stack_of[first])]):
        around = process.names.function_around(pc - 1 if number else pc)
        if around is not None and around[0] == function and number + 1 < len(begins):
            end = (begins[number + 1] - look.stack_pointer(first)) // 8
            break
    end = min(max(end, 1), 4 * _FRAME_WORDS)
    words = np.zeros((len(members), end), np.uint64)
    for row, i in enumerate(members):
        mine = look.words(i)[:end]
        words[row, : len(mine)] = mine
    return words


def _own_sudogs(
    process: GoProcess, look: Look, members: Sequence[int], words: Words
) -> tuple[NDArray[np.int64], Words]:
    """Return rows of ``words`` with a pointer to a sudog of that goroutine, and the sudogs as rows of words."""
    offsets = process.offsets
    size, own = offsets.need("sudog.SIZE"), offsets.need("sudog.g") // 8
    channel = offsets.need("sudog.c") // 8
    is_pointer = (words >= 4096) & (words < _MAX_ADDRESS) & (words % 8 == 0)
    candidates = np.unique(words[is_pointer])
    rows, is_read = process.memory.gather(candidates, size)
    sudogs = rows.view(np.uint64)
    addresses = look.addresses[np.array(members, np.int64)]
    is_sudog = is_read & np.isin(sudogs[:, own], addresses) & (sudogs[:, channel] == 0)
    candidates, sudogs = candidates[is_sudog], sudogs[is_sudog]
    if not len(candidates):
        return np.zeros(0, np.int64), np.zeros((0, size // 8), np.uint64)
    place = np.searchsorted(candidates, words).clip(0, len(candidates) - 1)
    is_own = (candidates[place] == words) & (sudogs[place, own] == addresses[:, None])
    row, column = np.nonzero(is_own)
    return row.astype(np.int64), sudogs[place[row, column]]


def _semaphores(process: GoProcess, look: Look, members: Sequence[int]) -> list[tuple[int, int]]:
    """Return (goroutine, address of the semaphore) for goroutines inside runtime.semacquire1."""
    words = _leaf_words(process, look, members, _SEMACQUIRE)
    rows, sudogs = _own_sudogs(process, look, members, words)
    element = process.offsets.need("sudog.elem") // 8
    found: dict[int, int] = {}
    for row, address in zip(rows.tolist(), sudogs[:, element].tolist(), strict=True):
        if address and address % 4 == 0:
            found.setdefault(members[row], address)
    return list(found.items())


def _conditions(process: GoProcess, look: Look, members: Sequence[int]) -> list[tuple[int, int]]:
    """Return (goroutine, address of the runtime.notifyList) for goroutines inside runtime.notifyListWait.

    Since Go 1.26 the sudog names the list; before, the list is found on the stack: its first and its last waiter are sudogs
    of goroutines.
    """
    words = _leaf_words(process, look, members, _CONDITION)
    rows, sudogs = _own_sudogs(process, look, members, words)
    element = process.offsets.need("sudog.elem") // 8
    found: dict[int, int] = {}
    lists: dict[int, bool] = {}
    for row, address in zip(rows.tolist(), sudogs[:, element].tolist(), strict=True):
        i = members[row]
        # gopark is handed the address of the list's lock, its second word.
        candidates = (
            [address] if address else [place for word in words[row].tolist() for place in (word, word - 8)]
        )
        for candidate in candidates:
            if candidate not in lists:
                lists[candidate] = _is_notify_list(process, look, candidate)
            if lists[candidate]:
                found.setdefault(i, candidate)
                break
    return list(found.items())


def _is_notify_list(process: GoProcess, look: Look, address: int) -> bool:
    """Return whether a runtime.notifyList is there with waiters: wait, notify (uint32), lock, head, tail."""
    if address < 4096 or address % 8 or address >= _MAX_ADDRESS:
        return False
    words = process.memory.words(address, 4)
    if len(words) < 4:
        return False
    tickets, _, head, tail = (int(word) for word in words)
    waiting = (tickets & 0xFFFFFFFF) - (tickets >> 32)
    if not head or not tail or not 0 < waiting % (1 << 32) < 1 << 24:
        return False
    own = process.offsets.need("sudog.g")
    return all(look.index_of_address(process.memory.word(sudog + own)) is not None for sudog in (head, tail))
