"""A Go binary opened for symbolisation: finds its function table, text start and inline data, whatever was stripped.

Where things are, by Go release and build:

- The function table is section ``.gopclntab``, or ``.data.rel.ro.gopclntab`` in position-independent files up to 1.25;
  without section headers it is found by its magic number and checked.
- The start of the text and the inline data (``go:func.*``) are in the runtime's ``moduledata``, which points to the
  function table; in position-independent files these pointers are relocations. The header's text start is not used
  when there is a moduledata: it is 0 from Go 1.26 on and not relocated in position-independent files.

Source: Go, src/runtime/symtab.go (pcHeader, moduledata), src/cmd/link/internal/ld/{pcln,symtab}.go.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np

from leadline.formats.elfimage import ElfImage, Section
from leadline.formats.gobuildinfo import GoBuildInfo, parse_go_build_info
from leadline.formats.gopclntab import GoFunction, GoLineTable, LineTableHeader, parse_header
from leadline.model import Malformed

__all__ = ["GoBinary", "go_minor", "open_go_binary"]

# Words of moduledata, the same in all supported releases: table, its parts, minpc, text.
_WORD_NAMES, _WORD_MINPC, _WORD_TEXT, _WORD_ETEXT = 1, 20, 22, 23
# Word of moduledata.gofunc by minor release.
_WORD_GOFUNC = {18: 38, 19: 38, 20: 40, 21: 40, 22: 40, 23: 40, 24: 40, 25: 40, 26: 40, 27: 43}
_WRAPPER_ID = {18: 21, 19: 21, 20: 21, 21: 21, 22: 22, 23: 22, 24: 22, 25: 23, 26: 23, 27: 23}
_INLINE_SYMBOLS = (b"go:func.*", b"go.func.*")
_TABLE_HEADS = re.compile(rb"[\xf0\xf1]\xff\xff\xff\0\0[\x01\x02\x04][\x04\x08]")
_MAX_MODULEDATA_HITS = 64


def go_minor(go_version: str) -> int | None:
    """Return the minor release of a Go 1 version text, None for development builds and other texts.

    >>> go_minor("go1.26.8"), go_minor("go1.25.5 X:nodwarf5"), go_minor("go1.27rc1"), go_minor("devel +abc")
    (26, 25, 27, None)
    """
    match = re.match(r"go1\.(\d{1,3})(?!\d)", go_version)
    return int(match[1]) if match else None


class GoBinary:
    """One Go binary.

    Attributes:
        image: the ELF file.
        build_info: what the binary says of itself, None when that part is missing or damaged.
        table: its function table.
        moduledata: linked address of the runtime's moduledata, None when it was not found.
    """

    def __init__(
        self, image: ElfImage, build_info: GoBuildInfo | None, table: GoLineTable, moduledata: int | None
    ) -> None:
        self.image = image
        self.build_info = build_info
        self.table = table
        self.moduledata = moduledata

    def function_offset(self, name: str) -> int | None:
        """Return the file offset of a function's first instruction (for a uprobe), None without such a function."""
        function = self.table.find(name)
        return None if function is None else self.image.vaddr_to_offset(function.entry)

    def find(self, name: str) -> GoFunction | None:
        """Return a function by its full name, such as ``net/http.(*Transport).roundTrip``."""
        return self.table.find(name)

    @cached_property
    def goroot(self) -> str | None:
        """Return GOROOT of the build, empty with ``-trimpath``, None when it cannot be told."""
        main = self.table.find("runtime.main") or self.table.find("runtime.mallocgc")
        if main is None:
            return None
        frames = self.table.frames_at(main.entry)
        file = frames[-1].file if frames else None
        if file is None:
            return None
        before, found, _ = file.rpartition("/src/runtime/")
        return before if found else ""


def open_go_binary(image: ElfImage) -> GoBinary | None:
    """Return a Go binary ready for symbolisation, None when the file is not a Go (1.18 or later) binary.

    Raises:
        Malformed: it is one, but its function table is damaged.
    """
    found = _find_table(image)
    if found is None:
        return None
    address, view, header = found
    try:
        build_info = parse_go_build_info(image)
    except Malformed:
        build_info = None  # the table stands on its own; roles of frames become less exact
    minor = go_minor(build_info.go_version) if build_info else None
    moduledata = _find_moduledata(image, address, header)
    text = _find_text(image, moduledata, header)
    if text is None:
        raise Malformed(".gopclntab", "start of the text not found")
    table = _line_table(image, view, text, moduledata, minor)
    return GoBinary(image, build_info, table, moduledata)


def _find_table(image: ElfImage) -> tuple[int, memoryview, LineTableHeader] | None:
    section = image.section(".gopclntab", ".data.rel.ro.gopclntab")
    if section is not None:
        view = image.view[section.offset :]
        return section.address, view, parse_header(view)
    if (
        image.sections
        and image.section(".go.buildinfo") is None
        and image.section(".note.go.buildid") is None
    ):
        # Sections are there and none is Go's. External linking with a linker script may merge the table into
        # .data.rel.ro, but keeps one of these two.
        return None
    for segment in image.segments:
        area = image.view[segment.offset : segment.offset + segment.file_size]
        for match in _TABLE_HEADS.finditer(area):
            address = segment.vaddr + match.start()
            if address % image.pointer_size:
                continue
            view = image.view[segment.offset + match.start() :]
            try:
                header = parse_header(view)
            except Malformed:
                continue
            if header.pointer_size == image.pointer_size and _entries_rise(view, header):
                return address, view, header
    return None


def _entries_rise(view: memoryview, header: LineTableHeader) -> bool:
    first = np.frombuffer(view[header.funcs_at :][: min(header.function_count, 4096) * 8], "<u4")[0::2]
    return bool((np.diff(first.astype(np.int64)) > 0).all())


def _find_moduledata(image: ElfImage, table: int, header: LineTableHeader) -> int | None:
    for place in _moduledata_candidates(image, table):
        size = image.pointer_size
        names = image.pointer_at(place + _WORD_NAMES * size)
        lowest, text, end = (
            image.pointer_at(place + word * size) for word in (_WORD_MINPC, _WORD_TEXT, _WORD_ETEXT)
        )
        if lowest is None or text is None or end is None:
            continue
        if names == table + header.names_at and text <= lowest < end:
            return place
    return None


def _moduledata_candidates(image: ElfImage, table: int) -> list[int]:
    """Return the addresses of pointers to the function table, relocations first."""
    addresses, values = image.relative_relocations
    hits = [int(address) for address in addresses[values == np.uint64(table)][:_MAX_MODULEDATA_HITS]]
    needle = re.escape(table.to_bytes(image.pointer_size, "little"))
    for area_at, area in _data_areas(image):
        for match in re.finditer(needle, area):
            if (area_at + match.start()) % image.pointer_size == 0:
                hits.append(area_at + match.start())
            if len(hits) > _MAX_MODULEDATA_HITS:
                return hits
    return hits


def _data_areas(image: ElfImage) -> list[tuple[int, memoryview]]:
    named: list[Section] = [
        section
        for name in (".go.module", ".noptrdata", ".data")
        if (section := image.section(name)) is not None
    ]
    if named:
        return [(section.address, image.section_bytes(section)) for section in named]
    return [
        (s.vaddr, image.view[s.offset : s.offset + s.file_size])
        for s in image.segments
        if not s.is_executable
    ]


def _find_text(image: ElfImage, moduledata: int | None, header: LineTableHeader) -> int | None:
    if moduledata is not None:
        return image.pointer_at(moduledata + _WORD_TEXT * image.pointer_size)
    if header.text and image.vaddr_to_offset(header.text) is not None:
        return header.text
    section = image.section(".text")
    return None if section is None else section.address


def _line_table(
    image: ElfImage, view: memoryview, text: int, moduledata: int | None, minor: int | None
) -> GoLineTable:
    """Return the table with the inline data of the release, or with what proves to be it in unknown releases."""
    wrapper_id = _WRAPPER_ID.get(minor) if minor is not None else None
    plain = GoLineTable(view, text, wrapper_id=wrapper_id)
    if moduledata is None:
        return plain
    words = [_WORD_GOFUNC[minor]] if minor in _WORD_GOFUNC else []
    words += sorted(set(_WORD_GOFUNC.values()) - set(words))
    for word in words:
        address = image.pointer_at(moduledata + word * image.pointer_size)
        offset = None if not address else image.vaddr_to_offset(address)
        if offset is None:
            continue
        table = GoLineTable(view, text, inline_data=image.view[offset:], wrapper_id=wrapper_id)
        if table.inline_data_fits():
            return table
    return plain
