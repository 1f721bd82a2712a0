"""What one look at the goroutines of a process gives to the readers of connections, locks and pools.

Everything here is raw (addresses, words of stacks) and stays inside this probe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from leadline.evidence.kinds import Connection, DescriptorUse, Pool, WaitObject
from leadline.formats.gooffsets import GoOffsets
from leadline.formats.symbolize import ProcessSymbols
from leadline.model import Gap, SiteFrame

__all__ = ["Found", "GoProcess", "Look", "Memory", "Words"]

Words = NDArray[np.uint64]


class Memory(Protocol):
    """Reads of one process's memory. The process is not stopped: each answer is of its own moment."""

    def read(self, address: int, size: int) -> bytes:
        """Return bytes, fewer when the range ends in an unmapped page, none when nothing is mapped there."""

    def words(self, address: int, count: int) -> Words:
        """Return 64-bit words (little endian), fewer where the range ends."""

    def word(self, address: int) -> int:
        """Return one 64-bit word, 0 when it cannot be read."""

    def gather(self, addresses: Words, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return ``size`` bytes at each address as rows [n, size], and which rows could be read."""

    def gather_words(self, addresses: Words) -> tuple[Words, NDArray[np.bool_]]:
        """Return one 64-bit word at each address, and which could be read."""

    def text(self, address: int, size: int) -> str | None:
        """Return the text of a Go string (its data pointer and length); None when it is unreadable, not UTF-8 or over 4 KiB."""


class GoProcess(Protocol):
    """A Go process opened for reading."""

    @property
    def pid(self) -> int:
        """Return the process id."""

    @property
    def machine(self) -> str:
        """Return the architecture as ``uname -m`` says."""

    @property
    def go_version(self) -> str:
        """Return the release, such as ``go1.26.8``."""

    @property
    def offsets(self) -> GoOffsets:
        """Return the offsets of this release."""

    @property
    def memory(self) -> Memory:
        """Return the reads."""

    @property
    def names(self) -> ProcessSymbols:
        """Return the names of code addresses."""

    def module(self, field: str) -> int:
        """Return a word of the runtime's moduledata, such as ``data``, ``ebss`` or ``types`` (run-time addresses)."""

    def symbol(self, name: str) -> int | None:
        """Return the run-time address of a variable from the symbol table; None when stripped or unknown."""

    def variable_at(self, address: int) -> str | None:
        """Return the name of the variable of data or bss that holds an address; None when stripped or in none."""

    def type_name(self, type_address: int) -> str | None:
        """Return the name of an abi.Type as Go prints it, such as ``*net.TCPConn``; None when it is not a type."""

    def type_of_interface(self, itab_or_type: int, *, is_empty: bool) -> str | None:
        """Return the dynamic type of an interface value by its first word: an itab, or a type for an empty interface."""


class Look(Protocol):
    """Goroutines of one moment, as columns; index ``i`` is one goroutine everywhere. Dead ones are left out."""

    @property
    def mono_ns(self) -> int:
        """Return when it began (CLOCK_MONOTONIC)."""

    @property
    def addresses(self) -> Words:
        """Return the address of each ``runtime.g``."""

    @property
    def goids(self) -> NDArray[np.int64]:
        """Return the number of each goroutine."""

    @property
    def statuses(self) -> NDArray[np.int64]:
        """Return the status without the scan bit: 1 runnable, 2 running, 3 syscall, 4 waiting ..."""

    @property
    def reasons(self) -> NDArray[np.int64]:
        """Return the wait reason's number; meaningful when waiting."""

    @property
    def sequences(self) -> NDArray[np.int64]:
        """Return ``g.trackingSeq``, which changes (mod 256) each time the goroutine has run."""

    @property
    def threads(self) -> Words:
        """Return the address of each goroutine's ``runtime.m``, 0 when it is on none."""

    @property
    def is_system(self) -> NDArray[np.bool_]:
        """Return which goroutines are the runtime's own and not shown by Go's tracebacks."""

    @property
    def is_stable(self) -> NDArray[np.bool_]:
        """Return whose stack held still while it was read."""

    @property
    def stack_of(self) -> NDArray[np.int64]:
        """Return for each goroutine the index of its stack in ``stacks``, -1 when none was read (running, unstable)."""

    @property
    def stacks(self) -> Sequence[tuple[int, ...]]:
        """Return the distinct stacks as instruction pointers, leaf first: g.sched.pc, then return addresses."""

    def state(self, i: int) -> str:
        """Return the state as Go prints it."""

    def field(self, name: str) -> Words:
        """Return a 64-bit field of ``runtime.g`` for all, such as ``waiting``, ``startpc``, ``gopc``, ``labels``."""

    def index_of_address(self, address: int) -> int | None:
        """Return the index of the goroutine whose ``runtime.g`` is there."""

    def index_of_goid(self, goid: int) -> int | None:
        """Return the index of a goroutine by its number."""

    def words(self, i: int) -> Words:
        """Return the stack of goroutine ``i`` as words from its stack pointer upwards; empty when none was read."""

    def stack_pointer(self, i: int) -> int:
        """Return the address of the first of ``words(i)``."""

    def frame_pointers(self, i: int) -> tuple[int, ...]:
        """Return for each instruction pointer of its stack the address where that frame begins (its stack pointer)."""

    def functions(self, stack: int) -> tuple[str, ...]:
        """Return the functions of a distinct stack, leaf first, inlined ones too."""

    def frames(self, stack: int) -> tuple[SiteFrame, ...]:
        """Return the frames of a distinct stack with file and line, leaf first, as ``debug=2`` shows them."""

    def with_function(self, wanted: Callable[[str], bool]) -> NDArray[np.int64]:
        """Return the indices of goroutines that have a function on their stack; asked once per distinct function name."""


@dataclass(slots=True)
class Found:
    """What the readers of one look have found so far. Each reader is a function ``read(process, look, found)`` that adds its own.

    Attributes:
        uses: by descriptor.
        connections: by descriptor; a later reader that knows more replaces what an earlier one said.
        pools: with ids from 1 in order of arrival.
        objects: what goroutines wait for, with ids from 1 in order of arrival.
        waits_on: ids of objects by goroutine number.
        addresses: of objects by id, to ask the heap who else can reach them; never put into evidence.
        gaps: what could not be read and why.
        unix_minus_mono_ns: CLOCK_REALTIME minus CLOCK_MONOTONIC at the look, for moments that Go notes by the wall clock; None
            when unknown.
        http_ports: on which servers of net/http accepted at earlier looks.
    """

    uses: dict[int, DescriptorUse] = field(default_factory=dict)
    connections: dict[int, Connection] = field(default_factory=dict)
    pools: list[Pool] = field(default_factory=list)
    objects: list[WaitObject] = field(default_factory=list)
    waits_on: dict[int, list[int]] = field(default_factory=dict)
    addresses: dict[int, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    unix_minus_mono_ns: int | None = None
    http_ports: frozenset[int] = frozenset()
