"""Go's function table (pclntab): address to function, file, line and inlined calls, in stripped binaries too.

The table is what the Go runtime itself prints tracebacks from, so it is in every Go binary. Read are Go 1.18 and 1.19
(magic 0xfffffff0) and 1.20 up to 1.27 (magic 0xfffffff1). Addresses here are linked addresses (as in the file).

Source: Go, src/runtime/symtab.go, src/runtime/symtabinl.go, src/internal/abi/symtab.go, src/debug/gosym/pclntab.go,
src/cmd/link/internal/ld/pcln.go.
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from leadline.formats.pctable import PcTable, parse_pc_table
from leadline.model import Malformed

__all__ = [
    "PCLNTAB_MAGICS",
    "GoCode",
    "GoFrame",
    "GoFunction",
    "GoLineTable",
    "LineTableHeader",
    "parse_header",
]

PCLNTAB_MAGICS = {0xFFFFFFF0: "1.18", 0xFFFFFFF1: "1.20"}
"""Magic number to the first Go release that writes it."""

_MAX_FUNCTIONS = 8_000_000
_MAX_NAME_BYTES = 1 << 16
_MAX_INLINE_DEPTH = 256
_PCDATA_INLINE_INDEX = 2
_FUNCDATA_INLINE_TREE = 3
_NO_FUNCDATA = 0xFFFFFFFF
_FLAG_TOP_FRAME = 1
_FLAG_SP_WRITE = 2
_SEARCH_BYTES = 1 << 20
_NAME_END = re.compile(rb"\0")


class GoFunction(NamedTuple):
    """One function of the table; ``end`` is the first address after it (padding included), ``row`` its place in it."""

    row: int
    entry: int
    end: int
    name: str
    start_line: int | None


class GoFrame(NamedTuple):
    """One source frame at an address.

    Attributes:
        function: name as Go prints it, such as ``net/http.(*Transport).roundTrip`` or ``main.Map[...]``.
        file: path as recorded by the compiler; None for padding and assembly without lines.
        line: 1-based, None when unknown.
        inlined: inlined into the next frame (the caller).
        is_wrapper: made by the compiler (method values, interface wrappers, ``go`` and ``defer`` wrappers).
    """

    function: str
    file: str | None
    line: int | None
    inlined: bool
    is_wrapper: bool


class GoCode(NamedTuple):
    """What a stack walk needs of the code at an address.

    Attributes:
        entry: first address of its function.
        function: its name.
        stack_delta: bytes that the function has taken of the stack at this instruction, without the return address; None
            when the function has no such table (code that is not Go's).
        is_top: nothing called it: a stack that ends here is whole (``runtime.goexit``, ``runtime.mstart``).
        moves_stack: it writes to the stack pointer in ways that no table describes: callers cannot be found.
    """

    entry: int
    function: str
    stack_delta: int | None
    is_top: bool
    moves_stack: bool


class _Row(NamedTuple):
    """A decoded ``_func`` record; offsets are into their tables, ``tree`` the inline tree relative to go:func.*."""

    number: int
    entry: int
    size: int
    name_offset: int
    pcsp: int
    pcfile: int
    pcline: int
    pcinline: int
    unit: int
    function_id: int
    flags: int
    start_line: int | None
    tree: int | None


class GoLineTable:
    """The function table of one binary.

    Args:
        view: bytes from the header of the table on; may be longer than the table.
        text: linked address that the table's offsets start from (``runtime.text``).
        inline_data: bytes from ``go:func.*`` on; None when its place is unknown: inlined frames are then not shown.
        wrapper_id: number of the funcID "wrapper" in this Go release, None when unknown.

    Raises:
        Malformed: no such table, or its parts lie outside the bytes.
    """

    def __init__(
        self,
        view: memoryview,
        text: int,
        *,
        inline_data: memoryview | None = None,
        wrapper_id: int | None = None,
    ) -> None:
        header = parse_header(view)
        self.text = text
        self.magic = header.magic
        self._is_old = header.magic == 0xFFFFFFF0
        self._fixed_size = 40 if self._is_old else 44
        self._quantum = header.quantum
        self._names = view[header.names_at : header.units_at]
        self._units = view[header.units_at :]
        self._files = view[header.files_at :]
        self._pcs = view[header.pcs_at :]
        self._funcs = view[header.funcs_at :]
        self._inline_data = inline_data
        self._inline_size = 20 if self._is_old else 16
        self._wrapper_id = wrapper_id
        rows = np.frombuffer(self._funcs[: header.function_count * 8], "<u4").reshape(-1, 2)
        self._entries = array("I", np.ascontiguousarray(rows[:, 0]).tobytes())
        self._end = struct.unpack_from("<I", self._funcs, header.function_count * 8)[0]
        self._row_offsets: npt.NDArray[np.uint32] = rows[:, 1]
        self._rows: dict[int, _Row] = {}
        self._tables: dict[int, PcTable] = {}
        self._name_cache: dict[int, str] = {}
        self._file_cache: dict[tuple[int, int], str | None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def has_inlining(self) -> bool:
        """Return whether inlined frames can be shown."""
        return self._inline_data is not None

    def function_at(self, address: int) -> GoFunction | None:
        """Return the function that holds an address, None outside the Go text."""
        row = self._row_at(address)
        return None if row is None else self._function(row)

    def find(self, name: str) -> GoFunction | None:
        """Return the function of a name (not one that was inlined everywhere), None when there is none.

        Names are compared in the names' own table, so it takes milliseconds also in large binaries.
        """
        wanted = name.encode()
        if not wanted or b"\0" in wanted:
            return None
        places = [0] if bytes(self._names[: len(wanted) + 1]) == wanted + b"\0" else []
        places += _places_of(self._names, b"\0" + wanted + b"\0")
        for place in places:
            for index in np.flatnonzero(self._name_offsets == place):
                return self._function(self._row(int(index)))
        return None

    def prologue(self, function: GoFunction) -> tuple[int, int]:
        """Return the size of a function's prologue in bytes, and of the stack frame that it has made when it ends.

        The frame is without the return address. The prologue ends where the stack pointer stands lowest for the first time,
        behind the stack check; (0, 0) for functions without a frame.

        Raises:
            Malformed: its record or its table is damaged.
        """
        row = self._row(function.row)
        if not row.pcsp:
            return 0, 0
        begin, frame = self._table(row.pcsp).first_highest()
        return (begin, frame) if frame > 0 and begin < row.size else (0, 0)

    def functions(self) -> list[GoFunction]:
        """Return all functions in the order of addresses."""
        return [self._function(self._row(index)) for index in range(len(self))]

    def frames_at(self, address: int) -> tuple[GoFrame, ...]:
        """Return the frames at an address, innermost inlined call first; empty outside the Go text.

        The address is looked up as it is: callers subtract one from return addresses themselves.

        Raises:
            Malformed: the records of this function are damaged.
        """
        row = self._row_at(address)
        if row is None:
            return ()
        offset = address - row.entry
        file, line = self._file(row, offset), self._line(row, offset)
        frames: list[GoFrame] = []
        if row.tree is not None and row.pcinline:
            index = self._table(row.pcinline).value_at(offset)
            while index >= 0 and len(frames) < _MAX_INLINE_DEPTH:
                function_id, name_offset, parent = self._inlined_call(row.tree, index)
                frames.append(
                    GoFrame(self._name(name_offset), file, line, True, function_id == self._wrapper_id)  # noqa: FBT003  a tuple's fields
                )
                if not 0 <= parent < row.size:
                    raise Malformed(".gopclntab", f"inlined call {index} outside its function")
                file, line = self._file(row, parent), self._line(row, parent)
                index = self._table(row.pcinline).value_at(parent)
        frames.append(
            GoFrame(self._name(row.name_offset), file, line, False, row.function_id == self._wrapper_id)  # noqa: FBT003  a tuple's fields
        )
        return tuple(frames)

    def code_at(self, address: int) -> GoCode | None:
        """Return what a stack walk needs of the code at an address, None outside the Go text.

        Source: Go, src/runtime/symtab.go (funcspdelta), src/internal/abi/symtab.go (FuncFlag).

        Raises:
            Malformed: the records of this function are damaged.
        """
        row = self._row_at(address)
        if row is None:
            return None
        delta = self._table(row.pcsp).value_at(address - row.entry) if row.pcsp else None
        return GoCode(
            row.entry,
            self._name(row.name_offset),
            delta,
            bool(row.flags & _FLAG_TOP_FRAME),
            bool(row.flags & _FLAG_SP_WRITE),
        )

    # -- rows ---------------------------------------------------------------------------------------------

    def _row_at(self, address: int) -> _Row | None:
        offset = address - self.text
        if not self._entries or not self._entries[0] <= offset < self._end:
            return None
        return self._row(bisect_right(self._entries, offset) - 1)

    def _row(self, index: int) -> _Row:
        known = self._rows.get(index)
        if known is not None:
            return known
        at = int(self._row_offsets[index])
        fixed = self._funcs[at : at + self._fixed_size]
        if len(fixed) < self._fixed_size:
            raise Malformed(".gopclntab", "function record outside the table", offset_bytes=at)
        entry, name, _, _, pcsp, pcfile, pcline, pcdata_count, unit = struct.unpack_from("<IiiIIIIII", fixed)
        start_line = None if self._is_old else struct.unpack_from("<i", fixed, 36)[0]
        function_id, flags, funcdata_count = fixed[-4], fixed[-3], fixed[-1]
        counts = pcdata_count + funcdata_count
        if pcdata_count > 64:
            raise Malformed(
                ".gopclntab", f"{pcdata_count} pcdata tables", offset_bytes=at, sample=bytes(fixed)
            )
        tail = self._funcs[at + self._fixed_size : at + self._fixed_size + 4 * counts]
        if len(tail) < 4 * counts:
            raise Malformed(
                ".gopclntab", "function record is cut short", offset_bytes=at, sample=bytes(fixed)
            )
        words = struct.unpack(f"<{counts}I", tail)
        pcinline = words[_PCDATA_INLINE_INDEX] if pcdata_count > _PCDATA_INLINE_INDEX else 0
        tree = None
        if self._inline_data is not None and funcdata_count > _FUNCDATA_INLINE_TREE:
            tree = words[pcdata_count + _FUNCDATA_INLINE_TREE]
            tree = None if tree == _NO_FUNCDATA else tree
        end = self._entries[index + 1] if index + 1 < len(self._entries) else self._end
        row = _Row(
            index,
            self.text + entry,
            max(end - entry, 0),
            name,
            pcsp,
            pcfile,
            pcline,
            pcinline,
            unit,
            function_id,
            flags,
            start_line,
            tree,
        )
        self._rows[index] = row
        return row

    def _function(self, row: _Row) -> GoFunction:
        return GoFunction(
            row.number, row.entry, row.entry + row.size, self._name(row.name_offset), row.start_line
        )

    @cached_property
    def _name_offsets(self) -> npt.NDArray[np.int64]:
        """Return the name offset of each function, -1 where the record lies outside."""
        at = self._row_offsets.astype(np.int64) + 4
        raw = np.frombuffer(self._funcs, np.uint8)
        inside = at + 4 <= len(raw)
        safe = np.where(inside, at, 0)
        value = np.zeros(len(at), np.int64)
        for byte in range(4):
            value |= raw[safe + byte].astype(np.int64) << (8 * byte)
        return np.where(inside, value, -1)

    # -- tables -------------------------------------------------------------------------------------------

    def _table(self, offset: int) -> PcTable:
        table = self._tables.get(offset)
        if table is None:
            table = self._tables[offset] = parse_pc_table(self._pcs, offset, self._quantum)
        return table

    def _line(self, row: _Row, offset: int) -> int | None:
        if not row.pcline:
            return None
        line = self._table(row.pcline).value_at(offset)
        return line if line > 0 else None

    def _file(self, row: _Row, offset: int) -> str | None:
        if not row.pcfile:
            return None
        number = self._table(row.pcfile).value_at(offset)
        if number < 0 or row.unit == 0xFFFFFFFF:
            return None
        key = (row.unit, number)
        if key not in self._file_cache:
            self._file_cache[key] = self._read_file(row.unit + number)
        return self._file_cache[key]

    def _read_file(self, index: int) -> str | None:
        raw = self._units[4 * index : 4 * index + 4]
        if len(raw) < 4:
            raise Malformed(".gopclntab", f"file {index} outside the unit table")
        offset = int.from_bytes(raw, "little")
        return None if offset == 0xFFFFFFFF else _text_at(self._files, offset)

    def _name(self, offset: int) -> str:
        name = self._name_cache.get(offset)
        if name is None:
            name = self._name_cache[offset] = _text_at(self._names, offset)
        return name

    def _inlined_call(self, tree: int, index: int) -> tuple[int, int, int]:
        """Return (funcID, name offset, parent pc) of one entry of an inline tree."""
        at = tree + index * self._inline_size
        raw = (self._inline_data or b"")[at : at + self._inline_size]
        if len(raw) < self._inline_size:
            raise Malformed("go:func.*", f"inlined call {index} outside the table", offset_bytes=at)
        if self._is_old:  # parent int16, funcID uint8, pad, file, line, name, parent pc
            return raw[2], *struct.unpack_from("<ii", raw, 12)
        return raw[0], *struct.unpack_from("<ii", raw, 4)  # funcID uint8, 3 pad, name, parent pc, start line

    def inline_data_fits(self, samples: int = 32) -> bool:
        """Return whether the inline trees of some functions make sense: the check of a guessed ``go:func.*``.

        Each entry must name a function exactly at the beginning of a name and a place inside its function.
        """
        checked = 0
        for index in range(len(self)):
            try:
                row = self._row(index)
                if row.tree is None or not row.pcinline:
                    continue
                highest = self._table(row.pcinline).highest()
                if not all(self._call_fits(row, call) for call in range(min(highest, 7) + 1)):
                    return False
            except Malformed:
                return False
            checked += 1
            if checked >= samples:
                break
        return True

    def _call_fits(self, row: _Row, call: int) -> bool:
        _, name, parent = self._inlined_call(row.tree or 0, call)
        begins = name == 0 or (0 < name < len(self._names) and self._names[name - 1] == 0)
        return begins and 0 <= parent < row.size


class LineTableHeader(NamedTuple):
    """Head of the table; ``*_at`` are offsets in bytes from it, ``text`` as written (see ``parse_header``)."""

    magic: int
    quantum: int
    pointer_size: int
    function_count: int
    text: int
    names_at: int
    units_at: int
    files_at: int
    pcs_at: int
    funcs_at: int


def parse_header(view: memoryview) -> LineTableHeader:
    """Return the header of a function table.

    Attributes of the result are offsets in bytes from the header; ``text`` is 0 in Go 1.26 and later, and not
    relocated in position-independent files.

    Raises:
        Malformed: another magic, or parts that lie outside or not in order.
    """
    head = bytes(view[:72])
    if len(head) < 40:
        raise Malformed(".gopclntab", "header is cut short", offset_bytes=0, sample=head)
    magic, zeros, quantum, pointer_size = struct.unpack_from("<IHBB", head)
    if magic not in PCLNTAB_MAGICS or zeros or quantum not in (1, 2, 4) or pointer_size not in (4, 8):
        raise Malformed(".gopclntab", "no header of Go 1.18 or later", offset_bytes=0, sample=head)
    if len(head) < 8 + 8 * pointer_size:
        raise Malformed(".gopclntab", "header is cut short", offset_bytes=0, sample=head)
    words = struct.unpack_from("<8Q" if pointer_size == 8 else "<8I", head, 8)
    function_count, _, text, *places = words
    if not 0 < function_count <= _MAX_FUNCTIONS:
        raise Malformed(".gopclntab", f"{function_count} functions", offset_bytes=8, sample=head)
    if places != sorted(places) or places[0] < 8 or places[-1] + function_count * 8 + 4 > len(view):
        raise Malformed(".gopclntab", "its parts lie outside or not in order", offset_bytes=32, sample=head)
    return LineTableHeader(magic, quantum, pointer_size, function_count, text, *places)


def _places_of(table: memoryview, needle: bytes) -> list[int]:
    """Return the offsets just behind the first byte of each hit, searched in pieces so that memory stays bounded."""
    places = []
    for start in range(0, len(table), _SEARCH_BYTES):
        piece = bytes(table[start : start + _SEARCH_BYTES + len(needle) - 1])
        at = piece.find(needle)
        while at >= 0:
            places.append(start + at + 1)
            at = piece.find(needle, at + 1)
    return places


def _text_at(table: memoryview, offset: int) -> str:
    if not 0 <= offset < len(table):
        raise Malformed(".gopclntab", "name outside the table", offset_bytes=offset)
    piece = table[offset : offset + _MAX_NAME_BYTES]
    end = _NAME_END.search(piece)
    return bytes(piece[: end.start() if end else 0]).decode("utf-8", "replace")
