"""Opens a Go process for reading: its release, where its code and variables lie, where its list of goroutines is.

Nothing is guessed. A release whose offsets were not proven is refused, and each place that is found is checked against
what must be there; a wrong row of offsets fails these checks.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING

from leadline.formats.elfimage import ElfImage
from leadline.formats.elfvars import ElfVariables
from leadline.formats.framerole import RoleBook
from leadline.formats.gobinary import GoBinary, go_minor, open_go_binary
from leadline.formats.gobuildinfo import parse_go_build_info
from leadline.formats.gooffsets import GoOffsets, lookup, supported_minors, wait_reasons
from leadline.formats.procmaps import ProcMaps, parse_maps
from leadline.formats.procstat import parse_stat
from leadline.formats.symbolize import ObjectCache, ProcessSymbols
from leadline.model import AccessError, Malformed, NotPermitted, TargetGone, Unsupported
from leadline.probes.snapshot_runtime.allgs import AllGoroutines, find_allgs
from leadline.probes.snapshot_runtime.frames import StackNames
from leadline.probes.snapshot_runtime.memory import ProcessMemory
from leadline.probes.snapshot_runtime.typenames import TypeNames
from leadline.probes.snapshot_runtime.unwind import StackWalker

if TYPE_CHECKING:
    from leadline.contracts import Host
    from leadline.formats.elfimage import Segment
    from leadline.formats.procmaps import MapEntry

__all__ = ["NotGo", "OpenedProcess", "open_process"]

_FIRST_MINOR = 21
_RELEASE = re.compile(r"go1\.\d+(\.\d+|rc\d+|beta\d+)?(?P<more>(-\d+)?( .*)?)")
"""Releases of the Go project and what distributions and GOEXPERIMENT add; others may have changed the runtime."""
_MACHINES = ("x86_64", "aarch64")
_PACKER_MARK = b"UPX!"
_PACKER_BYTES = 1 << 12
_TABLE_MAGIC = 0xFFFFFFF1
_DUMP_REMEDY = (
    "take a goroutine dump (/debug/pprof/goroutine?debug=2; or kill -QUIT, which ends the program)"
    " and give it to leadline dump"
)


class NotGo(Unsupported):
    """The program is not written in Go, so it has no goroutines."""


class OpenedProcess:
    """A Go process opened for reading; implements ``looks.GoProcess``.

    Made by ``open_process``.

    Attributes:
        binary: its program.
        roles: whose code a function is.
        bias: run-time address minus linked address, 0 for programs that are not position-independent.
        reasons: the texts of wait reasons by number.
        goroutines: where the list of goroutines is.
        is_proven: a look has confirmed the offsets.
        walker, stack_names: walk and name its stacks.
    """

    def __init__(
        self,
        host: Host,
        pid: int,
        *,
        binary: GoBinary,
        offsets: GoOffsets,
        maps: ProcMaps,
        exe: str,
        bias: int,
        names: ProcessSymbols,
    ) -> None:
        self._host = host
        self._pid = pid
        self._offsets = offsets
        self._memory = ProcessMemory(host, pid)
        self._start_ticks = _start_ticks(host, pid)
        self._exe = exe
        self._names = names
        self.maps = maps
        self.binary = binary
        self.bias = bias
        self.roles = RoleBook(binary.build_info, binary.goroot)
        self.reasons = wait_reasons(offsets.go_version) or ()
        self._module_words = self._read_module()
        self.walker = StackWalker(binary.table, bias, uses_link=self.machine == "aarch64")
        self.stack_names = StackNames(
            binary.table, self.roles, bias, quantum=4 if self.machine == "aarch64" else 1
        )
        self.goroutines: AllGoroutines = find_allgs(self)
        self.is_proven = False

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._pid

    @property
    def host(self) -> Host:
        """Return the machine it runs on."""
        return self._host

    @property
    def machine(self) -> str:
        """Return the architecture as ``uname -m`` says."""
        return self.binary.image.machine

    @property
    def go_version(self) -> str:
        """Return the release, such as ``go1.26.8``."""
        return self._offsets.go_version

    @property
    def variant(self) -> str:
        """Return what a distribution or GOEXPERIMENT has added to the release, such as ``X:boringcrypto``; "" for none."""
        release = _RELEASE.fullmatch(self.go_version)
        return "" if release is None else release["more"].strip()

    @property
    def minor(self) -> int:
        """Return the minor release, such as 26."""
        return go_minor(self._offsets.go_version) or 0

    @property
    def offsets(self) -> GoOffsets:
        """Return the offsets of this release."""
        return self._offsets

    @property
    def memory(self) -> ProcessMemory:
        """Return the reads."""
        return self._memory

    @property
    def names(self) -> ProcessSymbols:
        """Return the names of code addresses."""
        return self._names

    def module(self, field: str) -> int:
        """Return a word of the runtime's moduledata; see ``GoProcess.module``.

        Raises:
            KeyError: this release has no such field.
        """
        return self._module_words[self._offsets.need(f"moduledata.{field}") // 8]

    def symbol(self, name: str) -> int | None:
        """Return the run-time address of a variable; see ``GoProcess.symbol``."""
        found = self._variables.find(name)
        return None if found is None else found.address + self.bias

    def variable_at(self, address: int) -> str | None:
        """Return the name of the variable that holds an address; see ``GoProcess.variable_at``."""
        in_data = self.module("data") <= address < self.module("edata")
        in_bss = self.module("bss") <= address < self.module("ebss")
        in_noptr = any(
            self.module(f"{area}") <= address < self.module(f"e{area}") for area in ("noptrdata", "noptrbss")
        )
        if not in_data and not in_bss and not in_noptr:
            return None
        found = self._variables.at(address - self.bias)
        return None if found is None else found.name

    def type_name(self, type_address: int) -> str | None:
        """Return the name of an abi.Type; see ``GoProcess.type_name``."""
        return self._types.name(type_address)

    def type_of_interface(self, itab_or_type: int, *, is_empty: bool) -> str | None:
        """Return the dynamic type of an interface value; see ``GoProcess.type_of_interface``."""
        return self._types.of_interface(itab_or_type, is_empty=is_empty)

    def in_text(self, address: int) -> bool:
        """Return whether an address lies in the Go code."""
        return self.module("text") <= address < self.module("etext")

    def linked(self, address: int) -> int:
        """Return the linked address of a run-time address of the main program."""
        return address - self.bias

    def check_same(self) -> None:
        """Make sure that this still is the program that was opened.

        Raises:
            TargetGone: it ended, or runs another program now.
        """
        if _start_ticks(self._host, self._pid) != self._start_ticks:
            raise TargetGone(f"process {self._pid} has ended, and its number went to another one")
        word = self._memory.word(self._moduledata)
        if word != self._module_words[0] or self._memory.word(word) & 0xFFFFFFFF != _TABLE_MAGIC:
            raise TargetGone(f"process {self._pid} runs another program than before")

    @cached_property
    def _variables(self) -> ElfVariables:
        return ElfVariables(self.binary.image)

    @cached_property
    def _types(self) -> TypeNames:
        return TypeNames(
            self._memory,
            first=self.module("types"),
            end=self.module("etypes"),
            text_at=self._offsets.get("abi.Type.Str"),
            flags_at=self._offsets.get("abi.Type.TFlag"),
        )

    @property
    def _moduledata(self) -> int:
        return (self.binary.moduledata or 0) + self.bias

    def _read_module(self) -> tuple[int, ...]:
        """Return the words of moduledata as the process has it, after checking them."""
        offsets = self._offsets
        count = (
            max(offset for name, offset in offsets.items() if name.startswith("moduledata.") and offset) // 8
            + 1
        )
        words = tuple(int(word) for word in self._memory.words(self._moduledata, count))
        if len(words) < count:
            raise Unsupported(f"process {self._pid}: the Go runtime's moduledata cannot be read")

        def word(field: str) -> int:
            return words[offsets.need(f"moduledata.{field}") // 8]

        rises = all(
            word(low) <= word(high)
            for low, high in (
                ("text", "minpc"), ("minpc", "etext"), ("data", "edata"), ("bss", "ebss"), ("noptrbss", "enoptrbss"),
                ("types", "etypes"),
            )
        )  # fmt: skip
        magic = self._memory.word(words[0]) & 0xFFFFFFFF
        if not rises or magic != _TABLE_MAGIC or word("text") - self.bias != self.binary.table.text:
            raise Unsupported(
                f"process {self._pid}: its memory is not laid out as {offsets.go_version} does it",
                remedy=_DUMP_REMEDY,
            )
        return words


def open_process(host: Host, pid: int, *, cache: ObjectCache | None = None) -> OpenedProcess:
    """Return a Go process opened for reading.

    Args:
        host: the machine.
        pid: the process.
        cache: opened programs, shared with others who name addresses.

    Raises:
        NotGo: a program in another language.
        Unsupported: a release whose layout is not known, or a layout that proves to be another one.
        NotPermitted: its memory or its program may not be read.
        TargetGone: it has ended, or runs another program meanwhile.
    """
    view = host.open_program(pid)
    if view is None and _is_of_kernel(host, pid):
        raise NotGo(f"process {pid} is a thread of the kernel, which runs no program")
    if view is None:
        raise NotPermitted(
            f"the program of process {pid} may not be read",
            remedy="run as root, or as the user of the process with CAP_SYS_PTRACE",
        )
    binary = _open_binary(view, pid)
    offsets = _offsets_of(binary, pid)
    maps = _maps_of(host, pid)
    exe = host.link_proc(f"{pid}/exe")
    bias = _bias(binary.image, maps, exe, pid)
    names = ProcessSymbols(
        maps, lambda entry: host.open_object(pid, entry), cache=cache, exe=exe.removesuffix(" (deleted)")
    )
    try:
        return OpenedProcess(
            host, pid, binary=binary, offsets=offsets, maps=maps, exe=exe, bias=bias, names=names
        )
    except Malformed as exc:
        raise Unsupported(f"process {pid}: its program cannot be decoded ({exc})") from exc
    except KeyError as exc:
        raise Unsupported(
            f"process {pid} was built with {offsets.go_version}; where this patch release has {exc} is not known",
            remedy=_DUMP_REMEDY,
        ) from exc


def _is_of_kernel(host: Host, pid: int) -> bool:
    """Return whether a process has no program at all; who may not see its program is not told."""
    try:
        host.link_proc(f"{pid}/exe")
    except Unsupported:
        return True
    except NotPermitted:
        return False
    return False


def _open_binary(view: memoryview, pid: int) -> GoBinary:
    if _PACKER_MARK in bytes(view[:_PACKER_BYTES]):
        raise Unsupported(
            f"process {pid} runs a program packed with UPX: its function table is not in the file",
            remedy="run the program unpacked (upx -d)",
        )
    try:
        image = ElfImage(view)
        binary = open_go_binary(image)
    except Malformed as exc:
        raise Unsupported(f"process {pid}: its program cannot be decoded ({exc})") from exc
    if binary is None:
        raise _not_go(image, pid)
    if not image.is_64bit or image.machine not in _MACHINES or image.machine != os.uname().machine:
        raise Unsupported(
            f"process {pid}: its program is for {image.machine}; goroutines are read on x86_64 and aarch64 of the same machine",
            remedy=_DUMP_REMEDY,
        )
    if binary.moduledata is None:
        raise Unsupported(
            f"process {pid}: the Go runtime's moduledata was not found in its program", remedy=_DUMP_REMEDY
        )
    return binary


def _not_go(image: ElfImage, pid: int) -> Unsupported:
    try:
        info = parse_go_build_info(image)
    except Malformed:
        info = None
    if info is not None:
        return Unsupported(
            f"process {pid} was built with {info.go_version}, whose function table is not read",
            remedy=_DUMP_REMEDY,
        )
    return NotGo(f"process {pid} does not run a Go program")


def _offsets_of(binary: GoBinary, pid: int) -> GoOffsets:
    info = binary.build_info
    if info is None:
        raise Unsupported(f"process {pid}: its program does not tell its Go release", remedy=_DUMP_REMEDY)
    minor = go_minor(info.go_version)
    last = supported_minors()[-1]
    if minor is None or (minor >= _FIRST_MINOR and minor not in supported_minors()):
        raise Unsupported(
            f"process {pid} was built with {info.go_version}, whose runtime layout is not known "
            f"(known are the releases of Go 1.{_FIRST_MINOR} to 1.{last})",
            remedy=_DUMP_REMEDY,
        )
    if not _RELEASE.fullmatch(info.go_version):
        raise Unsupported(
            f"process {pid} was built with {info.go_version}, a toolchain of somebody's own making, whose runtime layout is not"
            " known",
            remedy=_DUMP_REMEDY,
        )
    offsets = lookup(info.go_version, binary.image.machine)
    if minor < _FIRST_MINOR or offsets is None:
        raise Unsupported(
            f"process {pid} was built with {info.go_version}; goroutines are read from Go 1.{_FIRST_MINOR} on",
            remedy=_DUMP_REMEDY,
        )
    return offsets


def _maps_of(host: Host, pid: int) -> ProcMaps:
    try:
        return parse_maps(host.read_proc(f"{pid}/maps"))
    except Malformed as exc:
        raise Unsupported(f"process {pid}: its mappings cannot be decoded ({exc})") from exc


def _bias(image: ElfImage, maps: ProcMaps, exe: str, pid: int) -> int:
    """Return run-time minus linked addresses; all mapped pieces of the program must agree."""
    found = set()
    for entry in maps:
        if entry.path == exe and entry.inode and entry.is_executable:
            found |= {
                entry.start - entry.offset - (load.vaddr - load.offset)
                for load in image.segments
                if load.is_executable and load.file_size and _covers(load, entry)
            }
    if len(found) != 1:
        raise TargetGone(f"process {pid} runs another program by now")
    return found.pop()


def _covers(load: Segment, entry: MapEntry) -> bool:
    return (
        load.offset < entry.offset + entry.end - entry.start and entry.offset < load.offset + load.file_size
    )


def _start_ticks(host: Host, pid: int) -> int:
    try:
        stat = parse_stat(host.read_proc(f"{pid}/stat"))
    except Malformed as exc:
        raise AccessError(f"process {pid}: its state cannot be decoded ({exc})") from exc
    if stat.state in {"Z", "X"}:
        raise TargetGone(f"process {pid} has ended")
    return stat.start_ticks
