"""The observation of panics: attach to the runtime's functions, name stacks while the process lives, detach."""

from __future__ import annotations

import platform
import struct
from collections import defaultdict
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from leadline.contracts import ProbeInfo, gap_of
from leadline.evidence.kinds import PanicSite, Stack
from leadline.formats.gooffsets import lookup
from leadline.formats.procmaps import parse_maps
from leadline.formats.symbolize import ProcessSymbols
from leadline.model import AccessError, Gap, GapReason, Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadline.contracts import Host
    from leadline.contracts.bpf import BpfObject
    from leadline.evidence import Evidence
    from leadline.model import LeadlineError, SiteFrame

__all__ = ["FIRST_STACK", "PROBE", "PanicsObservation", "TracePanics"]

NAME: Final = "trace_panics"
WHAT: Final = "panics that were recovered"
FIRST_STACK: Final = 1 << 30
"""Stacks of panics are numbered from here on, out of the way of the other probes' in the same bundle."""
_PANIC: Final = "runtime.gopanic"
_FATAL: Final = "runtime.fatalpanic"
_MAX_FRAMES: Final = 64
_COOKIE_PANIC: Final = 1
_COOKIE_FATAL: Final = 2


class _Key(NamedTuple):
    """What the kernel counts by, and the image (number of programs run before) in which its addresses mean something."""

    image: int
    stack: int
    gopc: int


class _Named(NamedTuple):
    frames: tuple[SiteFrame, ...]
    created_by: SiteFrame | None
    truncated: bool


class _Count(NamedTuple):
    panics: int
    first_ns: int
    last_ns: int


class TracePanics:
    """Starts counting the panics of a process."""

    INFO = ProbeInfo(
        name=NAME,
        kinds=("panic_site", "stack"),
        capabilities=("CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"),
        features=("btf", "uprobe"),
        cost="per-event",
    )

    def begin(self, host: Host, pid: int, evidence: Evidence) -> PanicsObservation:
        """Attach where the process runs a Go program now; else wait until it does (``leadline exec``)."""
        return PanicsObservation(host, pid, evidence)


class PanicsObservation:
    """Counting at work: see ``contracts.Observation``. Refusals become one gap; nothing is put for other languages."""

    def __init__(self, host: Host, pid: int, evidence: Evidence) -> None:
        self._host = host
        self._pid = pid
        self._object: BpfObject | None = None
        self._symbols: ProcessSymbols | None = None
        self._address = 0
        self._mark = b""
        self._image = 0
        self._is_go = False
        self._is_other = False
        self._is_refused = False
        self._counts: dict[_Key, _Count] = {}
        self._named: dict[_Key, _Named | None] = {}
        self._counters: defaultdict[str, int] = defaultdict(int)
        self._live_counters: dict[str, int] = {}
        self._gaps: list[Gap] = []
        self._open(evidence)

    def tick(self) -> None:
        """Name new stacks while the process lives, and follow it when it has run another program."""
        self._harvest()
        self._open(None)

    def finish(self, evidence: Evidence) -> None:
        """Read the counts a last time, detach, and put what was seen."""
        try:
            self._harvest()
        finally:
            self._close()
        for gap in self._gaps:
            evidence.gap(gap)
        if not self._is_go:
            if self._is_other:
                evidence.put_all(PanicSite, ())
            return
        sites, stacks = self._sites()
        evidence.put_all(PanicSite, sites)
        evidence.put_all(Stack, stacks)
        lost = self._counters["lost_places"] + self._counters["lost_scratch"] + self._counters["lost_stacks"]
        if lost:
            evidence.gap(
                Gap(
                    what=WHAT,
                    reason=GapReason.OVERRUN,
                    detail=f"{lost} panics, or their stacks, found no room",
                    remedy="trace for a shorter time",
                    lost_count=lost,
                    probe=NAME,
                )
            )

    # -- attaching ------------------------------------------------------------------------------------------------------

    def _open(self, evidence: Evidence | None) -> None:
        """Attach to the program that the process runs, when it is another one than before."""
        if self._is_refused:
            return
        try:
            mark = self._host.read_proc(f"{self._pid}/auxv")
            if not mark or mark == self._mark:
                return
            symbols = self._read_symbols()
        except (AccessError, Malformed) as error:
            if not self._mark:
                self._refuse(error, evidence)  # may not be read; one that ended says so elsewhere
            return
        self._close()
        self._mark = mark
        self._image += 1
        if symbols is None:
            self._is_other = True
            return
        self._symbols = symbols
        try:
            self._attach(symbols)
        except (AccessError, Malformed) as error:
            self._refuse(error, evidence)

    def _read_symbols(self) -> ProcessSymbols | None:
        maps = parse_maps(self._host.read_proc(f"{self._pid}/maps"))
        if not len(maps):
            return None
        symbols = ProcessSymbols(maps, lambda entry: self._host.open_object(self._pid, entry))
        main = symbols.main_object()
        return symbols if main is not None and main.go is not None else None

    def _attach(self, symbols: ProcessSymbols) -> None:
        place, fatal = _place(symbols), symbols.function_offset(_FATAL)
        if place is None:
            return
        self._address = place.address
        places = [(place.offset, _COOKIE_PANIC)] + ([] if fatal is None else [(fatal, _COOKIE_FATAL)])
        settings: dict[str, int | bytes] = {"go": _offsets(symbols), "frame_bytes": place.frame_bytes}
        loaded = self._host.bpf().load(files(__package__), "panics", settings=settings)
        try:
            loaded.attach_uprobes("on_panic", f"/proc/{self._pid}/exe", places, pid=self._pid)
        except BaseException:
            loaded.close()
            raise
        self._object = loaded
        self._is_go = True

    def _refuse(self, error: LeadlineError, evidence: Evidence | None) -> None:
        self._is_refused = True
        gap = gap_of(error, what=WHAT, probe=NAME)
        if evidence is None:
            self._gaps.append(gap)
        else:
            evidence.gap(gap)

    def _close(self) -> None:
        """Detach; what was counted is kept."""
        for name, value in self._live_counters.items():
            self._counters[name] += value
        self._live_counters = {}
        if self._object is not None:
            self._object.close()
            self._object = None
        self._symbols = None

    # -- reading --------------------------------------------------------------------------------------------------------

    def _harvest(self) -> None:
        if self._object is None:
            return
        keys, values = self._object.map("panics").dump()
        for key, value in zip(keys, values, strict=True):
            found = _Key(self._image, int(key["stack"]), int(key["gopc"]))
            self._counts[found] = _Count(int(value["count"]), int(value["first_ns"]), int(value["last_ns"]))
            if found not in self._named:
                self._named[found] = self._name(found)
        for name, number in self._object.enums["counter"].items():
            row = (
                self._object.map("counters").lookup(number.to_bytes(4, "little"))
                if name != "COUNTERS"
                else None
            )
            if row is not None:
                self._live_counters[name.lower()] = int(row["value"][0])

    def _name(self, key: _Key) -> _Named | None:
        """Return the names of a stack; None when it is not of the program whose symbols are open."""
        if self._object is None or self._symbols is None:
            return None
        row = self._object.map("stacks").lookup(key.stack.to_bytes(8, "little"))
        if row is None:
            return None
        size = min(int(row["count"][0]), _MAX_FRAMES)
        ips = tuple(int(ip) for ip in row["ips"][0][:size])
        if not ips or ips[0] != self._address:
            return None  # the process has run another program meanwhile
        created = self._symbols.resolve((key.gopc,)) if key.gopc else ()
        starter = (
            created[0] if created and created[0].function != "?" and created[0].role != "runtime" else None
        )
        frames = self._symbols.resolve(ips)
        return _Named(frames, starter, size >= _MAX_FRAMES and frames[-1].function != "runtime.goexit")

    def _sites(self) -> tuple[list[PanicSite], list[Stack]]:
        """Return panics by place, most first, and their stacks."""
        counts = self._survived()
        groups: dict[tuple[object, object], list[_Key]] = defaultdict(list)
        for key in counts:
            named = self._named.get(key)
            if named is None:
                groups[None, None].append(key)
            elif not _is_raised_again(named.frames):
                groups[_site(named.frames), named.created_by].append(key)
        sites, stacks = [], []
        ordered = sorted(
            groups.values(),
            key=lambda keys: (
                -sum(counts[key].panics for key in keys),
                min(counts[key].first_ns for key in keys),
            ),
        )
        for number, keys in enumerate(ordered, 1):
            most = max(keys, key=lambda key: (counts[key].panics, -counts[key].first_ns))
            total = sum(counts[key].panics for key in keys)
            if not total:
                continue
            named = self._named.get(most)
            stack = None
            if named is not None:
                stack = FIRST_STACK + number
                stacks.append(Stack(id=stack, pid=self._pid, frames=named.frames, truncated=named.truncated))
            sites.append(
                PanicSite(
                    id=number,
                    pid=self._pid,
                    count=total,
                    stack=stack,
                    site=None if named is None else _site(named.frames),
                    created_by=None if named is None else named.created_by,
                    first_mono_ns=min(counts[key].first_ns for key in keys),
                    last_mono_ns=max(counts[key].last_ns for key in keys),
                )
            )
        return sites, stacks

    def _survived(self) -> dict[_Key, _Count]:
        """Return the counts without those panics that ended a process: each was the last one of its program."""
        counts = dict(self._counts)
        if self._counters["count_fatal"]:
            last = max(counts, key=lambda key: counts[key].last_ns, default=None)
            if last is not None:
                counts[last] = counts[last]._replace(panics=counts[last].panics - 1)
        return counts


class _Place(NamedTuple):
    """Where panics are counted: file offset, run-time address, and the size of the frame there in bytes."""

    offset: int
    address: int
    frame_bytes: int


def _place(symbols: ProcessSymbols) -> _Place | None:
    """Return the first instruction behind the stack check of gopanic; None when the program has none."""
    main = symbols.main_object()
    function = None if main is None else main.find_go(_PANIC)
    offset, addresses = symbols.function_offset(_PANIC), symbols.function_range(_PANIC)
    if main is None or main.go is None or function is None or offset is None or addresses is None:
        return None
    begin, frame_bytes = main.go.table.prologue(function)
    return _Place(offset + begin, addresses[0] + begin, frame_bytes)


def _offsets(symbols: ProcessSymbols) -> bytes:
    """Return where a goroutine keeps its identity, as the kernel side wants it: zeros when this release is unknown."""
    main = symbols.main_object()
    info = None if main is None or main.go is None else main.go.build_info
    table = None if info is None or info.go_version is None else lookup(info.go_version, platform.machine())
    if table is None:
        return struct.pack("<4H", 0, 0, 0, 0)
    return struct.pack(
        "<4H",
        table.need("g.sched") + table.need("gobuf.g"),
        table.need("g.goid"),
        table["g.parentGoid"] or 0,
        table.need("g.gopc"),
    )


def _is_raised_again(frames: Iterable[SiteFrame]) -> bool:
    """Return whether a panic began while another one ran its deferred functions: who recovers, recovers both."""
    return sum(frame.function == _PANIC for frame in frames) > 1


def _site(frames: tuple[SiteFrame, ...]) -> SiteFrame | None:
    """Return the frame to read first: the program's own nearest to the panic, else a module's, else the outermost of std."""
    own = (frame for frame in frames if frame.role == "app")
    module = (frame for frame in frames if frame.role == "module")
    std = (frame for frame in reversed(frames) if frame.role == "std")
    return next(own, None) or next(module, None) or next(std, None)


PROBE = TracePanics()
