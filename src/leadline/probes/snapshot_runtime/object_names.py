"""Names for objects of the Go heap, as far as something tells their type.

A pointer carries no type. It is known when the pointer is the second word of an interface value (the first names the type), when
the object begins with the address of its type (objects of more than 512 bytes that may hold pointers, Go 1.22+), or when
its shape is one of the runtime's: a closure begins with the address of a function, a channel names its element type, a map
has fields that must agree with each other. Everything else is ``?``.

Source: Go, src/runtime/mbitmap.go (typePointersOf), runtime2.go (iface, eface, funcval), chan.go (hchan), map_noswiss.go (hmap),
src/internal/runtime/maps/map.go (Map).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.probes.snapshot_runtime.netfds import tls_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leadline.probes.snapshot_runtime.heap_index import HeapIndex
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["About", "ObjectNames", "collapsed", "is_of_map"]

_UNKNOWN = "?"
_MAP = "map"
_HEADER_BYTES = 8
_MAX_HOLDERS = 32
_MAX_ALIKE = 3
_MAX_NAMED = 128
"""Longer ways are named at both ends only."""
_MAX_MAP_BITS = 40
_NETWORKS = {"tcp": "*net.TCPConn", "udp": "*net.UDPConn", "uni": "*net.UnixConn", "ip": "*net.IPConn"}
_LISTENERS = {"tcp": "*net.TCPListener", "uni": "*net.UnixListener"}
_TLS = frozenset({"tls.Conn", "*tls.Conn"})
_TLS_VERSIONS = frozenset({0, 0x301, 0x302, 0x303, 0x304})
_CONN_BYTES = 16
"""Largest slot of an object that is one pointer to a netFD; listeners have more fields."""


class About(NamedTuple):
    """The outermost type of Go's own that holds a connection, and whether its TLS handshake is complete; None without TLS."""

    go_type: str
    handshake_complete: bool | None


class ObjectNames:
    """Names objects of one search."""

    def __init__(self, process: OpenedProcess, index: HeapIndex) -> None:
        self._process = process
        self._memory = process.memory
        self._index = index
        self._known: dict[tuple[int, int], str] = {}

    def path(self, steps: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """Return names for objects from the root down.

        Args:
            steps: for each object its number and the address of the pointer that led to it.
        """
        found: list[str] = []
        inside_map = 0
        left_out = range(_MAX_NAMED // 2, len(steps) - _MAX_NAMED // 2)
        for place, (number, pointer) in enumerate(steps):
            if len(steps) > _MAX_NAMED and place in left_out:
                if place == left_out.start:
                    found.append(f"... ({len(left_out)} more)")
                continue
            following = steps[place + 1][1] if place + 1 < len(steps) else None
            name = self._name(number, pointer, following)
            if name.startswith(_MAP):
                inside_map = int(name.removeprefix(_MAP) or 0)
                if found[-1:] != [_MAP]:
                    found.append(_MAP)
                continue
            if inside_map and name in {_UNKNOWN, "slice"}:
                inside_map -= 1
                continue
            inside_map = 0
            found.append(name)
        return collapsed(found)

    def connection(self, anchors: Sequence[int], is_reached: Callable[[int], bool]) -> About:
        """Return what Go's own packages wrap around a ``net.netFD`` or ``os.file``.

        Args:
            anchors: the objects that have the descriptor.
            is_reached: whether something leads to an object: a TLS connection that nothing refers to does not hold
                anything, though its handshake tells of the connection all the same.
        """
        go_type, complete = "", None
        for anchor in anchors:
            for outer, pointer in self._holders(anchor):
                if pointer != self._index.base(outer):
                    continue
                name = self._name(outer, 0, pointer)
                if name == _UNKNOWN:
                    continue
                go_type = go_type or name
                for wrapper, word in self._holders(outer):
                    at = self._tls(wrapper, word)
                    if at is None:
                        continue
                    state = tls_state(self._process, at)
                    handshake = None if state is None else state[0]
                    complete = handshake if complete is None else complete or handshake
                    if is_reached(wrapper) or not is_reached(outer):
                        go_type = "*tls.Conn"
        return About(go_type, complete)

    def _holders(self, number: int) -> list[tuple[int, int]]:
        """Return (object, address of the pointer) for the first few objects that point to one."""
        _, holders = self._index.holders(np.array([number], np.int64))
        addresses, objects, _ = self._index.decode(holders[:_MAX_HOLDERS])
        return [
            pair
            for pair in zip(objects.tolist(), addresses.tolist(), strict=True)
            if pair[0] not in {-1, number}
        ]

    def _tls(self, number: int, word: int) -> int | None:
        """Return where the ``tls.Conn`` begins whose ``conn`` has its data word at an address; None when it is none."""
        offset = self._process.offsets.get("tls.Conn.conn")
        if offset is None:
            return None
        begin = word - 8 - offset
        base = self._index.base(number)
        if begin not in {base, base + _HEADER_BYTES}:
            return None
        name = self._header(number) or self._by_other_holders(number)
        if not name and begin == base and not self._index.spans.has_headers.any():
            return begin if self._has_shape_of_tls(begin, self._index.size(number)) else None
        return begin if name in _TLS else None

    def _has_shape_of_tls(self, begin: int, size: int) -> bool:
        """Return whether an object without a noted type (before Go 1.22) can be a ``tls.Conn``."""
        offsets = self._process.offsets
        wanted = offsets.need("tls.Conn.SIZE")
        raw = self._memory.read(begin, wanted)
        if not wanted <= size <= wanted * 5 // 4 or len(raw) < wanted:
            return False
        version = int.from_bytes(raw[offsets.need("tls.Conn.vers") :][:2], "little")
        is_client = raw[offsets.need("tls.Conn.isClient")]
        return version in _TLS_VERSIONS and is_client <= 1 and bool(self._by_interface(begin + 8))

    def _name(self, number: int, pointer: int, following: int | None) -> str:
        """Return the name of an object that a pointer leads to.

        Args:
            number: the object.
            pointer: address of the pointer, 0 when it does not matter.
            following: address of the word in it that leads on, None at the end.
        """
        name = self._by_interface(pointer) if pointer else ""
        if name:
            return name
        key = (number, following or 0)
        if key not in self._known:
            self._known[key] = self._by_shape(number, following) or self._by_other_holders(number)
        name = self._known[key]
        if not name and pointer and self._is_slice(number, pointer):
            name = "slice"
        return name or _UNKNOWN

    def _by_interface(self, pointer: int) -> str:
        """Return the dynamic type when the word before a pointer says that both are an interface value."""
        word = self._memory.word(pointer - 8)
        if word < 4096:
            return ""
        if self._process.module("types") <= word < self._process.module("etypes"):
            named = self._process.type_name(word)
            if named:
                return named
        if self._index.spans.base(word) is not None:  # neither types nor itabs lie on the heap
            return ""
        return self._process.type_of_interface(word, is_empty=False) or ""

    def _by_other_holders(self, number: int) -> str:
        for _, address in self._holders(number):
            name = self._by_interface(address)
            if name:
                return name
        return ""

    def _header(self, number: int) -> str:
        """Return the type that the allocator noted for an object, "" when it did not."""
        spans, span = self._index.spans, int(self._index.span_of(np.array([number], np.int64))[0])
        word = int(spans.large_types[span])
        if spans.has_headers[span]:
            word = self._memory.word(self._index.base(number))
        return (self._process.type_name(word) or "") if word else ""

    def _by_shape(self, number: int, following: int | None) -> str:
        base, size = self._index.base(number), self._index.size(number)
        header = self._header(number)
        if header:
            return _MAP if is_of_map(header) else self._counted(number, header)
        raw = self._memory.read(base, min(size, 128))
        words = [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw) // 8 * 8, 8)]
        if not words:
            return ""
        if self._process.module("text") <= words[0] < self._process.module("etext"):
            place = self._process.names.function_around(words[0])
            if place is not None and place[2][0] == words[0]:
                return f"closure {place[0]}"
        inside = self._inside_map(base, size, words, following)
        if inside:
            return f"{_MAP}{inside}"
        return self._channel(words) or self._socket(words, size)

    def _counted(self, number: int, name: str) -> str:
        """Return ``[]T`` for room for several T, which is all that is known of it."""
        spans, span = self._index.spans, int(self._index.span_of(np.array([number], np.int64))[0])
        word = int(spans.large_types[span]) or self._memory.word(self._index.base(number))
        size = self._memory.word(word + (self._process.offsets.get("abi.Type.Size_") or 0))
        return f"[]{name}" if 0 < size <= (int(spans.object_bytes[span]) - _HEADER_BYTES) // 2 else name

    def _inside_map(self, base: int, size: int, words: Sequence[int], following: int | None) -> int:
        """Return how many objects of a map lie between its head and what it holds; 0 when it is no map's head."""
        offsets = self._process.offsets
        directory, length = offsets.get("maps.Map.dirPtr"), offsets.get("maps.Map.dirLen")
        if size != 48 or following is None or len(words) < 6:
            return 0
        if directory is not None and length is not None:
            depth, count = words[length // 8 + 1] & 0xFF, words[length // 8]
            if following != base + directory or words[1] == 0:
                return 0
            if count == 0 and depth == 0 and words[0] <= 8:
                return 1
            return 3 if depth <= _MAX_MAP_BITS and count == 1 << depth else 0  # directory, table, groups
        buckets, bits_at = offsets.get("hmap.buckets"), offsets.get("hmap.B")
        if buckets is None or bits_at is None or following not in {base + buckets, base + buckets + 8}:
            return 0
        bits = words[bits_at // 8] >> bits_at % 8 * 8 & 0xFF
        fits = bits <= _MAX_MAP_BITS and words[0] <= 13 * (1 << bits) // 2 + 8 and words[1] >> 32 != 0
        return 1 if fits else 0

    def _channel(self, words: Sequence[int]) -> str:
        offsets = self._process.offsets
        type_at, size_at = offsets.get("hchan.elemtype"), offsets.get("hchan.elemsize")
        if type_at is None or size_at is None or type_at // 8 >= len(words):
            return ""
        word = words[type_at // 8]
        if not self._process.module("types") <= word < self._process.module("etypes"):
            return ""
        element = self._process.type_name(word)
        size = words[size_at // 8] & 0xFFFF
        real = self._memory.word(word + (offsets.get("abi.Type.Size_") or 0))
        capacity = words[(offsets.get("hchan.dataqsiz") or 8) // 8]
        if element is None or size != real or words[0] > capacity:
            return ""
        return f"chan {element}"

    def _socket(self, words: Sequence[int], size: int) -> str:
        """Return the type of an object that begins with a pointer to a ``net.netFD`` or ``os.file``."""
        offsets = self._process.offsets
        inner = words[0]
        if self._index.spans.base(inner) != inner:
            return ""
        pd = self._memory.word(inner + offsets.need("poll.FD.pd"))
        fd = self._memory.word(inner + offsets.need("poll.FD.Sysfd"))
        if self._memory.word(inner) & 1 or fd >= 1 << 31:  # closed
            return ""
        at = offsets.get("netFD.net")
        network = (
            None
            if at is None
            else self._memory.text(self._memory.word(inner + at), self._memory.word(inner + at + 8))
        )
        known = None if network is None else next((one for one in _NETWORKS if network.startswith(one)), None)
        if known is not None and pd:
            names = _NETWORKS if size <= _CONN_BYTES else _LISTENERS
            return names.get(known, "")
        at = offsets.need("os.file.name")
        text = self._memory.text(self._memory.word(inner + at), self._memory.word(inner + at + 8))
        has_finalizer = np.isin(self._index.object_at(inner), self._index.finalized)
        return "*os.File" if text and has_finalizer and size <= _CONN_BYTES else ""

    def _is_slice(self, number: int, pointer: int) -> bool:
        """Return whether length and capacity that fit the object stand behind a pointer to its beginning."""
        words = self._memory.words(pointer, 3)
        if len(words) < 3 or int(words[0]) != self._index.base(number):
            return False
        length, capacity = int(words[1]), int(words[2])
        return 0 < length <= capacity and capacity * 8 <= self._index.size(number)


def is_of_map(name: str) -> bool:
    """Return whether a type is part of a map's inside."""
    return name.lstrip("*[]").startswith(("map.", "group[", "maps.", "hmap", "bmap")) or "map.bucket[" in name


def collapsed(names: Sequence[str]) -> tuple[str, ...]:
    """Return a path in which many alike stand as one, such as the nodes of a linked list.

    >>> collapsed(["map", "?", "?", "?", "?", "*net.TCPConn"])
    ('map', '? (4 times)', '*net.TCPConn')
    """
    found: list[str] = []
    for name, group in groupby(names):
        count = len(list(group))
        found += [f"{name} ({count} times)"] if count > _MAX_ALIKE else [name] * count
    return tuple(found)
