"""Birthplaces without stacks: descriptors that lead to the same kind of place are one group."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadline.evidence.kinds import Birthplace, BirthSample, DescriptorKind, LifetimeBucket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadline.probes.trace_snapshots.tracker import Seen

__all__ = ["Endpoint", "Group", "Groups", "group_key", "path_pattern"]

MAX_GROUPS = 256
MAX_SAMPLES = 240
MAX_PEERS = 8
_CHANGING = re.compile(r"[0-9a-fA-F]{8,}|[0-9]+")
_DELETED = " (deleted)"
_OPENED = {DescriptorKind.FILE, DescriptorKind.DIRECTORY, DescriptorKind.DEVICE}
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a socket leads; ``remote`` is ``address:port``, empty without a peer."""

    local_port: int
    remote: str
    remote_port: int | None


def path_pattern(path: str) -> str:
    """Return a path with its changing parts (numbers, hexadecimal names) as ``#``.

    >>> path_pattern("/var/spool/app/job-17231.tmp (deleted)"), path_pattern("/srv/cache/3fa9b2c4/data")
    ('/var/spool/app/job-#.tmp (deleted)', '/srv/cache/#/data')
    """
    name, deleted = (path.removesuffix(_DELETED), _DELETED) if path.endswith(_DELETED) else (path, "")
    return _CHANGING.sub("#", name) + deleted


def group_key(
    kind: DescriptorKind, name: str, endpoint: Endpoint | None, listening_ports: frozenset[int]
) -> Key:
    """Return (kind, role, place): place is a port for connections, a path pattern for files, else empty."""
    if endpoint is not None and endpoint.remote:
        if endpoint.local_port in listening_ports:
            return kind.value, "accepted", f"port {endpoint.local_port}"
        return kind.value, "dialed", f"port {endpoint.remote_port}"
    if kind in _OPENED:
        return kind.value, "opened", path_pattern(name)
    return kind.value, "created", ""


@dataclass(slots=True)
class Group:
    """Counts of one birthplace."""

    key: Key
    dead: int = 0
    lifetimes: Counter[int] = field(default_factory=Counter)
    samples: list[BirthSample] = field(default_factory=list)


class Groups:
    """All birthplaces of one process; bounded, the rest goes to one group per kind."""

    def __init__(self, begin_ns: int) -> None:
        self._begin_ns = begin_ns
        self._groups: dict[Key, Group] = {}

    def join(self, seen: Seen, key: Key) -> None:
        """Put a descriptor into its group."""
        if key not in self._groups and len(self._groups) >= MAX_GROUPS:
            key = (key[0], "created", "other")
        if key not in self._groups:
            self._groups[key] = Group(key, samples=[BirthSample(self._begin_ns, 0, 0, 0)])
        seen.group = key

    def bury(self, seen: Seen, interval_ns: int) -> None:
        """Count a descriptor of a group that went.

        It lived at least from first to last look, at most one interval longer at each end: the middle is taken.
        """
        if seen.group is None:
            return
        group = self._groups[seen.group]
        group.dead += 1
        lived_ns = seen.last_ns - seen.first_ns + interval_ns
        group.lifetimes[max(lived_ns, 1).bit_length() - 1] += 1

    def sample(self, now_ns: int, alive: Iterable[Seen]) -> None:
        """Take a sample of every group; when there are many, every second of the older ones goes."""
        counts = Counter(seen.group for seen in alive if not seen.is_before and seen.group is not None)
        for key, group in self._groups.items():
            living = counts[key]
            group.samples.append(BirthSample(now_ns, living + group.dead, group.dead, living))
            if len(group.samples) > MAX_SAMPLES:
                group.samples[1:-1] = group.samples[1:-1:2]

    def birthplaces(
        self, pid: int, now_ns: int, alive: Iterable[Seen], places: dict[int, str]
    ) -> tuple[list[Birthplace], dict[Key, int]]:
        """Return the birthplaces, most alive first, and their ids by group.

        Args:
            pid: whose they are.
            now_ns: end of the window.
            alive: the final table.
            places: what ``peers`` shows, by descriptor number.
        """
        members: dict[Key, list[Seen]] = {key: [] for key in self._groups}
        for seen in alive:
            if seen.group is not None and not seen.is_before:
                members[seen.group].append(seen)
        ordered = sorted(
            self._groups.values(),
            key=lambda group: (-len(members[group.key]), -group.dead, group.key),
        )
        found = [
            _birthplace(number, pid, group, members[group.key], now_ns, places)
            for number, group in enumerate(ordered, 1)
        ]
        return found, {group.key: number for number, group in enumerate(ordered, 1)}


def _birthplace(  # noqa: PLR0917  one place calls it
    number: int, pid: int, group: Group, members: list[Seen], now_ns: int, places: dict[int, str]
) -> Birthplace:
    kind, role, _ = group.key
    peers = Counter(place for seen in members if (place := places.get(seen.link.fd)))
    return Birthplace(
        id=number,
        pid=pid,
        kind=DescriptorKind(kind),
        syscall="snapshot",
        role=role,
        stack=None,
        births=len(members) + group.dead,
        deaths=group.dead,
        alive=len(members),
        lifetimes=tuple(
            LifetimeBucket(1 << power, 1 << power + 1, count)
            for power, count in sorted(group.lifetimes.items())
        ),
        ages_ns=tuple(sorted(now_ns - seen.first_ns for seen in members)),
        series=tuple(group.samples),
        peers=tuple(sorted(peers.items(), key=lambda item: (-item[1], item[0]))[:MAX_PEERS]),
    )
