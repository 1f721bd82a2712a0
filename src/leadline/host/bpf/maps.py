"""Maps: single elements by key, whole maps by batch into numpy arrays."""

from __future__ import annotations

import ctypes
import errno
from typing import Final

import numpy as np

from leadline.contracts.bpf import Rows
from leadline.host.bpf.skeleton import MapLayout
from leadline.host.bpf.syscalls import bpf, make_attr
from leadline.model import AccessError, Unsupported

__all__ = ["LiveMap", "possible_cpus"]

_PER_CPU_TYPES: Final = frozenset({5, 6, 10})
_BATCH_BYTES: Final = 1 << 20
_TOKEN_BYTES: Final = 64


def possible_cpus(text: str) -> int:
    """Return how many CPUs sys/devices/system/cpu/possible names (``0-1``, ``0,2-3``): per-CPU values have one slot each."""
    highest = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        highest = max(highest, int(last or first) + 1)
    return highest


class LiveMap:
    """A map by its descriptor, which belongs to the object that loaded it."""

    def __init__(
        self, fd: int, layout: MapLayout, dtypes: tuple[np.dtype[np.void], np.dtype[np.void]], *, cpus: int
    ) -> None:
        self._fd = fd
        self.key, self.value = dtypes
        self._max_entries = layout.max_entries
        self._slots = cpus if layout.type in _PER_CPU_TYPES else 1
        # The kernel rounds per-CPU slots up to 8 bytes.
        self._stride = (self.value.itemsize + 7) & ~7 if self._slots > 1 else self.value.itemsize

    def lookup(self, key: bytes) -> Rows | None:
        """Return the value as an array of one (per-CPU: one per possible CPU), None when absent."""
        room = ctypes.create_string_buffer(self._stride * self._slots)
        try:
            self._element("MAP_LOOKUP_ELEM", key, room)
        except AccessError as error:
            if error.errno_raw == errno.ENOENT:
                return None
            raise
        slots = np.frombuffer(room.raw, np.uint8).reshape(self._slots, self._stride)
        return slots[:, : self.value.itemsize].copy().view(self.value)[:, 0]

    def update(self, key: bytes, value: bytes) -> None:
        """Insert or replace a value."""
        if len(value) != self.value.itemsize:
            raise ValueError(f"value of {len(value)} bytes for {self.value.itemsize}")
        self._element("MAP_UPDATE_ELEM", key, ctypes.create_string_buffer(value, len(value)))

    def delete(self, key: bytes) -> bool:
        """Remove an entry; return whether it was there."""
        try:
            self._element("MAP_DELETE_ELEM", key, None)
        except AccessError as error:
            if error.errno_raw == errno.ENOENT:
                return False
            raise
        return True

    def delete_many(self, keys: Rows) -> int:
        """Remove entries; return how many were there. The kernel stops a batch at an absent key: go on behind it."""
        packed = np.ascontiguousarray(keys, dtype=self.key)
        begin = removed = 0
        while begin < len(packed):
            attr = make_attr(
                56,
                (16, 8, packed.ctypes.data + begin * self.key.itemsize),
                (32, 4, len(packed) - begin),
                (36, 4, self._fd),
            )
            try:
                bpf("MAP_DELETE_BATCH", attr)
            except AccessError as error:
                if error.errno_raw != errno.ENOENT:
                    raise
                done = int.from_bytes(attr[32:36], "little")
                removed += done
                begin += done + 1
            else:
                return removed + len(packed) - begin
        return removed

    def dump(self) -> tuple[Rows, Rows]:
        """Return all keys and values of a hash map."""
        chunk = min(self._max_entries, max(_BATCH_BYTES // (self.key.itemsize + self.value.itemsize), 256))
        keys, values = np.empty(chunk, self.key), np.empty(chunk, self.value)
        tokens = [ctypes.create_string_buffer(_TOKEN_BYTES) for _ in range(2)]
        found_keys: list[Rows] = []
        found_values: list[Rows] = []
        first = True
        while True:
            attr = make_attr(
                56,
                (0, 8, 0 if first else ctypes.addressof(tokens[0])),
                (8, 8, ctypes.addressof(tokens[1])),
                (16, 8, keys.ctypes.data),
                (24, 8, values.ctypes.data),
                (32, 4, len(keys)),
                (36, 4, self._fd),
            )
            ended = False
            try:
                bpf("MAP_LOOKUP_BATCH", attr)
            except AccessError as error:
                if error.errno_raw == errno.ENOSPC:  # one bucket holds more than the arrays
                    keys, values = np.empty(2 * len(keys), self.key), np.empty(2 * len(values), self.value)
                    continue
                if error.errno_raw != errno.ENOENT:
                    raise
                ended = True
            count = int.from_bytes(attr[32:36], "little")
            found_keys.append(keys[:count].copy())
            found_values.append(values[:count].copy())
            if ended:
                break
            tokens.reverse()
            first = False
        return np.concatenate(found_keys), np.concatenate(found_values)

    def _element(self, command: str, key: bytes, value: ctypes.Array[ctypes.c_char] | None) -> None:
        if len(key) != self.key.itemsize:
            raise ValueError(f"key of {len(key)} bytes for {self.key.itemsize}")
        room = ctypes.create_string_buffer(key, len(key))
        attr = make_attr(
            32,
            (0, 4, self._fd),
            (8, 8, ctypes.addressof(room)),
            (16, 8, 0 if value is None else ctypes.addressof(value)),
        )
        try:
            bpf(command, attr)
        except Unsupported as error:
            if error.errno_raw == errno.E2BIG:
                raise Unsupported("the BPF map is full", errno_raw=errno.E2BIG) from error
            raise
