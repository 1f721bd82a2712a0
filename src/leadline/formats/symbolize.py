"""User stacks of a process as frames with names: Go with inlined calls, C, C++ and Rust from symbols.

A stack arrives as instruction pointers, leaf first. All but the leaf are return addresses: the call is the instruction
before, so they are looked up one byte earlier. A leaf in a system call also stands behind its instruction; a leaf at
the very first instruction of a function (a uprobe) is exact.

Addresses are turned into file offsets by proc/PID/maps and into linked addresses by the program headers, so neither
ASLR nor the odd link address of position-independent Go files matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from leadline.formats.demangle import demangle
from leadline.formats.elfimage import ElfImage
from leadline.formats.elfsym import ElfSymbols
from leadline.formats.framerole import RoleBook, shown_name
from leadline.formats.gobinary import GoBinary, open_go_binary
from leadline.formats.gobuildinfo import parse_go_build_info
from leadline.formats.gopclntab import GoFunction
from leadline.formats.procmaps import MapEntry, ProcMaps
from leadline.model import Malformed, SiteFrame

__all__ = ["MappedObject", "ObjectCache", "Opener", "ProcessSymbols"]

Opener = Callable[[MapEntry], memoryview | None]
"""Returns the bytes of a mapped file or of the vdso, None when they may not or cannot be read."""

_MAX_CACHED_ADDRESSES = 200_000
_MAX_PROBLEMS = 8  # per object; more say nothing new
_SIGPANIC = "runtime.sigpanic"
_NATIVE_STARTUP = ("_start", "__libc_start", "start_thread", "clone", "__clone", "main")
_NATIVE_STD = (
    "std::",
    "core::",
    "alloc::",
    "__gnu_cxx::",
    "__rust",
    "<std::",
    "<core::",
    "<alloc::",
    "__cxa",
)


class _Place(Enum):
    """What an instruction pointer stands for."""

    LEAF = 1  # behind a system call instruction, or the first instruction of a function (a uprobe)
    RETURN = 2  # behind a call
    EXACT = 3  # the instruction itself


class MappedObject:
    """One file (or the vdso) that is mapped into processes, opened for names.

    Attributes:
        name: path as in maps, without ``(deleted)``.
        image: the ELF file; None when it could not be read or is not ELF.
        go: the Go side, None for other languages.
        problems: what was damaged or missing, in the reader's words.
    """

    def __init__(self, name: str, view: memoryview | None) -> None:
        self.name = name
        self.image: ElfImage | None = None
        self.go: GoBinary | None = None
        self.problems: list[str] = []
        self._symbols: ElfSymbols | None = None
        self._roles: RoleBook | None = None
        if view is None:
            self.problems.append(f"{name}: could not be opened")
            return
        try:
            self.image = ElfImage(view)
            self.go = open_go_binary(self.image)
        except Malformed as exc:
            self._note(exc)
        if self.go is not None:
            self._roles = RoleBook(self.go.build_info, self.go.goroot)
        elif self.image is not None:
            self._roles = self._roles_of_old_go(self.image)

    @staticmethod
    def _roles_of_old_go(image: ElfImage) -> RoleBook | None:
        """Return roles for a Go binary whose function table is not read: its names come from the symbol table."""
        try:
            build_info = parse_go_build_info(image)
        except Malformed:
            return None
        return None if build_info is None else RoleBook(build_info, None)

    @property
    def build_id(self) -> str | None:
        """Return the GNU or Go build id, None without one."""
        return None if self.image is None else self.image.build_id

    def entry_of(self, address: int) -> int | None:
        """Return the first address of the function that holds a linked address, None when it is not known."""
        if self.go is not None:
            try:
                function = self.go.table.function_at(address)
            except Malformed as exc:
                self._note(exc)
                return None
            if function is not None:
                return function.entry
        symbol = self._symbol_table().at(address) if self.image is not None else None
        return None if symbol is None else symbol.address

    def find_go(self, name: str) -> GoFunction | None:
        """Return a Go function by its full name; None without it, or when its record is damaged."""
        try:
            return None if self.go is None else self.go.find(name)
        except Malformed as exc:
            self._note(exc)
            return None

    def _note(self, exc: Malformed) -> None:
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(f"{self.name}: {exc}")

    def frames(self, address: int, *, is_main: bool) -> tuple[SiteFrame, ...]:
        """Return the frames at a linked address, innermost first; one ``?`` frame when nothing is known.

        Empty for wrappers that the Go compiler made: Go's own tracebacks leave them out too.
        """
        if self.go is not None and self._roles is not None:
            found = self._go_frames(self.go, self._roles, address)
            if found is not None:
                return found
        symbol = None if self.image is None else self._symbol_table().at(address)
        if symbol is None or not symbol.name:
            return (SiteFrame(function="?", file=self.name or None),)
        if self._roles is not None and self.go is None:
            role = self._roles.role(symbol.name, None)
            return (SiteFrame(function=shown_name(symbol.name), file=self.name or None, role=role),)
        name = demangle(symbol.name)
        role = self._native_role(name) if is_main and self.go is None else "native"
        return (SiteFrame(function=name, file=self.name or None, role=role),)

    def _go_frames(self, go: GoBinary, roles: RoleBook, address: int) -> tuple[SiteFrame, ...] | None:
        try:
            every = go.table.frames_at(address)
        except Malformed as exc:
            self._note(exc)
            return None
        if not every:
            return None
        return tuple(
            SiteFrame(
                function=shown_name(frame.function),
                file=frame.file,
                line=frame.line,
                role=roles.role(frame.function, frame.file),
                inlined=frame.inlined,
            )
            for frame in every
            if not frame.is_wrapper
        )

    def _symbol_table(self) -> ElfSymbols:
        if self._symbols is None:
            if self.image is None:  # pragma: no cover  callers checked
                raise Malformed(self.name, "not an ELF file")
            self._symbols = ElfSymbols(self.image)
        return self._symbols

    @staticmethod
    def _native_role(name: str) -> str:
        if name.startswith(_NATIVE_STD):
            return "std"
        return "native" if name.startswith(_NATIVE_STARTUP) and name != "main" else "app"


class ObjectCache:
    """Mapped objects by identity, shared by the processes of one trace (children run the same files)."""

    def __init__(self) -> None:
        self._objects: dict[tuple[int, int, int, str], MappedObject] = {}

    def get(self, entry: MapEntry, opener: Opener) -> MappedObject:
        """Return the object behind an entry, opened at the first call; a failed opening is remembered too."""
        known = self._objects.get(entry.identity)
        if known is None:
            can_open = entry.inode != 0 or entry.path == "[vdso]"
            known = MappedObject(entry.object_name, opener(entry) if can_open else None)
            if not can_open:
                known.problems.clear()
            self._objects[entry.identity] = known
        return known

    def peek(self, entry: MapEntry) -> MappedObject | None:
        """Return the object behind an entry when it was opened before."""
        return self._objects.get(entry.identity)

    def __len__(self) -> int:
        return len(self._objects)


class ProcessSymbols:
    """Names for the addresses of one process.

    Args:
        maps: its mappings; give newer ones to ``update`` when libraries were loaded since.
        opener: opens what is mapped, for example ``lambda entry: host.open_object(pid, entry)``.
        cache: shared by processes; a new one when None.
        exe: path of the main binary as in maps; None takes the lowest mapped file, which it is on Linux.
    """

    def __init__(
        self, maps: ProcMaps, opener: Opener, *, cache: ObjectCache | None = None, exe: str | None = None
    ) -> None:
        self._opener = opener
        self._cache = cache if cache is not None else ObjectCache()
        self._exe_given = exe
        self._known: dict[tuple[int, _Place], tuple[SiteFrame, ...]] = {}
        self._interned: dict[SiteFrame, SiteFrame] = {}
        self._maps = maps
        self._exe = self._find_exe()

    def update(self, maps: ProcMaps) -> None:
        """Take newer mappings (after dlopen or exec); what was resolved before is forgotten."""
        self._maps = maps
        self._exe = self._find_exe()
        self._known.clear()

    def main_object(self) -> MappedObject | None:
        """Return the main binary, None when no file is mapped."""
        return None if self._exe is None else self._cache.get(self._exe, self._opener)

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what could not be read of the objects that stacks led to."""
        seen: dict[str, None] = {}
        for entry in self._maps:
            known = self._cache.peek(entry)
            for problem in known.problems if known is not None else ():
                seen[problem] = None
        return tuple(seen)

    def function_offset(self, name: str) -> int | None:
        """Return the file offset of a Go function of the main binary (for a uprobe), None without it."""
        main = self.main_object()
        function = None if main is None else main.find_go(name)
        if main is None or main.image is None or function is None:
            return None
        return main.image.vaddr_to_offset(function.entry)

    def function_range(self, name: str) -> tuple[int, int] | None:
        """Return first and behind-last address of a Go function of the main binary, as the process has it mapped.

        None when there is no such function, or its first page is not mapped.
        """
        main = self.main_object()
        function = None if main is None else main.find_go(name)
        if main is None or main.image is None or self._exe is None or function is None:
            return None
        offset = main.image.vaddr_to_offset(function.entry)
        for entry in self._maps:
            if offset is None or entry.identity != self._exe.identity or not entry.is_executable:
                continue
            if entry.offset <= offset < entry.offset + entry.end - entry.start:
                begin = entry.start + offset - entry.offset
                return begin, begin + function.end - function.entry
        return None

    def function_around(self, address: int) -> tuple[str, int, tuple[int, int]] | None:
        """Return name, file offset and run-time addresses [first, end) of the main binary's Go function at an address."""
        main = self.main_object()
        entry = self._maps.at(address)
        if main is None or main.go is None or main.image is None or entry is None or self._exe is None:
            return None
        if entry.identity != self._exe.identity:
            return None
        linked = main.image.offset_to_vaddr(address - entry.start + entry.offset)
        function = None if linked is None else main.go.table.function_at(linked)
        offset = None if function is None else main.image.vaddr_to_offset(function.entry)
        if linked is None or function is None or offset is None:
            return None
        first = address - (linked - function.entry)
        return function.name, offset, (first, first + function.end - function.entry)

    def resolve(self, ips: Sequence[int]) -> tuple[SiteFrame, ...]:
        """Return the frames of a stack, leaf first, inlined calls expanded.

        Args:
            ips: instruction pointers as the kernel reports them, leaf first; zeros are left out.
        """
        frames: list[SiteFrame] = []
        place = _Place.LEAF
        for ip in ips:
            if not ip:
                continue
            found = self._at(ip, place)
            frames += found
            # The runtime makes a fault look like a call of sigpanic: its return address is the faulting instruction.
            faulted = bool(found) and found[-1].function == _SIGPANIC
            place = _Place.EXACT if faulted else _Place.RETURN
        return tuple(frames) or (SiteFrame(function="?"),) * bool(ips)

    def _at(self, ip: int, place: _Place) -> tuple[SiteFrame, ...]:
        key = (ip, place)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MAX_CACHED_ADDRESSES:
                self._known.clear()
                self._interned.clear()
            found = self._lookup(ip, place)
            known = self._known[key] = tuple(self._interned.setdefault(frame, frame) for frame in found)
        return known

    def _lookup(self, ip: int, place: _Place) -> tuple[SiteFrame, ...]:
        wanted = ip - 1 if place is _Place.RETURN else ip
        entry = self._maps.at(wanted)
        if entry is None:
            return (SiteFrame(function="?"),)
        found = self._cache.get(entry, self._opener)
        address = found.image.offset_to_vaddr(wanted - entry.start + entry.offset) if found.image else None
        if address is None:
            return (SiteFrame(function="?", file=entry.object_name or None),)
        if place is _Place.LEAF and found.entry_of(address) != address:
            address -= 1
        is_main = self._exe is not None and entry.identity == self._exe.identity
        return found.frames(address, is_main=is_main)

    def _find_exe(self) -> MapEntry | None:
        for entry in self._maps:
            if entry.inode and (self._exe_given is None or entry.object_name == self._exe_given):
                return entry
        return None
