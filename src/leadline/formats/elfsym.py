"""Functions of an ELF file from its symbol tables: .symtab, .dynsym, and the compressed .gnu_debugdata of distributions.

Source: the System V ABI, chapter 4 (symbol table); for .gnu_debugdata the GDB manual, "MiniDebugInfo".
"""

from __future__ import annotations

import lzma
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from leadline.formats.elfimage import ElfImage
from leadline.model import Malformed

__all__ = ["ElfSymbols", "NativeSymbol"]

_MAX_SYMBOLS = 4_000_000  # per table; Chromium has about 1.2 million
_MAX_DEBUGDATA_BYTES = 64 << 20
_MAX_NAME_BYTES = 1 << 14
_LOOK_BACK = 16  # how many symbols that begin before an address are asked whether they reach it
_STT_NOTYPE, _STT_FUNC, _STT_IFUNC = 0, 2, 10
_SYMBOL_64 = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("index", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_SYMBOL_32 = np.dtype(
    [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"), ("index", "<u2")]
)


class NativeSymbol(NamedTuple):
    """A function: mangled name, linked address, size in bytes (0 when the table does not tell)."""

    name: str
    address: int
    size: int


class _Table(NamedTuple):
    """Functions of one symbol table, sorted by address."""

    values: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.uint64]
    names: npt.NDArray[np.uint32]
    strings: memoryview


class ElfSymbols:
    """The functions of one file. Damaged tables are left out: what remains is still right."""

    def __init__(self, image: ElfImage) -> None:
        self._tables = _tables_of(image)
        if image.section(".symtab") is None:
            hidden = _debugdata_image(image)
            if hidden is not None:
                self._tables = _tables_of(hidden) + self._tables

    def __len__(self) -> int:
        return sum(len(table.values) for table in self._tables)

    def at(self, address: int) -> NativeSymbol | None:
        """Return the function that holds a linked address, None when no symbol covers it."""
        for table in self._tables:
            found = _lookup(table, address)
            if found is not None:
                return found
        return None

    def find(self, name: str) -> NativeSymbol | None:
        """Return the function of a mangled name, None when there is none; walks the names, for set-up only."""
        wanted = name.encode()
        for table in self._tables:
            places = _string_places(table.strings, wanted)
            if not places:
                continue
            rows = np.flatnonzero(np.isin(table.names, np.array(places, np.uint32)))
            if len(rows):
                row = int(rows[0])
                return NativeSymbol(name, int(table.values[row]), int(table.sizes[row]))
        return None


def _lookup(table: _Table, address: int) -> NativeSymbol | None:
    if not 0 <= address < 1 << 64:
        return None
    last = int(np.searchsorted(table.values, np.uint64(address), side="right")) - 1
    for row in range(last, max(last - _LOOK_BACK, -1), -1):
        begin, size = int(table.values[row]), int(table.sizes[row])
        if address < begin + size or (size == 0 and row == last):
            return NativeSymbol(_name(table.strings, int(table.names[row])), begin, size)
    return None


def _tables_of(image: ElfImage) -> list[_Table]:
    found = []
    for name in (".symtab", ".dynsym"):
        section = image.section(name)
        if section is None or section.link >= len(image.sections):
            continue
        strings = image.section_bytes(image.sections[section.link])
        layout = _SYMBOL_64 if image.is_64bit else _SYMBOL_32
        raw = image.section_bytes(section)
        count = min(len(raw) // layout.itemsize, _MAX_SYMBOLS)
        rows = np.frombuffer(raw[: count * layout.itemsize], layout)
        kind = rows["info"] & 0xF
        is_function = (
            (kind == _STT_FUNC) | (kind == _STT_IFUNC) | ((kind == _STT_NOTYPE) & (rows["size"] > 0))
        )
        kept = rows[is_function & (rows["index"] != 0) & (rows["index"] < 0xFF00) & (rows["value"] != 0)]
        # Of names at one address the largest and most visible comes last, where the lookup sees it first.
        order = np.lexsort((kept["info"] >> 4, kept["size"], kept["value"]))
        kept = kept[order]
        found.append(
            _Table(
                kept["value"].astype(np.uint64), kept["size"].astype(np.uint64), kept["name"].copy(), strings
            )
        )
    return [table for table in found if len(table.values)]


def _debugdata_image(image: ElfImage) -> ElfImage | None:
    section = image.section(".gnu_debugdata")
    if section is None:
        return None
    packed = bytes(image.section_bytes(section)[:_MAX_DEBUGDATA_BYTES])
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DEBUGDATA_BYTES)
        plain = unpacker.decompress(packed, max_length=_MAX_DEBUGDATA_BYTES)
        return ElfImage(plain) if unpacker.eof else None
    except (lzma.LZMAError, EOFError, Malformed):
        return None


def _name(strings: memoryview, at: int) -> str:
    raw = bytes(strings[at : at + _MAX_NAME_BYTES])
    return raw[: raw.find(b"\0")].decode("utf-8", "replace") if b"\0" in raw else ""


def _string_places(strings: memoryview, wanted: bytes) -> list[int]:
    raw = bytes(strings)
    needle = b"\0" + wanted + b"\0"
    places, at = [], raw.find(needle)
    while at >= 0:
        places.append(at + 1)
        at = raw.find(needle, at + 1)
    return places
