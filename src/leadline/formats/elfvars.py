"""Variables of an ELF file from its symbol table: package variables of Go programs that were not stripped.

Source: the System V ABI, chapter 4 (symbol table).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from leadline.formats.elfimage import ElfImage

__all__ = ["ElfVariables", "Variable"]

_MAX_SYMBOLS = 4_000_000
_MAX_NAME_BYTES = 1 << 14
_STT_OBJECT = 1
_SYMBOL_64 = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("index", "<u2"), ("value", "<u8"), ("size", "<u8")]
)


class Variable(NamedTuple):
    """A variable: name, linked address, size in bytes."""

    name: str
    address: int
    size: int


class ElfVariables:
    """The variables of one 64-bit file; empty when it was stripped.

    Marks of no size, such as ``runtime.bss``, are left out of ``at``.
    """

    def __init__(self, image: ElfImage) -> None:
        self._values: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._sizes: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._names: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._sized: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._strings = b""
        section = image.section(".symtab")
        if section is None or not image.is_64bit or section.link >= len(image.sections):
            return
        self._strings = bytes(image.section_bytes(image.sections[section.link]))
        raw = image.section_bytes(section)
        count = min(len(raw) // _SYMBOL_64.itemsize, _MAX_SYMBOLS)
        rows = np.frombuffer(raw[: count * _SYMBOL_64.itemsize], _SYMBOL_64)
        is_variable = (rows["info"] & 0xF) == _STT_OBJECT
        kept = rows[is_variable & (rows["index"] != 0) & (rows["index"] < 0xFF00) & (rows["value"] != 0)]
        kept = kept[np.argsort(kept["value"], kind="stable")]
        self._values = kept["value"].astype(np.uint64)
        self._sizes = kept["size"].astype(np.uint64)
        self._names = kept["name"].astype(np.uint32)
        self._sized = np.flatnonzero(self._sizes > 0)

    def __len__(self) -> int:
        return len(self._values)

    def find(self, name: str) -> Variable | None:
        """Return the variable of a name such as ``runtime.allgs``, None when there is none."""
        places = np.array(_places_of(self._strings, name.encode()), np.uint32)
        rows: list[int] = np.flatnonzero(np.isin(self._names, places)).tolist()
        return self._variable(rows[0]) if rows else None

    def at(self, address: int) -> Variable | None:
        """Return the variable that holds a linked address, None when none does."""
        if not len(self) or not 0 <= address < 1 << 64:
            return None
        last = int(np.searchsorted(self._values[self._sized], np.uint64(address), side="right")) - 1
        if last < 0:
            return None
        found = self._variable(int(self._sized[last]))
        return found if address < found.address + found.size else None

    def _variable(self, row: int) -> Variable:
        at = int(self._names[row])
        end = self._strings.find(b"\0", at, at + _MAX_NAME_BYTES)
        name = self._strings[at:end].decode("utf-8", "replace") if end >= 0 else ""
        return Variable(name, int(self._values[row]), int(self._sizes[row]))


def _places_of(strings: bytes, wanted: bytes) -> list[int]:
    needle = b"\0" + wanted + b"\0"
    places = []
    at = strings.find(needle)
    while wanted and at >= 0:
        places.append(at + 1)
        at = strings.find(needle, at + 1)
    return places
