"""Go's tables of a value per address range (pcln, pcfile, pcdata): pairs of varints, value delta then address delta.

Source: Go, src/runtime/symtab.go (pcvalue, step); src/cmd/internal/obj/pcln.go (funcpctab).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

import numpy as np

from leadline.model import Malformed

__all__ = ["PcTable", "parse_pc_table"]

_MAX_TABLE_BYTES = 8 << 20
_WINDOW_BYTES = 256
_VECTOR_BYTES = 192  # from here on numpy beats the plain loop (measured on a net/http server)
_MAX_SHIFT = 28  # numbers have 32 bits: at most five bytes of seven


class PcTable:
    """Values by range: ``values[i]`` holds below ``ends[i]``, offsets in bytes from the function's entry."""

    __slots__ = ("_ends", "_values")

    def __init__(self, ends: array[int] | list[int], values: array[int] | list[int]) -> None:
        self._ends = ends
        self._values = values

    def value_at(self, offset: int) -> int:
        """Return the value at an offset, -1 (the runtime's word for none) behind the last range."""
        index = bisect_right(self._ends, offset)
        return self._values[index] if index < len(self._values) else -1

    def highest(self) -> int:
        """Return the highest value, -1 in an empty table."""
        return max(self._values, default=-1)

    def first_highest(self) -> tuple[int, int]:
        """Return the offset from which the highest value holds for the first time, and that value; (0, -1) when empty."""
        highest = self.highest()
        if not len(self._values):
            return 0, -1
        index = self._values.index(highest)
        return (self._ends[index - 1] if index else 0), highest


def parse_pc_table(view: memoryview, start: int, quantum: int) -> PcTable:
    """Return the table at an offset of the pctab.

    Args:
        view: the pctab, from its beginning on.
        start: offset of the table, bytes.
        quantum: bytes per instruction step: 1 on amd64, 4 on arm64.

    Raises:
        Malformed: the table does not end inside the bytes.
    """
    raw = _table_bytes(view, start)
    return _parse_long(raw, quantum) if len(raw) >= _VECTOR_BYTES else _parse_short(raw, quantum)


def _table_bytes(view: memoryview, start: int) -> bytes:
    # A zero byte ends the table, except as the very first one (a first delta of 0): address deltas are never 0 and
    # the last byte of a longer varint is never 0 either.
    window = _WINDOW_BYTES
    while True:
        raw = bytes(view[start : start + window])
        end = raw.find(b"\0", 1)
        if end >= 0:
            return raw[:end]
        if len(raw) < window or window > _MAX_TABLE_BYTES:
            raise Malformed(".gopclntab", "table of values without an end", offset_bytes=start, sample=raw)
        window *= 8


def _parse_short(raw: bytes, quantum: int) -> PcTable:
    ends: list[int] = []
    values: list[int] = []
    value, end = -1, 0
    at, size = 0, len(raw)
    while at < size:
        byte = raw[at]
        at += 1
        if byte >= 0x80:
            byte &= 0x7F
            shift = 7
            while at < size:
                more = raw[at]
                at += 1
                byte |= (more & 0x7F) << shift
                shift += 7
                if more < 0x80:
                    break
                if shift > _MAX_SHIFT:
                    raise Malformed(".gopclntab", "varint of more than 5 bytes", sample=raw)
            else:
                raise Malformed(".gopclntab", "varint without an end", sample=raw)
        value += (byte >> 1) ^ -(byte & 1)
        if at >= size:
            raise Malformed(".gopclntab", "table of values ends in a value", sample=raw)
        byte = raw[at]
        at += 1
        if byte >= 0x80:
            byte &= 0x7F
            shift = 7
            while at < size:
                more = raw[at]
                at += 1
                byte |= (more & 0x7F) << shift
                shift += 7
                if more < 0x80:
                    break
                if shift > _MAX_SHIFT:
                    raise Malformed(".gopclntab", "varint of more than 5 bytes", sample=raw)
            else:
                raise Malformed(".gopclntab", "varint without an end", sample=raw)
        end += byte * quantum
        ends.append(end)
        values.append(value)
    return PcTable(ends, values)


def _parse_long(raw: bytes, quantum: int) -> PcTable:
    every = np.frombuffer(raw, np.uint8)
    lasts = np.flatnonzero(every < 0x80)
    if not len(lasts) or int(lasts[-1]) != len(raw) - 1 or len(lasts) % 2:
        raise Malformed(".gopclntab", "table of values ends in a value", sample=raw)
    firsts = np.empty_like(lasts)
    firsts[0] = 0
    firsts[1:] = lasts[:-1] + 1
    lengths = lasts - firsts + 1
    longest = int(lengths.max())
    if longest > 5:
        raise Malformed(".gopclntab", f"varint of {longest} bytes", sample=raw)
    numbers = (every[firsts] & 0x7F).astype(np.int64)
    for extra in range(1, longest):
        has = lengths > extra
        numbers[has] |= (every[firsts[has] + extra] & 0x7F).astype(np.int64) << (7 * extra)
    deltas = numbers[0::2]
    values = np.cumsum((deltas >> 1) ^ -(deltas & 1)) - 1
    ends = np.cumsum(numbers[1::2] * quantum)
    return PcTable(array("q", ends.tobytes()), array("q", values.tobytes()))
