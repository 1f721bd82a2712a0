"""The scheduler and the collector, by symbols and without them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.gooffsets import lookup
from leadline.host.recorded import ManualClock
from leadline.model import TargetGone
from leadline.probes.snapshot_runtime.gc_state import GcState, read_gc
from leadline.probes.snapshot_runtime.memory import ProcessMemory

if TYPE_CHECKING:
    from leadline.probes.snapshot_runtime.process import OpenedProcess

HERE = 0x700000
SYMBOLS = {
    "runtime.gomaxprocs": HERE, "runtime.allm": HERE + 8, "runtime.memstats": HERE + 0x4000,
    "runtime.gcController": HERE + 0x1000,
}  # fmt: skip
OFFSETS = lookup("go1.26.8", "x86_64")


@dataclass
class Runtime:
    """A process whose variables lie in one range of memory."""

    symbols: dict[str, int] = field(default_factory=lambda: dict(SYMBOLS))
    raw: bytearray = field(default_factory=lambda: bytearray(0x20000))
    settings: dict[str, str] = field(default_factory=lambda: {"CGO_ENABLED": "0"})
    threads: int = 3
    clock: ManualClock = field(default_factory=ManualClock)

    def read_memory(self, pid: int, address: int, size: int) -> bytes:
        assert pid == 7
        at = address - HERE
        return bytes(self.raw[at : at + size]) if 0 <= at < len(self.raw) else b""

    def list_proc(self, path: str) -> list[str]:
        assert path == "7/task"
        if not self.threads:
            raise TargetGone("it has ended")
        return [str(number) for number in range(self.threads)]

    def put(self, at: int, layout: str, value: int) -> None:
        struct.pack_into(layout, self.raw, at, value)

    @property
    def process(self) -> OpenedProcess:
        assert OFFSETS is not None
        memory = ProcessMemory(self, 7)  # type: ignore[arg-type]  # one call of a host is enough
        return cast(
            "OpenedProcess",
            SimpleNamespace(
                pid=7, host=self, offsets=OFFSETS, memory=memory, symbol=self.symbols.get, module=lambda _: 0,
                binary=SimpleNamespace(build_info=SimpleNamespace(settings=self.settings)),
            ),
        )  # fmt: skip


def filled() -> Runtime:
    assert OFFSETS is not None
    target = Runtime()
    target.put(0, "<i", 8)
    link = OFFSETS.need("m.alllink")
    target.put(8, "<Q", HERE + 0x8000)
    target.put(0x8000 + link, "<Q", HERE + 0x9000)
    target.put(0x4000 + OFFSETS.need("mstats.numgc"), "<I", 12)
    target.put(0x4000 + OFFSETS.need("mstats.last_gc_nanotime"), "<Q", 5_000)
    target.put(0x1000 + OFFSETS.need("gcControllerState.gcPercent"), "<i", 100)
    target.put(0x1000 + OFFSETS.need("gcControllerState.heapLive"), "<Q", 3 << 20)
    target.put(0x1000 + OFFSETS.need("gcControllerState.gcPercentHeapGoal"), "<Q", 4 << 20)
    target.put(0x1000 + OFFSETS.need("gcControllerState.memoryLimit"), "<q", (1 << 63) - 1)
    return target


def test_all_is_read_by_symbols() -> None:
    assert read_gc(filled().process) == GcState(8, 2, 12, 5_000, 3 << 20, 4 << 20, 100)


def test_a_goal_that_a_memory_limit_may_lower_is_not_claimed() -> None:
    assert OFFSETS is not None
    target = filled()
    target.put(0x1000 + OFFSETS.need("gcControllerState.memoryLimit"), "<q", 1 << 30)
    assert read_gc(target.process).heap_goal_bytes is None
    target = filled()
    target.put(0x1000 + OFFSETS.need("gcControllerState.gcPercentHeapGoal"), "<Q", (1 << 64) - 1)
    assert read_gc(target.process).heap_goal_bytes is None


def test_stripped_programs_tell_what_needs_no_symbol() -> None:
    assert OFFSETS is not None
    target = Runtime(symbols={})
    assert read_gc(target.process) == GcState(threads=3)
    target.put(OFFSETS.need("mheap.sweepgen"), "<I", 24)
    assert read_gc(target.process, heap=HERE).cycles == 12
    assert read_gc(Runtime(symbols={}, settings={"CGO_ENABLED": "1"}).process) == GcState()
    assert read_gc(Runtime(symbols={}, threads=0).process) == GcState()


def test_a_list_of_threads_that_leads_to_itself_is_not_counted() -> None:
    assert OFFSETS is not None
    target = filled()
    target.put(0x9000 + OFFSETS.need("m.alllink"), "<Q", HERE + 0x8000)
    assert read_gc(target.process).threads is None


@given(st.binary(min_size=8, max_size=512), st.sampled_from([0, 0x1000, 0x4000 + 7600]))
def test_any_bytes_give_a_state(raw: bytes, at: int) -> None:
    target = filled()
    target.raw[at : at + len(raw)] = raw
    found = read_gc(target.process)
    assert found.gomaxprocs is None or found.gomaxprocs > 0
