"""Reads of one process's memory as words, rows and texts; what cannot be read is told, never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.model import Unsupported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.contracts import Host
    from leadline.probes.snapshot_runtime.looks import Words

__all__ = ["ProcessMemory"]

_HIGHEST_ADDRESS = 1 << 56
_MAX_READ_BYTES = 1 << 30
_MAX_TEXT_BYTES = 4096


class ProcessMemory:
    """The memory of one process; implements ``looks.Memory``.

    Attributes:
        bytes_read: how much was asked for so far.

    Each read raises NotPermitted and TargetGone as ``Host.read_memory`` does.
    """

    def __init__(self, host: Host, pid: int) -> None:
        self._host = host
        self._pid = pid
        self.bytes_read = 0

    def read(self, address: int, size: int) -> bytes:
        """Return bytes; see ``Memory.read``."""
        if not 0 < address < _HIGHEST_ADDRESS or not 0 < size <= _MAX_READ_BYTES:
            return b""
        self.bytes_read += size
        try:
            return self._host.read_memory(self._pid, address, size)
        except Unsupported:
            return b""

    def words(self, address: int, count: int) -> Words:
        """Return 64-bit words; see ``Memory.words``."""
        raw = self.read(address, 8 * count)
        return np.frombuffer(raw[: len(raw) // 8 * 8], "<u8").astype(np.uint64)

    def word(self, address: int) -> int:
        """Return one 64-bit word, 0 when it cannot be read."""
        raw = self.read(address, 8)
        return int.from_bytes(raw, "little") if len(raw) == 8 else 0

    def gather(self, addresses: Words, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return rows of bytes; see ``Memory.gather``."""
        flat, is_read = self.gather_ranges(addresses, np.full(len(addresses), size, np.uint64))
        return flat.reshape(len(addresses), size), is_read

    def gather_words(self, addresses: Words) -> tuple[Words, NDArray[np.bool_]]:
        """Return one word at each address; see ``Memory.gather_words``."""
        flat, is_read = self.gather_ranges(addresses, np.full(len(addresses), 8, np.uint64))
        return flat.view("<u8").astype(np.uint64, copy=False), is_read

    def gather_ranges(self, addresses: Words, sizes: Words) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return ranges of different sizes, end to end; see ``Host.gather_memory``."""
        if not len(addresses):
            return np.zeros(0, np.uint8), np.zeros(0, np.bool_)
        self.bytes_read += int(sizes.sum())
        return self._host.gather_memory(
            self._pid, addresses.astype(np.uint64, copy=False), sizes.astype(np.uint64, copy=False)
        )

    def text(self, address: int, size: int) -> str | None:
        """Return the text of a Go string; see ``Memory.text``."""
        if size == 0:
            return ""
        if not 0 < size <= _MAX_TEXT_BYTES:
            return None
        raw = self.read(address, size)
        if len(raw) < size:
            return None
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return None
