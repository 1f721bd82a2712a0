"""ELF files as far as symbolisation needs them: segments, sections, notes, relocations; no copy of the file is made.

Everything is checked against the size of the file, so that damaged or hostile files give ``Malformed`` or an empty
answer, never a wrong read. Little-endian only (amd64, arm64, riscv64, 386, arm).

Source: the System V ABI, chapters 4 and 5; ``man 5 elf``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from leadline.model import Malformed

__all__ = ["ElfImage", "Section", "Segment"]

_MAX_HEADERS = 65_535  # e_phnum and e_shnum are 16 bits; files with more are not ours
_PT_LOAD, _PT_DYNAMIC, _PT_NOTE = 1, 2, 4
_DT_RELA, _DT_RELASZ = 7, 8
_SHT_NOBITS = 8
_PF_X = 1
_RELATIVE = {62: 8, 183: 1027, 3: 8, 40: 23, 243: 3}  # e_machine -> R_*_RELATIVE
_MACHINES = {62: "x86_64", 183: "aarch64", 3: "i386", 40: "arm", 243: "riscv64"}


@dataclass(frozen=True, slots=True)
class Segment:
    """One PT_LOAD, PT_DYNAMIC or PT_NOTE entry; sizes and addresses in bytes."""

    kind: int
    offset: int
    vaddr: int
    file_size: int
    memory_size: int
    is_executable: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One section; ``address`` is 0 for sections that are not loaded, ``has_bytes`` is False for .bss and its like."""

    name: str
    offset: int
    address: int
    size: int
    link: int
    has_bytes: bool


class ElfImage:
    """An ELF file over bytes that somebody else keeps open.

    Args:
        view: the whole file; a file mapping costs memory only where it is read.

    Raises:
        Malformed: not a little-endian ELF file, or its program headers lie outside it.
    """

    def __init__(self, view: memoryview | bytes) -> None:
        self.view = memoryview(view).cast("B") if memoryview(view).format != "B" else memoryview(view)
        head = bytes(self.view[:64])
        if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] != 1:
            raise Malformed("elf", "not a little-endian ELF file", offset_bytes=0, sample=head)
        self.is_64bit = head[4] == 2
        self.pointer_size = 8 if self.is_64bit else 4
        if self.is_64bit and len(head) < 64:
            raise Malformed("elf", "header is cut short", offset_bytes=0, sample=head)
        layout = "<HHIQQQIHHHHHH" if self.is_64bit else "<HHIIIIIHHHHHH"
        fields = struct.unpack_from(layout, head, 16)
        self.kind, self.machine_number = fields[0], fields[1]
        self.machine = _MACHINES.get(self.machine_number, f"machine-{self.machine_number}")
        self.entry = fields[3]
        self._sections_at, self._section_size, self._section_count, self._names_index = (
            fields[5],
            fields[10],
            fields[11],
            fields[12],
        )
        self.segments = self._read_segments(fields[4], fields[8], fields[9])
        self._loads = [segment for segment in self.segments if segment.kind == _PT_LOAD]

    def _read_segments(self, at: int, size: int, count: int) -> tuple[Segment, ...]:
        layout = "<IIQQQQQQ" if self.is_64bit else "<IIIIIIII"
        found: list[Segment] = []
        if count and size < struct.calcsize(layout):
            raise Malformed("elf", f"program headers of {size} bytes", offset_bytes=at)
        for index in range(count):
            here = at + index * size
            if here + size > len(self.view):
                raise Malformed("elf", "program header outside the file", offset_bytes=here)
            words = struct.unpack_from(layout, self.view, here)
            if self.is_64bit:
                kind, flags, offset, vaddr, _, file_size, memory_size, _ = words
            else:
                kind, offset, vaddr, _, file_size, memory_size, flags, _ = words
            if kind in {_PT_LOAD, _PT_DYNAMIC, _PT_NOTE}:
                found.append(Segment(kind, offset, vaddr, file_size, memory_size, bool(flags & _PF_X)))
        return tuple(found)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Return all sections; empty when the file has no (readable) section headers."""
        layout = "<IIQQQQII" if self.is_64bit else "<IIIIIIII"
        if not self._sections_at or self._section_size < struct.calcsize(layout):
            return ()
        raw: list[tuple[int, ...]] = []
        for index in range(self._section_count):
            here = self._sections_at + index * self._section_size
            if here + self._section_size > len(self.view):
                return ()
            raw.append(struct.unpack_from(layout, self.view, here))
        names = b""
        if self._names_index < len(raw):
            _, _, _, _, offset, size, _, _ = raw[self._names_index]
            names = bytes(self.view[offset : offset + min(size, 1 << 20)])
        found = []
        for name_at, kind, _, address, offset, size, link, _ in raw:
            name = names[name_at : names.find(b"\0", name_at)].decode("utf-8", "replace") if name_at else ""
            found.append(Section(name, offset, address, size, link, kind not in (0, _SHT_NOBITS)))
        return tuple(found)

    def section(self, *names: str) -> Section | None:
        """Return the first section that has one of the names and has bytes in the file, None without one."""
        for wanted in names:
            for section in self.sections:
                if section.name == wanted and section.has_bytes and section.size:
                    return section
        return None

    def section_bytes(self, section: Section) -> memoryview:
        """Return the bytes of a section, cut at the end of the file."""
        return self.view[section.offset : section.offset + section.size]

    def vaddr_to_offset(self, vaddr: int) -> int | None:
        """Return where in the file a linked address lies, None when no segment has file bytes there."""
        for load in self._loads:
            if load.vaddr <= vaddr < load.vaddr + load.file_size:
                return vaddr - load.vaddr + load.offset
        return None

    def offset_to_vaddr(self, offset: int) -> int | None:
        """Return the linked address of a file offset, None outside the loaded segments.

        Two segments may share a page of the file; an executable one is preferred, since this is asked for code.
        """
        best: int | None = None
        for load in self._loads:
            if load.offset <= offset < load.offset + load.file_size:
                vaddr = offset - load.offset + load.vaddr
                if load.is_executable:
                    return vaddr
                if best is None:
                    best = vaddr
        return best

    def at_vaddr(self, vaddr: int, size: int) -> memoryview | None:
        """Return ``size`` bytes at a linked address; None when they are not wholly in the file."""
        offset = self.vaddr_to_offset(vaddr)
        if offset is None or size < 0 or offset + size > len(self.view):
            return None
        return self.view[offset : offset + size]

    def pointer_at(self, vaddr: int) -> int | None:
        """Return the pointer stored at a linked address as the loader will leave it (in linked addresses).

        Position-independent files keep such pointers as relocations; a relocation wins over the bytes in the file.
        """
        addend = self._relocated(vaddr)
        if addend is not None:
            return addend
        raw = self.at_vaddr(vaddr, self.pointer_size)
        return None if raw is None else int.from_bytes(raw, "little")

    @cached_property
    def relative_relocations(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Return (addresses, values) of the relative relocations with explicit addends, sorted by address."""
        raw = self._relocation_bytes() if self.is_64bit else self.view[:0]
        words = np.frombuffer(raw[: len(raw) // 24 * 24], "<u8").reshape(-1, 3)
        wanted = words[(words[:, 1] & 0xFFFFFFFF) == _RELATIVE.get(self.machine_number, -1)]
        order = np.argsort(wanted[:, 0], kind="stable")
        return wanted[order, 0], wanted[order, 2]

    def _relocation_bytes(self) -> memoryview:
        section = self.section(".rela.dyn", ".rela", ".rela.data.rel.ro")
        if section is not None:
            return self.section_bytes(section)
        for segment in self.segments:
            if segment.kind == _PT_DYNAMIC:  # what the loader reads: without section headers too
                raw = self.view[segment.offset : segment.offset + min(segment.file_size, 1 << 16)]
                pairs = np.frombuffer(raw[: len(raw) // 16 * 16], "<u8").reshape(-1, 2)
                found = {int(tag): int(value) for tag, value in pairs}
                offset = self.vaddr_to_offset(found.get(_DT_RELA, 0))
                if offset is not None:
                    return self.view[offset : offset + found.get(_DT_RELASZ, 0)]
        return self.view[:0]

    def _relocated(self, vaddr: int) -> int | None:
        addresses, values = self.relative_relocations
        if not 0 <= vaddr < 1 << 64:
            return None
        index = int(np.searchsorted(addresses, np.uint64(vaddr)))
        if index < len(addresses) and int(addresses[index]) == vaddr:
            return int(values[index])
        return None

    @cached_property
    def build_id(self) -> str | None:
        """Return the GNU build id in hex, else the Go build id as text, else None."""
        go_id = None
        for owner, kind, payload in self._notes():
            if owner == b"GNU" and kind == 3 and payload:
                return payload.hex()
            if owner == b"Go" and kind == 4:
                go_id = payload.decode("utf-8", "replace")
        return go_id

    def _notes(self) -> list[tuple[bytes, int, bytes]]:
        areas = [(s.offset, s.file_size) for s in self.segments if s.kind == _PT_NOTE]
        areas += [(s.offset, s.size) for s in self.sections if s.name.startswith(".note")]
        found = []
        for offset, size in areas:
            raw = bytes(self.view[offset : offset + min(size, 1 << 16)])
            at = 0
            while at + 12 <= len(raw):
                name_size, payload_size, kind = struct.unpack_from("<III", raw, at)
                name_end = at + 12 + name_size
                payload_at = (name_end + 3) & ~3
                if payload_at + payload_size > len(raw):
                    break
                found.append(
                    (raw[at + 12 : name_end].rstrip(b"\0"), kind, raw[payload_at : payload_at + payload_size])
                )
                at = (payload_at + payload_size + 3) & ~3
        return found
