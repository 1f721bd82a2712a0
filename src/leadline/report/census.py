"""The census: descriptors of one process by kind, or of all processes, as rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, ProcessInfo
from leadline.evidence.queries import (
    by_kind,
    by_origin,
    duplicates,
    final_sockets,
    headroom,
    joined,
    open_counts,
    target,
)
from leadline.model import printable

__all__ = ["CensusView", "KindRow", "ProcessRow", "census_view", "process_rows"]

MAX_EXAMPLES = 10
NEAR_RATIO = 0.9


@dataclass(frozen=True, slots=True)
class KindRow:
    """Descriptors of one kind; ``states`` says what states their sockets are in, most frequent first."""

    kind: str
    count: int
    share_ratio: float
    states: str


@dataclass(frozen=True, slots=True)
class CensusView:
    """Descriptors of the target.

    Attributes:
        is_known: whether the descriptor table was seen at all.
        duplicates: in words, at most 10; ``duplicate_count`` counts all.
        room: (label, value) rows about limits.
        origins: (origin, count), most frequent first.
    """

    is_known: bool
    open_count: int | None
    kinds: tuple[KindRow, ...]
    origins: tuple[tuple[str, int], ...]
    duplicates: tuple[str, ...]
    duplicate_count: int
    room: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process of many; ``used`` is the share of its soft limit, ``is_near`` from 90 % on."""

    pid: int
    comm: str
    open_count: int
    soft: int | None
    used: str
    kinds: str
    is_near: bool


def census_view(evidence: Evidence) -> CensusView:
    """Return the descriptors of the target (the first process)."""
    process = target(evidence)
    pid = None if process is None else process.pid
    counts = by_kind(evidence, pid)
    open_count = sum(count for _, count in counts)
    states: dict[str, Counter[str]] = {}
    if final_sockets(evidence):
        for descriptor, socket, _ in joined(evidence):
            if socket is not None and (pid is None or descriptor.pid == pid):
                states.setdefault(descriptor.kind.value, Counter())[socket.state] += 1
    shared = duplicates(evidence)
    rows = tuple(
        KindRow(kind, count, count / open_count, _states(states.get(kind, Counter())))
        for kind, count in counts
    )
    return CensusView(
        is_known=bool(counts),
        open_count=open_count if counts else None,
        kinds=rows,
        origins=by_origin(evidence, pid),
        duplicates=tuple(_duplicate(one.kind, one.name, one.holders, pid) for one in shared[:MAX_EXAMPLES]),
        duplicate_count=len(shared),
        room=() if process is None else _room(evidence, process),
    )


def process_rows(evidence: Evidence) -> tuple[ProcessRow, ...]:
    """Return all processes, nearest to their limit first, then most descriptors."""
    rows = []
    tables = open_counts(evidence)
    kinds: dict[int, Counter[str]] = {}
    for descriptor in evidence.all(Descriptor):
        kinds.setdefault(descriptor.pid, Counter())[descriptor.kind.value] += 1
    for process in evidence.all(ProcessInfo):
        open_count = tables.get(process.pid, 0)
        soft = process.nofile_soft
        used = "" if not soft else f"{100 * open_count / soft:.1f} %"
        top = ", ".join(f"{count:,} {kind}" for kind, count in _ranked(kinds.get(process.pid, Counter()))[:3])
        is_near = bool(soft) and open_count >= NEAR_RATIO * (soft or 0)
        rows.append(ProcessRow(process.pid, printable(process.comm), open_count, soft, used, top, is_near))
    return tuple(
        sorted(
            rows, key=lambda row: (-(row.open_count / row.soft if row.soft else 0), -row.open_count, row.pid)
        )
    )


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _states(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {printable(state)}" for state, count in _ranked(counts))


def _duplicate(kind: str, name: str, holders: tuple[tuple[int, int], ...], pid: int | None) -> str:
    numbers = ", ".join(str(fd) if owner == pid else f"{owner}:{fd}" for owner, fd in holders[:MAX_EXAMPLES])
    more = f", and {len(holders) - MAX_EXAMPLES:,} more" if len(holders) > MAX_EXAMPLES else ""
    return f"{kind} {printable(name)}: descriptors {numbers}{more}"


def _room(evidence: Evidence, process: ProcessInfo) -> tuple[tuple[str, str], ...]:
    room = headroom(evidence, process, open_counts(evidence))
    rows = []
    if room.open_count is not None:
        rows.append(("open", f"{room.open_count:,}"))
    if room.soft is not None:
        share = "" if room.used_ratio is None else f", {100 * room.used_ratio:.1f} % used"
        rows.append(("soft limit", f"{room.soft:,}{share}"))
    if room.hard is not None:
        rows.append(("hard limit", f"{room.hard:,}"))
    if room.host_open is not None and room.host_max is not None:
        limit = "unlimited" if room.host_max >= 1 << 62 else f"{room.host_max:,}"
        rows.append(("whole host", f"{room.host_open:,} of {limit}"))
    return tuple(rows)
