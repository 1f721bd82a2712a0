"""pprof labels of goroutines: ``runtime/pprof.SetGoroutineLabels`` and ``pprof.Do``.

Up to Go 1.23 they are a map, from 1.24 on a list of pairs. Goroutines share them with those that they start, so each is read
once by its address.

Source: Go, src/runtime/pprof/label.go (labelMap), src/internal/runtime/pprof/label; src/runtime/map.go (hmap, bmap) of 1.23.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from leadline.probes.snapshot_runtime.looks import Memory

    _Text = tuple[int, int]

__all__ = ["read_labels"]

_FIRST_MINOR_WITH_LISTS = 24
_MAX_LABELS = 64
_MAX_BUCKETS_LOG2 = 4
_MAX_OVERFLOWS = 8
_CELLS = 8
_STRING_BYTES = 16
_BUCKET_BYTES = _CELLS + 2 * _CELLS * _STRING_BYTES + 8
_FIRST_HASH = 5  # minTopHash: below are empty cells and those that moved to a larger table
_MAP_BYTES = 32


def read_labels(memory: Memory, minor: int, address: int) -> dict[str, str]:
    """Return the labels at ``g.labels``, in the order of their names; empty when there are none or they are unreadable.

    Args:
        memory: of the process.
        minor: release, such as 26.
        address: value of ``g.labels``.
    """
    if not address:
        return {}
    pairs = _listed(memory, address) if minor >= _FIRST_MINOR_WITH_LISTS else _mapped(memory, address)
    found = {}
    for (key_at, key_size), (value_at, value_size) in pairs:
        key, value = memory.text(key_at, key_size), memory.text(value_at, value_size)
        if key is None or value is None:
            return {}
        found[key] = value
    return dict(sorted(found.items()))


def _listed(memory: Memory, address: int) -> Iterable[tuple[_Text, _Text]]:
    head = memory.words(address, 3).tolist()
    if len(head) < 3 or not 0 < head[1] <= min(head[2], _MAX_LABELS):
        return ()
    words = memory.words(head[0], 4 * head[1]).tolist()
    return [
        ((words[at], words[at + 1]), (words[at + 2], words[at + 3]))
        for at in range(0, len(words) // 4 * 4, 4)
    ]


def _mapped(memory: Memory, address: int) -> Iterator[tuple[_Text, _Text]]:
    raw = memory.read(memory.word(address), _MAP_BYTES)
    if len(raw) < _MAP_BYTES:
        return
    count, _, log2, _, _, buckets, old = struct.unpack("<QBBHIQQ", raw)
    if not 0 < count <= _MAX_LABELS or log2 > _MAX_BUCKETS_LOG2:
        return
    tables = [(buckets, 1 << log2), (old, 1 << max(log2 - 1, 0))]
    for table, length in tables:
        for number in range(length if table else 0):
            yield from _chain(memory, table + number * _BUCKET_BYTES)


def _chain(memory: Memory, bucket: int) -> Iterator[tuple[_Text, _Text]]:
    for _ in range(_MAX_OVERFLOWS):
        raw = memory.read(bucket, _BUCKET_BYTES) if bucket else b""
        if len(raw) < _BUCKET_BYTES:
            return
        words = struct.unpack(f"<{_BUCKET_BYTES // 8 - 1}Q", raw[_CELLS:])
        for cell in range(_CELLS):
            if raw[cell] >= _FIRST_HASH:
                key, value = 2 * cell, 2 * _CELLS + 2 * cell
                yield (words[key], words[key + 1]), (words[value], words[value + 1])
        bucket = words[-1]
