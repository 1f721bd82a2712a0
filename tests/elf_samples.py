"""Builds small ELF files and Go function tables byte by byte, for tests of their decoders."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

__all__ = [
    "GoFunctionSample",
    "InlinedSample",
    "SectionSample",
    "go_elf",
    "make_elf",
    "make_go_table",
    "make_symbols",
    "pc_table",
    "uvarint",
]

TEXT = 0x401000
TABLE = 0x500000
DATA = 0x600000
INLINE = 0x540000


@dataclass
class SectionSample:
    """One section; ``kind`` 1 has bytes, 8 (NOBITS) has none; ``size`` overrides what the header says."""

    name: str
    raw: bytes = b""
    address: int = 0
    kind: int = 1
    link: str = ""
    flags: int = 2
    size: int | None = None


def make_elf(
    sections: list[SectionSample],
    *,
    machine: int = 62,
    kind: int = 2,
    with_section_headers: bool = True,
    executable: tuple[str, ...] = (".text",),
) -> bytes:
    """Return a 64-bit ELF file; each section with an address gets a segment of its own."""
    loads = [section for section in sections if section.address]
    notes = [section for section in sections if section.name.startswith((".note", ".dynamic"))]
    at = 64 + 56 * (len(loads) + len(notes))
    places, body = {}, b""
    for section in sections:
        body += b"\0" * (-(at + len(body)) % 16)
        places[section.name] = at + len(body)
        body += b"" if section.kind == 8 else section.raw
    headers = b""
    for section in loads:
        flags = 5 if section.name in executable else 6
        size = 0 if section.kind == 8 else len(section.raw)
        headers += struct.pack(
            "<IIQQQQQQ", 1, flags, places[section.name], section.address, 0, size, len(section.raw), 4096
        )
    for section in notes:
        segment_kind = 2 if section.name == ".dynamic" else 4
        size = len(section.raw)
        headers += struct.pack("<IIQQQQQQ", segment_kind, 4, places[section.name], 0, 0, size, size, 4)
    names, name_at = b"\0", {}
    for section in [*sections, SectionSample(".shstrtab")]:
        name_at[section.name] = len(names)
        names += section.name.encode() + b"\0"
    names_place = at + len(body)
    body += names
    body += b"\0" * (-(at + len(body)) % 8)
    table_place = at + len(body)
    order = [section.name for section in sections]
    rows = b"\0" * 64
    for section in sections:
        link = order.index(section.link) + 1 if section.link else 0
        size = len(section.raw) if section.size is None else section.size
        rows += struct.pack(
            "<IIQQQQIIQQ",
            name_at[section.name],
            section.kind,
            section.flags,
            section.address,
            places[section.name],
            size,
            link,
            0,
            1,
            0,
        )
    rows += struct.pack("<IIQQQQIIQQ", name_at[".shstrtab"], 3, 0, 0, names_place, len(names), 0, 0, 1, 0)
    count = len(sections) + 2 if with_section_headers else 0
    head = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    head += struct.pack(
        "<HHIQQQIHHHHHH",
        kind,
        machine,
        1,
        TEXT,
        64,
        table_place if count else 0,
        0,
        64,
        56,
        len(loads) + len(notes),
        64,
        count,
        max(count - 1, 0),
    )
    return head + headers + body + (rows if count else b"")


def make_symbols(symbols: list[tuple[str, int, int, int]], prefix: str = "sym") -> list[SectionSample]:
    """Return symbol and string table for (name, address, size, kind) rows; ``prefix`` is sym or dyn."""
    strings, rows = b"\0", b"\0" * 24
    for name, address, size, kind in symbols:
        rows += struct.pack("<IBBHQQ", len(strings), 1 << 4 | kind, 0, 1, address, size)
        strings += name.encode() + b"\0"
    table, text = (".symtab", ".strtab") if prefix == "sym" else (".dynsym", ".dynstr")
    return [SectionSample(table, rows, link=text), SectionSample(text, strings)]


def uvarint(number: int) -> bytes:
    """Return an unsigned LEB128 number."""
    raw = b""
    while number >= 0x80:
        raw += bytes([number & 0x7F | 0x80])
        number >>= 7
    return raw + bytes([number])


def pc_table(ranges: list[tuple[int, int]], quantum: int = 1) -> bytes:
    """Return a table for (end offset, value) ranges, as the Go linker writes it."""
    raw, value, at = b"", -1, 0
    for end, wanted in ranges:
        delta = wanted - value
        raw += uvarint(delta << 1 if delta >= 0 else (-delta << 1) - 1) + uvarint((end - at) // quantum)
        value, at = wanted, end
    return raw + b"\0"


@dataclass
class InlinedSample:
    """An inlined call: the function, and the offset in the outer function that stands for the place of the call."""

    name: str
    parent_pc: int
    function_id: int = 0


@dataclass
class GoFunctionSample:
    """A function: ranges are (end offset, value); ``inline`` gives the index of the innermost inlined call, -1 none.

    ``stack`` gives the bytes of stack taken; ``flags`` are 1 for the top of a stack, 2 for one that writes the stack pointer.
    """

    name: str
    size: int
    files: list[tuple[int, int]]
    lines: list[tuple[int, int]]
    inline: list[tuple[int, int]] = field(default_factory=list)
    calls: list[InlinedSample] = field(default_factory=list)
    function_id: int = 0
    start_line: int = 1
    stack: list[tuple[int, int]] = field(default_factory=list)
    flags: int = 0


def make_go_table(
    functions: list[GoFunctionSample],
    files: list[str],
    *,
    magic: int = 0xFFFFFFF1,
    text: int = 0,
    quantum: int = 1,
) -> tuple[bytes, bytes]:
    """Return (function table, inline data) for functions that lie one behind the other."""
    is_old = magic == 0xFFFFFFF0
    names, name_at = b"", {}
    for name in dict.fromkeys(name for f in functions for name in (f.name, *(call.name for call in f.calls))):
        name_at[name] = len(names)
        names += name.encode() + b"\0"
    filetab, units = b"", b""
    for file in files:
        units += struct.pack("<I", len(filetab))
        filetab += file.encode() + b"\0"
    units += struct.pack("<I", 0xFFFFFFFF)
    pcs, inline_data, records, rows, entry = b"\0", b"", b"", b"", 0
    rows_size = 8 * len(functions) + 4
    for sample in functions:
        places = []
        for ranges in (sample.files, sample.lines, sample.inline, sample.stack):
            places.append(len(pcs) if ranges else 0)
            pcs += pc_table(ranges, quantum) if ranges else b""
        tree = 0xFFFFFFFF
        if sample.calls:
            tree = len(inline_data)
            for call in sample.calls:
                if is_old:
                    inline_data += struct.pack(
                        "<hBBiiii", -1, call.function_id, 0, 0, 0, name_at[call.name], call.parent_pc
                    )
                else:
                    inline_data += struct.pack(
                        "<B3xiii", call.function_id, name_at[call.name], call.parent_pc, 1
                    )
        record_at = rows_size + len(records)
        rows += struct.pack("<II", entry, record_at)
        records += struct.pack(
            "<IiiIIIIII", entry, name_at[sample.name], 0, 0, places[3], places[0], places[1], 3, 0
        )
        records += b"" if is_old else struct.pack("<i", sample.start_line)
        records += bytes([sample.function_id, sample.flags, 0, 4])
        records += struct.pack("<7I", 0, 0, places[2], 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, tree)
        entry += sample.size
    rows += struct.pack("<I", entry)
    offsets, at = [], 72
    for part in (names, units, filetab, pcs):
        at += -at % 8
        offsets.append(at)
        at += len(part)
    at += -at % 8
    offsets.append(at)
    head = struct.pack("<IHBB8Q", magic, 0, quantum, 8, len(functions), len(files), text, *offsets)
    raw = head
    for place, part in zip(offsets, (names, units, filetab, pcs, rows + records), strict=True):
        raw = raw.ljust(place, b"\0") + part
    return raw, inline_data


def go_elf(
    functions: list[GoFunctionSample],
    files: list[str],
    *,
    version: str = "go1.26.8",
    module_text: str = "path\tdemo\nmod\tdemo\t(devel)\t\n",
    magic: int = 0xFFFFFFF1,
    gofunc_word: int = 40,
    is_pie: bool = False,
    with_section_headers: bool = True,
    with_moduledata: bool = True,
    table_text: int = 0,
    machine: int = 62,
) -> bytes:
    """Return a stripped Go binary: text, function table, moduledata (relocated when ``is_pie``) and build info."""
    table, inline_data = make_go_table(
        functions, files, magic=magic, text=table_text, quantum=4 if machine == 183 else 1
    )
    text_size = sum(sample.size for sample in functions)
    names_at = struct.unpack_from("<Q", table, 32)[0]
    words = {0: TABLE, 1: TABLE + names_at, 20: TEXT, 21: TEXT + text_size, 22: TEXT, 23: TEXT + text_size}
    words[gofunc_word] = INLINE
    moduledata = b"".join(struct.pack("<Q", 0 if is_pie else words.get(word, 0)) for word in range(48))
    relocations = b"".join(
        struct.pack("<QQQ", DATA + 16 + 8 * word, 8 if machine == 62 else 1027, value)
        for word, value in sorted(words.items())
    )
    dynamic = struct.pack("<QQQQQQ", 7, DATA + 0x2000, 8, len(relocations), 0, 0)
    info = b"\xff Go buildinf:" + bytes([8, 2]) + b"\0" * 16
    framed = "0" * 16 + module_text + "1" * 16 if module_text else ""
    for text in (version, framed):
        info += uvarint(len(text)) + text.encode()
    sections = [
        SectionSample(".text", b"\xcc" * text_size, TEXT),
        SectionSample(".data.rel.ro.gopclntab" if is_pie else ".gopclntab", table, TABLE),
        SectionSample(".rodata", inline_data or b"\0", INLINE),
        SectionSample(".noptrdata", b"\0" * 16 + (moduledata if with_moduledata else b"\0"), DATA),
        SectionSample(".go.buildinfo", info, DATA + 0x1000),
        *(
            [SectionSample(".rela.dyn", relocations, DATA + 0x2000), SectionSample(".dynamic", dynamic)]
            if is_pie
            else []
        ),
    ]
    return make_elf(
        sections, kind=3 if is_pie else 2, with_section_headers=with_section_headers, machine=machine
    )
