"""Labels of goroutines in both layouts, and of bytes that are none."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leadline.probes.snapshot_runtime.labels import read_labels
from leadline.probes.snapshot_runtime.memory import ProcessMemory

HERE = 0xC000001000


@dataclass
class Bytes:
    """A host of one range of memory."""

    raw: bytearray = field(default_factory=lambda: bytearray(16384))

    def read_memory(self, pid: int, address: int, size: int) -> bytes:
        assert pid == 1
        at = address - HERE
        return bytes(self.raw[at : at + size]) if 0 <= at < len(self.raw) else b""

    def memory(self) -> ProcessMemory:
        return ProcessMemory(self, 1)  # type: ignore[arg-type]  # one call of a host is enough

    def text(self, at: int, text: str) -> tuple[int, int]:
        raw = text.encode()
        self.raw[at : at + len(raw)] = raw
        return HERE + at, len(raw)

    def put(self, at: int, *words: int) -> None:
        struct.pack_into(f"<{len(words)}Q", self.raw, at, *words)


def listed() -> Bytes:
    target = Bytes()
    target.put(0, HERE + 64, 2, 2)
    target.put(64, *target.text(2000, "user"), *target.text(2100, "ü"))
    target.put(96, *target.text(2200, "kind"), *target.text(2300, ""))
    return target


def mapped(*, growing: bool = False) -> Bytes:
    """A map of two cells, one in an overflow bucket; growing, one is in the old table still."""
    target = Bytes()
    target.put(0, HERE + 64)
    struct.pack_into("<QBBHIQQ", target.raw, 64, 2, 0, 0, 0, 7, HERE + 256, HERE + 4096 if growing else 0)
    first, second = 256, 4096 if growing else 1024
    target.raw[first + 3] = 99
    target.put(first + 8 + 16 * 3, *target.text(2000, "user"))
    target.put(first + 8 + 128 + 16 * 3, *target.text(2100, "ü"))
    target.put(first + 264, 0 if growing else HERE + 1024)
    target.raw[second] = 5
    target.raw[second + 1] = 2  # evacuated
    target.put(second + 8, *target.text(2200, "kind"))
    target.put(second + 136, *target.text(2300, ""))
    return target


def test_lists_and_maps_are_read_in_the_order_of_names() -> None:
    wanted = {"kind": "", "user": "ü"}
    for found in (
        read_labels(listed().memory(), 24, HERE),
        read_labels(mapped().memory(), 23, HERE),
        read_labels(mapped(growing=True).memory(), 21, HERE),
    ):
        assert found == wanted
        assert list(found) == ["kind", "user"]


def test_no_labels_and_damaged_ones_are_none() -> None:
    assert read_labels(listed().memory(), 26, 0) == {}
    assert read_labels(listed().memory(), 26, 16) == {}
    assert read_labels(listed().memory(), 22, 16) == {}
    target = listed()
    target.put(8, 1000)
    assert read_labels(target.memory(), 26, HERE) == {}
    target = listed()
    target.put(64, 16)
    assert read_labels(target.memory(), 26, HERE) == {}
    target = mapped()
    struct.pack_into("<Q", target.raw, 256 + 264, HERE + 256)  # a chain that leads to itself
    assert read_labels(target.memory(), 23, HERE) == {"user": "ü"}


@given(st.binary(max_size=400), st.sampled_from([21, 23, 24, 27]), st.integers(0, 300))
def test_any_bytes_give_labels_or_none(raw: bytes, minor: int, at: int) -> None:
    target = listed() if minor > 23 else mapped()
    target.raw[at : at + len(raw)] = raw
    found = read_labels(target.memory(), minor, HERE)
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in found.items())
    assert len(found) <= np.iinfo(np.int16).max
