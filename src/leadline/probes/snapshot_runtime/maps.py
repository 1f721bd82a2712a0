"""The memory in which a Go map keeps its entries, for readers that recognise the entries by themselves.

Since Go 1.24: internal/runtime/maps (Map, table, group of eight slots). Before: runtime/map.go (hmap, buckets of eight). Nothing
tells which slots are free, so that words of entries that were deleted may be among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.formats.gobinary import go_minor

if TYPE_CHECKING:
    from leadline.probes.snapshot_runtime.looks import GoProcess, Words

__all__ = ["slot_words"]

MAX_BYTES = 64 << 20
_SWISS_MINOR = 24
_SLOTS = 8
_HEAD = 8  # control word of a group, or the top hashes of a bucket
_MAX_TABLES = 1 << 12
_MAX_OVERFLOWS = 1 << 12
_NOTHING = np.zeros(0, np.uint64)


def slot_words(process: GoProcess, address: int, slot_bytes: int) -> Words:
    """Return the words of all slots of the map at an address; none when it is not a map, or larger than 64 MiB.

    Args:
        process: the process.
        address: of the map itself: the value of a variable of map type.
        slot_bytes: size of one key and one element together, each rounded up to its alignment.
    """
    minor = go_minor(process.go_version)
    if minor is None or not address or address % 8:
        return _NOTHING
    is_swiss = minor >= _SWISS_MINOR and "noswissmap" not in process.go_version
    parts = _groups(process, address, slot_bytes) if is_swiss else _buckets(process, address, slot_bytes)
    return np.concatenate(parts) if parts else _NOTHING


def _groups(process: GoProcess, address: int, slot_bytes: int) -> list[Words]:
    """Return the groups of a maps.Map: used, seed, dirPtr, dirLen; a table: three counts, index, groups, lengthMask."""
    memory = process.memory
    group_words = (_HEAD + _SLOTS * slot_bytes) // 8
    head = memory.words(address, 4)
    if len(head) < 4 or not int(head[2]) or int(head[3]) > _MAX_TABLES:
        return []
    directory, length = int(head[2]), int(head[3])
    if not length:
        return [memory.words(directory, group_words)]
    found = []
    total = 0
    for table in np.unique(memory.words(directory, length)).tolist():
        fields = memory.words(table, 4) if table and table % 8 == 0 else _NOTHING
        if len(fields) < 4:
            continue
        groups, mask = int(fields[2]), int(fields[3])
        total += (mask + 1) * group_words * 8
        if mask & (mask + 1) or total > MAX_BYTES:
            return []
        found.append(memory.words(groups, (mask + 1) * group_words))
    return found


def _buckets(process: GoProcess, address: int, slot_bytes: int) -> list[Words]:
    """Return the buckets of an hmap: count, flags and B, buckets, oldbuckets; the last word of a bucket leads to the next."""
    memory = process.memory
    bucket_words = (_HEAD + _SLOTS * slot_bytes) // 8 + 1
    head = memory.words(address, 4)
    if len(head) < 4:
        return []
    exponent = int(head[1]) >> 8 & 0xFF
    found = []
    for buckets, bits in ((int(head[2]), exponent), (int(head[3]), exponent - 1)):
        # While a map grows some entries are still in the old half; or in as many, when only overflows are tidied up.
        if not buckets or bits < 0 or (bucket_words * 8) << bits > MAX_BYTES:
            continue
        found.append(memory.words(buckets, bucket_words << bits))
    followed: set[int] = set()
    pending = list(found)
    while pending:
        words = pending.pop()
        for link in words[bucket_words - 1 :: bucket_words].tolist():
            if link and link % 8 == 0 and link not in followed and len(followed) < _MAX_OVERFLOWS:
                followed.add(link)
                pending.append(memory.words(link, bucket_words))
                found.append(pending[-1])
    return found
