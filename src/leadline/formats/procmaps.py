"""proc/PID/maps: which file lies at which addresses of a process."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from leadline.model import Malformed

__all__ = ["MapEntry", "ProcMaps", "parse_maps"]

_LINE = re.compile(
    rb"([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][ps-]) ([0-9a-f]{1,16}) "
    rb"([0-9a-f]{2,8}):([0-9a-f]{2,8}) (\d{1,20})(?: +(.*))?"
)
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One line of maps.

    Attributes:
        start, end: addresses, end excluded.
        permissions: as written, such as ``r-xp``.
        offset: of ``start`` in the file, bytes.
        device_major, device_minor, inode: of the file; all 0 when there is none.
        path: as written (surrogateescape), newlines decoded, `` (deleted)`` kept; empty for anonymous memory; ``[vdso]``,
            ``[heap]``, ``[stack]`` and ``[anon:name]`` as the kernel names them.
    """

    start: int
    end: int
    permissions: str
    offset: int
    device_major: int
    device_minor: int
    inode: int
    path: str

    @property
    def is_executable(self) -> bool:
        """Return whether code may run in it."""
        return self.permissions[2] == "x"

    @property
    def is_deleted(self) -> bool:
        """Return whether the file was removed or replaced since it was mapped (or is really named so)."""
        return self.path.endswith(_DELETED)

    @property
    def object_name(self) -> str:
        """Return the path without ``(deleted)``, empty for anonymous memory."""
        return self.path.removesuffix(_DELETED)

    @property
    def identity(self) -> tuple[int, int, int, str]:
        """Return what tells two mapped objects apart."""
        return self.device_major, self.device_minor, self.inode, self.path


class ProcMaps:
    """The lines of one maps file, in the order of addresses."""

    def __init__(self, entries: list[MapEntry]) -> None:
        self._entries = sorted(entries, key=lambda entry: entry.start)
        self._starts = [entry.start for entry in self._entries]

    def __iter__(self) -> Iterator[MapEntry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def at(self, address: int) -> MapEntry | None:
        """Return the entry that holds an address, None when nothing is mapped there."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._entries[index].end:
            return None
        return self._entries[index]


def parse_maps(text: bytes) -> ProcMaps:
    r"""Return the mappings of a process.

    >>> maps = parse_maps(b"7f1c0000-7f1c2000 r-xp 00001000 fe:01 131 /tmp/a b\\012c (deleted)\n"
    ...     b"7ffd1000-7ffd3000 r-xp 00000000 00:00 0                          [vdso]\n")
    >>> entry = maps.at(0x7f1c0010)
    >>> entry.object_name, entry.is_deleted, entry.offset, maps.at(0x7f1c2000)
    ('/tmp/a b\nc', True, 4096, None)

    A last line without its newline is taken as cut short and left out.

    Raises:
        Malformed: a line does not have the form of maps.

    Source: Linux fs/proc/task_mmu.c, show_map_vma; only a newline in a path is escaped, as ``\012``.
    """
    entries = []
    at = 0
    for line in text.split(b"\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise Malformed("proc/PID/maps", "not a line of maps", offset_bytes=at, sample=line)
        path = (match[8] or b"").replace(b"\\012", b"\n").decode("utf-8", "surrogateescape")
        entries.append(
            MapEntry(
                int(match[1], 16),
                int(match[2], 16),
                match[3].decode("ascii"),
                int(match[4], 16),
                int(match[5], 16),
                int(match[6], 16),
                int(match[7]),
                path,
            )
        )
        at += len(line) + 1
    return ProcMaps(entries)
