"""The evidence of one run, joined: which socket a descriptor is, what a birthplace's living are, what looks the same.

Pure look-ups on records; shared by all areas.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorKind,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Origin,
    Pool,
    ProcessInfo,
    Refusal,
    Retention,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.evidence.owners import OwnerBook
from leadline.model import Site, SiteFrame

__all__ = ["OwnerNeeds", "Table", "kind_acquired_in", "owners_of", "path_pattern", "place", "sites_of"]

_NUMBERS = re.compile(r"\d+")
_TOKENS = re.compile(r"(?<![A-Za-z0-9])(?=[0-9a-fA-F-]*\d)[0-9a-fA-F-]{8,}(?![A-Za-z0-9])")


def path_pattern(path: str) -> str:
    """Return a path with changing parts replaced: long hexadecimal words by ``*``, numbers by ``N``.

    >>> path_pattern("/tmp/upload-81/9f86d081884c7d65.part (deleted)")
    '/tmp/upload-N/*.part'
    """
    return _NUMBERS.sub("N", _TOKENS.sub("*", path.removesuffix(" (deleted)")))


class OwnerNeeds(Protocol):
    """Needs of a rule that asks who owns a descriptor; each may be None, where it was not observed."""

    @property
    def runtimes(self) -> tuple[GoRuntime, ...] | None:
        """Return the records of this kind."""

    @property
    def goroutines(self) -> tuple[Goroutine, ...] | None:
        """Return the records of this kind."""

    @property
    def uses(self) -> tuple[DescriptorUse, ...] | None:
        """Return the records of this kind."""

    @property
    def connections(self) -> tuple[Connection, ...] | None:
        """Return the records of this kind."""

    @property
    def stacks(self) -> tuple[Stack, ...] | None:
        """Return the records of this kind."""

    @property
    def pools(self) -> tuple[Pool, ...] | None:
        """Return the records of this kind."""

    @property
    def retentions(self) -> tuple[Retention, ...] | None:
        """Return the records of this kind."""

    @property
    def descriptors(self) -> tuple[Descriptor, ...] | None:
        """Return the records of this kind."""

    @property
    def sockets(self) -> tuple[SocketState, ...] | None:
        """Return the records of this kind."""

    @property
    def birthplaces(self) -> tuple[Birthplace, ...] | None:
        """Return the records of this kind."""


def owners_of(seen: OwnerNeeds) -> OwnerBook | None:
    """Return who owns each descriptor; None when the Go runtime was not read."""
    if seen.runtimes is None:
        return None
    return OwnerBook.of(
        runtimes=seen.runtimes,
        goroutines=seen.goroutines,
        uses=seen.uses,
        connections=seen.connections,
        stacks=seen.stacks,
        pools=seen.pools,
        retentions=seen.retentions,
        descriptors=seen.descriptors,
        sockets=seen.sockets,
        birthplaces=seen.birthplaces,
    )


@dataclass(slots=True)
class Table:
    """Indexes over the evidence. Build it with :meth:`of`.

    Attributes:
        has_sockets: whether socket states were observed at all.
        owners: who owns each descriptor, as far as the Go runtime tells; empty when it was not read.
    """

    window: Window
    has_sockets: bool
    birthplaces: tuple[Birthplace, ...]
    descriptors: tuple[Descriptor, ...]
    sockets: dict[int, SocketState]
    earlier: dict[int, SocketState]
    living: dict[int, list[Descriptor]]
    stacks: dict[int, Stack]
    processes: dict[int, ProcessInfo]
    timeline: dict[int, list[TimelineSample]]
    refused: Counter[int]
    listening: dict[int, set[int]] = field(default_factory=dict)
    owners: OwnerBook = field(default_factory=OwnerBook.of)

    @classmethod
    def of(
        cls,
        *,
        window: Sequence[Window],
        birthplaces: Iterable[Birthplace] | None = None,
        descriptors: Iterable[Descriptor] | None = None,
        sockets: Iterable[SocketState] | None = None,
        stacks: Iterable[Stack] | None = None,
        processes: Iterable[ProcessInfo] | None = None,
        timeline: Iterable[TimelineSample] | None = None,
        refusals: Iterable[Refusal] | None = None,
        owners: OwnerBook | None = None,
    ) -> Table:
        """Return the joined table of what was observed; None counts as not observed."""
        table = cls(
            window=window[-1],
            has_sockets=sockets is not None,
            birthplaces=tuple(birthplaces or ()),
            descriptors=tuple(descriptors or ()),
            sockets={},
            earlier={},
            living=defaultdict(list),
            stacks={stack.id: stack for stack in stacks or ()},
            processes={},
            timeline=defaultdict(list),
            refused=Counter(),
        )
        if owners is not None:
            table.owners = owners
        for refusal in refusals or ():
            table.refused[refusal.pid] += refusal.count
        for socket in sockets or ():
            (table.earlier if socket.when == "begin" else table.sockets)[socket.inode] = socket
        for process in processes or ():
            table.processes.setdefault(process.pid, process)
        for sample in timeline or ():
            table.timeline[sample.pid].append(sample)
        for descriptor in table.descriptors:
            if descriptor.birthplace is not None:
                table.living[descriptor.birthplace].append(descriptor)
        table._note_listeners()
        return table

    def _note_listeners(self) -> None:
        for pid, process in self.processes.items():
            self.listening[pid] = {listener.port for listener in process.listeners}
        for descriptor in self.descriptors:
            socket = self.socket(descriptor)
            if socket is not None and socket.state == "LISTEN" and socket.lport is not None:
                self.listening.setdefault(descriptor.pid, set()).add(socket.lport)

    def socket(self, descriptor: Descriptor) -> SocketState | None:
        """Return the socket state at the end of the window; None for other kinds or when it is not known."""
        if not descriptor.kind.is_socket or descriptor.inode is None:
            return None
        return self.sockets.get(descriptor.inode)

    def begin_ns(self, pid: int) -> int:
        """Return when counting began for a process: at its first sample, or with the window."""
        samples = self.timeline.get(pid)
        return max(samples[0].mono_ns if samples else 0, self.window.begin_mono_ns)

    def end_ns(self, pid: int) -> int:
        """Return when observation of a process ended."""
        process = self.processes.get(pid)
        if process is not None and process.ended_mono_ns is not None:
            return min(process.ended_mono_ns, self.window.end_mono_ns)
        return self.window.end_mono_ns

    def net_growth(self, pid: int, kind: DescriptorKind) -> int | None:
        """Return by how many the descriptors of a kind grew between the first and last look at the table; None when unknown."""
        looks = [sample for sample in self.timeline.get(pid, ()) if sample.by_kind]
        if len(looks) < 2:
            return None
        return looks[-1].by_kind.get(kind.value, 0) - looks[0].by_kind.get(kind.value, 0)

    def total_growth(self, pid: int) -> int | None:
        """Return by how many all descriptors grew between the first and last sample; None with fewer than two."""
        samples = self.timeline.get(pid, ())
        return samples[-1].alive - samples[0].alive if len(samples) > 1 else None

    def open_count(self, pid: int) -> int | None:
        """Return how many descriptors the process has at the end; None when its table was not seen."""
        if self.descriptors:
            return sum(descriptor.pid == pid for descriptor in self.descriptors)
        samples = self.timeline.get(pid)
        return samples[-1].alive if samples else None

    def soft_limit(self, pid: int) -> int | None:
        """Return RLIMIT_NOFILE (soft); None when unknown."""
        process = self.processes.get(pid)
        return None if process is None else process.nofile_soft

    def is_full(self, pid: int) -> bool:
        """Return whether the process was refused descriptors, or has all but two of its soft limit open."""
        count, limit = self.open_count(pid), self.soft_limit(pid)
        return self.refused[pid] > 0 or (count is not None and limit is not None and count >= limit - 2)

    def is_accepted(self, descriptor: Descriptor, socket: SocketState) -> bool:
        """Return whether a connected socket's local port is one on which its process listens."""
        return socket.lport in self.listening.get(descriptor.pid, ()) and socket.state != "LISTEN"

    def key(self, descriptor: Descriptor) -> str:
        """Return what a descriptor is about: peer, local port, path pattern; "" when nothing tells."""
        socket = self.socket(descriptor)
        if socket is not None:
            if socket.state == "LISTEN":
                return f"listening on {socket.lport}"
            if self.is_accepted(descriptor, socket):
                return f"accepted on port {socket.lport}"
            if socket.rport:
                return f"peer {_endpoint(socket.raddr, socket.rport)}"
            return f"path {socket.name}" if socket.name else ""
        if descriptor.kind in {DescriptorKind.FILE, DescriptorKind.DIRECTORY, DescriptorKind.DEVICE}:
            return f"path {path_pattern(descriptor.name)}"
        return ""

    def older(self, birthplace: Birthplace, keys: set[str]) -> list[Descriptor]:
        """Return descriptors of the same process and kind from before the window that are about the same thing."""
        return [
            descriptor
            for descriptor in self.descriptors
            if descriptor.pid == birthplace.pid
            and descriptor.kind == birthplace.kind
            and descriptor.origin is Origin.BEFORE
            and self.key(descriptor) in keys
        ]

    def most_frequent_sites(self, births: Counter[int | None]) -> tuple[Site, ...]:
        """Return the places of the birthplace that most of the counted descriptors come from; empty when none is known."""
        known = {found.id: found for found in self.birthplaces}
        ids = [number for number in births if number in known]
        if not ids:
            return ()
        most = min(ids, key=lambda number: (-births[number], number or 0))
        return sites_of(self, known[most])[:1] if most is not None else ()

    def frames(self, stack: int | None) -> tuple[SiteFrame, ...]:
        """Return the frames of a stack; empty when it is not known."""
        found = None if stack is None else self.stacks.get(stack)
        return () if found is None else found.frames

    def functions(self, birthplace: Birthplace) -> tuple[str, ...]:
        """Return function names of the birthplace's stack and of its callers, leaf first."""
        stacks = (birthplace.stack, *birthplace.callers)
        return tuple(frame.function for stack in stacks for frame in self.frames(stack))


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def place(frame: SiteFrame | Site | None) -> str:
    """Return ``main.fetch (main.go:42)``; "an unknown place" without a frame."""
    if frame is None:
        return "an unknown place"
    if frame.file is None:
        return frame.function
    name = frame.file.rpartition("/")[2]
    return f"{frame.function} ({name})" if frame.line is None else f"{frame.function} ({name}:{frame.line})"


def sites_of(table: Table, birthplace: Birthplace) -> tuple[Site, ...]:
    """Return a birthplace's places, most useful first: the application's frame, the call's stack, the ``go`` statement."""
    own = table.frames(birthplace.stack)
    chosen = birthplace.site
    sites: list[Site] = []
    if chosen is not None:
        stacks = (own, *(table.frames(stack) for stack in birthplace.callers))
        holder = next((frames for frames in stacks if chosen in frames), own)
        sites.append(_site(chosen, birthplace.site_role, holder))
    if own and (chosen is None or chosen not in own):
        leaf = next((frame for frame in own if _is_telling(frame)), own[0])
        sites.append(_site(leaf, "acquired", own))
    created = birthplace.created_by
    if created is not None and created != chosen:
        sites.append(_site(created, "created-by", ()))
    return tuple(sites)


def kind_acquired_in(function: str, birthplaces: Iterable[Birthplace] | None) -> DescriptorKind | None:
    """Return the kind of descriptor that a function acquires; None when it acquires none, or several kinds."""
    kinds = {
        found.kind
        for found in birthplaces or ()
        if found.site is not None and found.site.function == function
    }
    return kinds.pop() if len(kinds) == 1 else None


def _is_telling(frame: SiteFrame) -> bool:
    """Return whether a frame says more than that a system call was made."""
    package = frame.function.partition(".")[0]
    return (
        frame.role != "runtime"
        and package not in {"syscall", "runtime"}
        and not package.startswith("internal/")
    )


def _site(frame: SiteFrame, role: str, stack: tuple[SiteFrame, ...]) -> Site:
    return Site(function=frame.function, file=frame.file, line=frame.line, role=role, stack=stack)
