"""Questions that every report and exporter asks of the evidence. Pure; same evidence, same answer and order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from leadline.evidence.kinds import (
    Birthplace,
    Descriptor,
    HostInfo,
    ProcessInfo,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.evidence.store import Evidence
from leadline.model import SiteFrame

__all__ = [
    "Duplicate",
    "Headroom",
    "age_ns",
    "birthplaces",
    "by_kind",
    "by_origin",
    "duplicates",
    "end_mono_ns",
    "endpoint",
    "final_sockets",
    "headroom",
    "joined",
    "open_counts",
    "stacks",
    "target",
    "whole_stack",
]


@dataclass(frozen=True, slots=True)
class Headroom:
    """How far one process is from its limits; each None when unknown.

    Attributes:
        open_count: descriptors at the end of the window.
        soft, hard: RLIMIT_NOFILE.
        used_ratio: open_count / soft.
        host_open, host_max: open file descriptions of the whole host and their limit.
    """

    open_count: int | None
    soft: int | None
    hard: int | None
    used_ratio: float | None
    host_open: int | None
    host_max: int | None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Several descriptors of one open file description, or of one socket."""

    kind: str
    name: str
    holders: tuple[tuple[int, int], ...]
    """(pid, fd), ascending; at least two."""


def target(evidence: Evidence) -> ProcessInfo | None:
    """Return the process that was asked for; the first one is the target."""
    return evidence.first(ProcessInfo)


def end_mono_ns(evidence: Evidence) -> int | None:
    """Return the last moment of observation."""
    window = evidence.first(Window)
    return None if window is None else window.end_mono_ns


def open_counts(evidence: Evidence) -> dict[int, int]:
    """Return the descriptors of each process at the end of the window, by pid; without a table, of the last count."""
    table = evidence.get(Descriptor)
    if table is not None:
        return dict(Counter(descriptor.pid for descriptor in table))
    return {sample.pid: sample.alive for sample in evidence.all(TimelineSample)}


def headroom(evidence: Evidence, process: ProcessInfo, counts: dict[int, int]) -> Headroom:
    """Return how many descriptors a process has and may have; ``counts`` is from :func:`open_counts`."""
    soft = process.nofile_soft
    open_count = counts.get(process.pid, 0 if evidence.get(Descriptor) is not None else None)
    host = evidence.first(HostInfo)
    return Headroom(
        open_count=open_count,
        soft=soft,
        hard=process.nofile_hard,
        used_ratio=open_count / soft if open_count is not None and soft else None,
        host_open=None if host is None else host.file_nr,
        host_max=None if host is None else host.file_max,
    )


def by_kind(evidence: Evidence, pid: int | None = None) -> tuple[tuple[str, int], ...]:
    """Return (kind, count) of the final table, most frequent first; of one process, or of all."""
    counts = Counter(d.kind.value for d in evidence.all(Descriptor) if pid is None or d.pid == pid)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def by_origin(evidence: Evidence, pid: int | None = None) -> tuple[tuple[str, int], ...]:
    """Return (origin, count) of the final table, most frequent first."""
    counts = Counter(d.origin.value for d in evidence.all(Descriptor) if pid is None or d.pid == pid)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def duplicates(evidence: Evidence) -> tuple[Duplicate, ...]:
    """Return open file descriptions that several descriptors refer to, most holders first.

    Known by file reference; for sockets also by inode, because a socket has one open file description unless it was passed on.
    """
    groups: defaultdict[tuple[str, int], list[Descriptor]] = defaultdict(list)
    for descriptor in evidence.all(Descriptor):
        if descriptor.file_ref is not None:
            groups["file", descriptor.file_ref].append(descriptor)
        elif descriptor.kind.is_socket and descriptor.inode is not None:
            groups["socket", descriptor.inode].append(descriptor)
    found = [
        Duplicate(group[0].kind.value, group[0].name, tuple(sorted((d.pid, d.fd) for d in group)))
        for group in groups.values()
        if len(group) > 1
    ]
    return tuple(sorted(found, key=lambda duplicate: (-len(duplicate.holders), duplicate.holders)))


def final_sockets(evidence: Evidence) -> dict[int, SocketState]:
    """Return the socket states at the end of the window, by inode."""
    return {socket.inode: socket for socket in evidence.all(SocketState) if socket.when == "end"}


def joined(evidence: Evidence) -> Iterator[tuple[Descriptor, SocketState | None, Birthplace | None]]:
    """Yield each descriptor of the final table with its socket and its birthplace, by pid and number."""
    sockets = final_sockets(evidence)
    places = {place.id: place for place in evidence.all(Birthplace)}
    for descriptor in sorted(evidence.all(Descriptor), key=lambda one: (one.pid, one.fd)):
        socket = (
            sockets.get(descriptor.inode)
            if descriptor.kind.is_socket and descriptor.inode is not None
            else None
        )
        place = places.get(descriptor.birthplace) if descriptor.birthplace is not None else None
        yield descriptor, socket, place


def age_ns(evidence: Evidence, descriptor: Descriptor) -> int | None:
    """Return a descriptor's age at the end of the window; None when it is older than the window."""
    end_ns = end_mono_ns(evidence)
    if descriptor.born_mono_ns is None or end_ns is None:
        return None
    return max(end_ns - descriptor.born_mono_ns, 0)


def birthplaces(evidence: Evidence) -> tuple[Birthplace, ...]:
    """Return the birthplaces, most living first, then most births."""
    return tuple(sorted(evidence.all(Birthplace), key=lambda place: (-place.alive, -place.births, place.id)))


def stacks(evidence: Evidence) -> dict[int, Stack]:
    """Return the stacks by id."""
    return {stack.id: stack for stack in evidence.all(Stack)}


def whole_stack(place: Birthplace, known: dict[int, Stack]) -> tuple[SiteFrame, ...]:
    """Return the birthplace's frames from the system call to the goroutine that asked, leaf first.

    The caller's stack follows the maker's; runtime frames at the seam (``runtime.goexit``) are left out.
    """
    parts = [
        known[number].frames
        for number in (place.stack, *place.callers[:1])
        if number is not None and number in known
    ]
    if len(parts) > 1:
        parts[0] = tuple(frame for frame in parts[0] if frame.role != "runtime")
    frames = tuple(frame for part in parts for frame in part)
    if not frames and place.site is not None:
        return (place.site,)
    return frames


def endpoint(address: str, port: int | None) -> str:
    """Return ``10.0.0.1:80`` or ``[::1]:80``; "" when there is no address."""
    if not address and port is None:
        return ""
    host = f"[{address}]" if ":" in address else address
    return host if port is None else f"{host}:{port}"
