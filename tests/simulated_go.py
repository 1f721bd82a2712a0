"""A Go process made of bytes: a program, moduledata, goroutines and stacks, behind the calls of a host."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from elf_samples import DATA, INLINE, TABLE, TEXT, GoFunctionSample, go_elf
from leadline.formats.gooffsets import lookup
from leadline.host.recorded import ManualClock
from leadline.model import TargetGone, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from leadline.contracts import Host, MappedFile

__all__ = ["BSS", "HEAP", "MACHINE", "PID", "VERSION", "Parked", "SimulatedGo", "function", "pc_of"]

PID = 4242
VERSION = "go1.26.8"
BSS = 0x700000
HEAP = 0xC000000000
STACKS = 0xC800000000
STACK_BYTES = 8192
TYPES = 0x650000
MACHINE = os.uname().machine
_MACHINE_NUMBERS = {"x86_64": 62, "aarch64": 183}
_DATA_BYTES = 0x1000


def function(name: str, stack: int = 24, *, flags: int = 0, function_id: int = 0) -> GoFunctionSample:
    """Return a function of 64 bytes, whose frame takes so many bytes from its first instruction on."""
    return GoFunctionSample(
        name,
        64,
        files=[(64, 0)],
        lines=[(64, 7)],
        stack=[(4, 0), (64, stack)] if stack else [(64, 0)],
        flags=flags,
        function_id=function_id,
    )


FUNCTIONS = [
    function("runtime.goexit", 0, flags=1),
    function("runtime.gopark", 32),
    function("runtime.chanrecv", 96),
    function("internal/poll.runtime_pollWait", 40),
    function("runtime.main", 56),
    function("runtime.bgsweep", 24),
    function("runtime.runFinalizers", 24),
    function("runtime.gopanic", 48),
    function("runtime.sigpanic", 24),
    function("runtime.asyncPreempt", 8),
    function("runtime.Gosched", 8),
    function("runtime.(*Func).Entry", 8),
    function("main.main", 24),
    function("main.worker", 40),
    function("main.read", 16),
    function("main.(*T).Method-fm", 16, function_id=23),
    function("main.switcher", 24, flags=2),
]
ORDER = [sample.name for sample in FUNCTIONS]


def pc_of(name: str, offset: int = 20) -> int:
    """Return an address in a function."""
    return TEXT + 64 * ORDER.index(name) + offset


@dataclass
class Parked:
    """One goroutine; ``frames`` are functions, leaf first, without goexit, which is put behind them."""

    goid: int
    frames: tuple[str, ...] = ("runtime.gopark", "runtime.chanrecv", "main.worker")
    status: int = 4
    reason: int = 19
    start: str = "main.worker"
    creator: str = "main.main"
    sequence: int = 1
    fields: dict[str, int] = field(default_factory=dict)


class SimulatedGo:
    """Implements what ``open_process`` and ``take_look`` ask of a host.

    Attributes:
        memory: bytes by address; tests may change them.
        on_gather: called before each gathering read, to let the process move on.
    """

    def __init__(
        self, goroutines: Iterable[Parked], *, version: str = VERSION, is_alive: bool = True
    ) -> None:
        self.clock = ManualClock()
        self.goroutines = list(goroutines)
        self.memory: dict[int, bytearray] = {}
        self.on_gather: Callable[[int], None] = lambda _: None
        self.gathers = 0
        self.is_alive = is_alive
        self.start_ticks = 100
        self.program = go_elf(
            FUNCTIONS, ["/src/main.go"], version=version, machine=_MACHINE_NUMBERS.get(MACHINE, 62)
        )
        offsets = lookup(VERSION, MACHINE) or lookup(VERSION, "x86_64")
        assert offsets is not None
        self.offsets = offsets
        self._fill()

    @property
    def host(self) -> Host:
        """Return it as a host."""
        return cast("Host", self)

    def _fill(self) -> None:
        need = self.offsets.need
        module = bytearray(2048)

        def put(field_name: str, value: int) -> None:
            struct.pack_into("<Q", module, need(f"moduledata.{field_name}"), value)

        struct.pack_into("<Q", module, 0, TABLE)
        end = TEXT + 64 * len(FUNCTIONS)
        areas = {
            "text": (TEXT, end), "data": (DATA, DATA + _DATA_BYTES), "bss": (BSS, BSS + 4096), "types": (TYPES, TYPES + 4096),
            "noptrdata": (DATA, DATA), "noptrbss": (BSS + 4096, BSS + 8192),
        }  # fmt: skip
        for name, (first, last) in areas.items():
            put(name, first)
            put(f"e{name}", last)
        put("minpc", TEXT)
        put("gofunc", INLINE)
        self.memory[DATA + 16] = module
        self.memory[TABLE] = bytearray(struct.pack("<Q", 0xFFFFFFF1))
        self.memory[TYPES] = bytearray(4096)
        self.memory[BSS] = bytearray(8192)
        size = (need("g.SIZE") + 63) & ~63
        addresses = [HEAP + index * size for index in range(len(self.goroutines))]
        pointers = HEAP + 0x10000000
        self.memory[pointers] = bytearray(np.array(addresses, np.uint64).tobytes())
        struct.pack_into("<3Q", self.memory[BSS], 0x100, pointers, len(addresses), len(addresses) + 10)
        for index, one in enumerate(self.goroutines):
            self.place(index, one, addresses[index])

    def place(self, index: int, one: Parked, address: int) -> None:
        """Write one goroutine and its stack."""
        need = self.offsets.need
        low = STACKS + index * STACK_BYTES
        stack = _stack_of(one)
        sp = low + STACK_BYTES - len(stack) - 16
        self.memory[low] = bytearray(sp - low) + bytearray(stack) + bytearray(16)
        row = bytearray(need("g.SIZE"))
        first = pc_of(one.frames[0]) if one.frames else pc_of(one.start, 0)
        sched = need("g.sched")
        for at, value in {
            need("g.stack"): low, need("g.stack") + 8: low + STACK_BYTES, sched + need("gobuf.sp"): sp,
            sched + need("gobuf.pc"): first, sched + need("gobuf.g"): address, need("g.goid"): one.goid,
            need("g.startpc"): pc_of(one.start, 0), need("g.gopc"): pc_of(one.creator), need("g.parentGoid"): 1,
            **{need(f"g.{name}"): value for name, value in one.fields.items()},
        }.items():  # fmt: skip
            struct.pack_into("<Q", row, at, value)
        struct.pack_into("<I", row, need("g.atomicstatus"), one.status)
        row[need("g.waitreason")] = one.reason
        row[need("g.trackingSeq")] = one.sequence
        self.memory[address] = row

    def row(self, index: int) -> bytearray:
        """Return the descriptor of a goroutine, to be changed."""
        size = (self.offsets.need("g.SIZE") + 63) & ~63
        return self.memory[HEAP + index * size]

    # -- what a host does -----------------------------------------------------------------------------------

    def open_program(self, pid: int) -> memoryview:
        """Return the program."""
        assert pid == PID
        return memoryview(self.program)

    def open_object(self, pid: int, entry: MappedFile) -> memoryview | None:
        """Return the program."""
        assert pid == PID
        return memoryview(self.program) if entry.inode else None

    def link_proc(self, path: str) -> str:
        """Return the path of the program."""
        assert path == f"{PID}/exe"
        return "/srv/program"

    def list_proc(self, path: str) -> list[str]:
        """Return the threads."""
        assert path == f"{PID}/task"
        return [str(PID), "4243"]

    def read_proc(self, path: str, *, limit_bytes: int = 0) -> bytes:
        """Return maps, stat or the status of a thread."""
        del limit_bytes
        if not self.is_alive:
            raise TargetGone("it has ended")
        if path == f"{PID}/maps":
            offset = self.program.index(b"\xcc" * 64)
            page = offset & ~4095
            start = TEXT - (offset - page)
            return f"{start:x}-{start + 0x2000:x} r-xp {page:x} fe:01 131 /srv/program\n".encode()
        if path == f"{PID}/stat":
            numbers = ["0"] * 18 + [str(self.start_ticks)] + ["0"] * 30
            return f"{PID} (program) S {' '.join(numbers)}\n".encode()
        if path.endswith("/status"):
            return f"Name:\tprogram\nNSpid:\t{path.split('/')[2]}\n".encode()
        raise Unsupported(path)

    def read_memory(self, pid: int, address: int, size: int) -> bytes:
        """Return bytes as far as they are there."""
        assert pid == PID
        for start, raw in self.memory.items():
            if start <= address < start + len(raw):
                return bytes(raw[address - start : address - start + size])
        raise Unsupported("EFAULT")

    def gather_memory(
        self, pid: int, addresses: NDArray[np.uint64], sizes: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return ranges end to end."""
        self.gathers += 1
        self.on_gather(self.gathers)
        pieces, is_read = [], []
        for address, size in zip(addresses.tolist(), sizes.tolist(), strict=True):
            try:
                raw = self.read_memory(pid, address, size) if size else b""
            except Unsupported:
                raw = b""
            is_read.append(len(raw) == size)
            pieces.append(raw if len(raw) == size else bytes(size))
        return np.frombuffer(bytearray(b"".join(pieces)), np.uint8), np.array(is_read, np.bool_)


def _stack_of(one: Parked) -> bytes:
    """Return the words of a stack from its stack pointer on."""
    words = b""
    deltas = {sample.name: sample.stack[-1][1] for sample in FUNCTIONS}
    callers = [*one.frames[1:], "runtime.goexit"] if one.frames else []
    for name, caller in zip(one.frames, callers, strict=True):
        delta = deltas[name]
        back = struct.pack("<Q", pc_of(caller, 1 if caller == "runtime.goexit" else 20))
        words += back + bytes(delta - 8 if delta else 0) if MACHINE == "aarch64" else bytes(delta) + back
    return words or struct.pack("<Q", pc_of("runtime.goexit", 1))
