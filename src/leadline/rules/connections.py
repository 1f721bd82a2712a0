"""What the rules of HTTP, TLS and goroutines share: connections with their owners, in groups, and how these grow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from leadline.contracts import RuleInfo
from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Pool,
    ProcessInfo,
    Retention,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.evidence.owners import Hold, Owner, OwnerBook
from leadline.model import Because, Cleared, Layer, Severity, Site, format_duration
from leadline.rules.limits import severity_of, time_left
from leadline.rules.survival import Assessment, Population, Shape, assess
from leadline.rules.table import Table, place, sites_of

__all__ = [
    "MIN_COUNT",
    "ConnectionNeeds",
    "Group",
    "Seen",
    "at",
    "connections",
    "healthy",
    "reference",
    "silence_of",
    "still_ns",
    "with_unsearched",
]

S = 10**9

MIN_COUNT = 5
"""As for leaks: fewer may be on their way."""
SEARCHED_RATIO = 0.8
"""Share of the searched connections of a place that must be alike for the rest to count as alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionNeeds:
    """Goroutines and connections as the Go runtime tells them. Sockets, births and what keeps them reachable sharpen it."""

    window: tuple[Window, ...]
    runtimes: tuple[GoRuntime, ...]
    connections: tuple[Connection, ...]
    goroutines: tuple[Goroutine, ...] | None = None
    uses: tuple[DescriptorUse, ...] | None = None
    stacks: tuple[Stack, ...] | None = None
    pools: tuple[Pool, ...] | None = None
    retentions: tuple[Retention, ...] | None = None
    descriptors: tuple[Descriptor, ...] | None = None
    sockets: tuple[SocketState, ...] | None = None
    processes: tuple[ProcessInfo, ...] | None = None
    birthplaces: tuple[Birthplace, ...] | None = None
    timeline: tuple[TimelineSample, ...] | None = None

    def joined(self) -> Seen:
        """Return the evidence joined."""
        table = Table.of(
            window=self.window,
            birthplaces=self.birthplaces,
            descriptors=self.descriptors,
            sockets=self.sockets,
            stacks=self.stacks,
            processes=self.processes,
            timeline=self.timeline,
        )
        book = OwnerBook.of(
            runtimes=self.runtimes,
            goroutines=self.goroutines,
            uses=self.uses,
            connections=self.connections,
            stacks=self.stacks,
            pools=self.pools,
            retentions=self.retentions,
            descriptors=self.descriptors,
            sockets=self.sockets,
            birthplaces=self.birthplaces,
        )
        return Seen(table, book, {one.pid: one for one in self.runtimes})


@dataclass(frozen=True, slots=True)
class Group:
    """Descriptors of one process that look alike; at least one.

    Attributes:
        birthplace: where most of them were made; None when it is not known of any.
    """

    pid: int
    members: tuple[Owner, ...]
    birthplace: Birthplace | None

    @property
    def count(self) -> int:
        """Return how many they are."""
        return len(self.members)

    @property
    def hosts(self) -> str:
        """Return the hosts that they lead to, most frequent first, such as ``http://api.test:80``; "" when unknown."""
        names = Counter(
            f"{one.connection.scheme or 'http'}://{one.connection.host}"
            for one in self.members
            if one.connection is not None and one.connection.host
        )
        ordered = sorted(names, key=lambda name: (-names[name], name))
        return ordered[0] if len(ordered) == 1 else ", ".join(ordered[:2]) + (" ..." if ordered[2:] else "")

    @property
    def parked(self) -> tuple[Site, ...]:
        """Return the place where most of their goroutines wait, with the program's own frames first; empty when unknown.

        Goroutines of net/http that only serve a connection whose answer is held are no such place.
        """
        sites = [
            site
            for one in self.members
            if (site := one.parked) is not None and (one.hold is not Hold.HELD or one.frame is not None)
        ]
        counts = Counter((site.function, site.file, site.line) for site in sites)
        if not counts:
            return ()
        most = max(counts, key=lambda key: (counts[key], str(key)))
        return tuple(site for site in sites if (site.function, site.file, site.line) == most)[:1]


@dataclass(frozen=True, slots=True)
class Seen:
    """The evidence of one run, joined."""

    table: Table
    book: OwnerBook
    runtimes: dict[int, GoRuntime]

    def owners(self, activities: Iterable[str] = (), *, role: str = "") -> list[Owner]:
        """Return the owners of connections with one of these activities (any when empty) and that role (any when "")."""
        wanted = frozenset(activities)
        return [
            one
            for one in self.book
            if one.connection is not None
            and (not wanted or one.connection.activity in wanted)
            and (not role or one.connection.role == role)
        ]

    def apart_ns(self, pid: int) -> int | None:
        """Return the time between the first and the last look at goroutines; None when there was one look only."""
        found = self.runtimes.get(pid)
        if found is None or found.passes < 2 or found.first_mono_ns is None or found.last_mono_ns is None:
            return None
        return found.last_mono_ns - found.first_mono_ns

    def age_ns(self, owner: Owner) -> int | None:
        """Return for how long a descriptor is known to have been open; None when it is not in the table."""
        if owner.descriptor is None:
            return None
        return max(self.table.end_ns(owner.pid) - owner.descriptor.seen_since_mono_ns, 0)

    def groups(self, owners: Iterable[Owner], key: Callable[[Owner], str]) -> list[Group]:
        """Return owners grouped by where they were made, the largest group first.

        Those whose birth was not seen join the largest group with the same key (such as a host), or make one of their own.
        """
        placed: defaultdict[tuple[int, int], list[Owner]] = defaultdict(list)
        unplaced: defaultdict[tuple[int, str], list[Owner]] = defaultdict(list)
        for one in owners:
            if one.birthplace is not None:
                placed[one.pid, one.birthplace.id].append(one)
            else:
                unplaced[one.pid, key(one)].append(one)
        found = [(pid, members) for (pid, _), members in placed.items()]
        for (pid, name), members in unplaced.items():
            alike = [
                others
                for other_pid, others in found
                if other_pid == pid and name in {key(one) for one in others}
            ]
            if alike:
                max(alike, key=len).extend(members)
            else:
                found.append((pid, members))
        groups = [Group(pid, tuple(members), _most_frequent(members)) for pid, members in found]
        return sorted(groups, key=lambda group: (-group.count, group.pid, group.members[0].fd))

    def growth(self, group: Group, *, is_lost: bool = False) -> Assessment:
        """Return whether the members of a group become more and more, from those that were made in the window.

        Args:
            group: its members are those under suspicion.
            is_lost: each member is known to be lost for good, so what was made at the same place and closed does not matter.
        """
        births = None if is_lost else group.birthplace
        ages = sorted(
            self.table.end_ns(one.pid) - one.descriptor.seen_since_mono_ns
            for one in group.members
            if one.descriptor is not None and one.descriptor.seen_since_mono_ns > self.table.begin_ns(one.pid)
        )
        return assess(
            Population(
                begin_ns=self.table.begin_ns(group.pid),
                end_ns=self.table.end_ns(group.pid),
                births=len(ages) if births is None else births.births,
                deaths=0 if births is None else births.deaths,
                alive=len(ages) if births is None else births.alive,
                ages_ns=tuple(ages),
                lifetimes=() if births is None else births.lifetimes,
                series=() if births is None else births.series,
                is_full=self.table.is_full(group.pid),
            )
        )

    def severity(self, pid: int, growth: Assessment) -> Severity:
        """Return how bad a leak is: by the time until the limit on descriptors, else medium, high when growing."""
        open_count, soft = self.table.open_count(pid), self.table.soft_limit(pid)
        left = time_left(open_count, soft, growth.rate_per_s, growth.rate_low, growth.rate_high)
        share = open_count / soft if open_count and soft else None
        return severity_of(left, share, is_growing=growth.rate_per_s is not None)

    def says_left(self, pid: int, growth: Assessment) -> str:
        """Return a sentence about the time until the limit on descriptors, "" when it cannot be told."""
        open_count, soft = self.table.open_count(pid), self.table.soft_limit(pid)
        left = time_left(open_count, soft, growth.rate_per_s, growth.rate_low, growth.rate_high)
        return "" if left is None else left.says()

    def acquired(self, group: Group) -> tuple[Site, ...]:
        """Return where a group's descriptors were made, most useful first; empty when it is not known."""
        return () if group.birthplace is None else sites_of(self.table, group.birthplace)

    def sites(self, group: Group) -> tuple[Site, ...]:
        """Return the place that made them and, beside it, the place where their goroutines wait."""
        acquired = self.acquired(group)
        return (*acquired[:1], *group.parked, *acquired[1:])

    def births(self, group: Group, growth: Assessment) -> tuple[Because, ...]:
        """Return what the births of a group say; empty when none was seen."""
        if group.birthplace is None or group.birthplace.id <= 0:
            return ()
        born = sum(one.birthplace is not None for one in group.members)
        by = f" at {place(group.birthplace.site)}" if group.birthplace.site is not None else ""
        grew = f"; {growth.reason}" if growth.shape is Shape.LEAKING else ""
        return (
            Because(
                evidence=f"birthplace:{group.birthplace.id}",
                layer=Layer.SYSCALL,
                says=f"{born} of them were made in the window{by}{grew}.",
            ),
        )


def connections(count: int) -> str:
    """Return ``1 connection``, ``23 connections``."""
    return f"{count} connection" if count == 1 else f"{count} connections"


def at(sites: Iterable[Site]) -> str:
    """Return `` at main.fetch (main.go:42)`` for the first place, `` for ...`` when it asked another goroutine, or ""."""
    first = next(iter(sites), None)
    if first is None or first.role == "parked":
        return ""
    return f" {'for' if first.role == 'caller' else 'at'} {place(first)}"


def reference(owner: Owner) -> str:
    """Return the evidence to point at: the connection, else the descriptor."""
    return f"{'descriptor' if owner.connection is None else 'connection'}:{owner.fd}"


def silence_of(owner: Owner) -> str:
    """Return `` and nothing has moved on it for 12 s``, "" when it is not known."""
    return (
        "" if owner.silent_ns is None else f"; no data has moved on it for {format_duration(owner.silent_ns)}"
    )


def still_ns(owner: Owner, seen: Seen) -> int | None:
    """Return for how long nothing is known to have happened on a connection; None when nothing tells.

    The longest of: time between two looks in which none of its goroutines ran, what the runtime noted of the wait, time since
    data moved on its socket, time since it is in its present activity.
    """
    told = [owner.silent_ns]
    if owner.moved is False:
        told.append(seen.apart_ns(owner.pid))
    if owner.goroutine is not None:
        told.append(owner.goroutine.waited_ns)
    if owner.connection is not None and owner.connection.since_mono_ns is not None:
        runtime = seen.runtimes.get(owner.pid)
        if runtime is not None and runtime.last_mono_ns is not None:
            told.append(max(runtime.last_mono_ns - owner.connection.since_mono_ns, 0))
    return max((value for value in told if value is not None), default=None)


def healthy(info: RuleInfo, subject: str, reason: str, *, pattern: str = "none", count: int = 0) -> Cleared:
    """Return the verdict where nothing was wrong."""
    return Cleared(
        code=info.code,
        name=info.name,
        subject=subject,
        reason=reason,
        pattern=pattern,
        count=count,
        kind="tcp",
    )


def with_unsearched(chosen: Iterable[Owner], abandoned: Iterable[Owner]) -> tuple[Owner, ...]:
    """Return those that a search of the heap decided, with those of the same place that were not searched.

    Only a part of many connections without a goroutine is searched. Of each place of which nearly all searched ones were chosen,
    the others are held to be alike.
    """
    chosen = tuple(chosen)
    taken = {(one.pid, one.fd) for one in chosen}
    counts = Counter(_made_at(one) for one in chosen)
    searched: Counter[tuple[int, int]] = Counter()
    others = []
    for one in abandoned:
        if one.birthplace is None:
            continue
        if one.retention is not None or (one.pid, one.fd) in taken:
            searched[_made_at(one)] += 1
        else:
            others.append(one)
    alike = {made for made, count in counts.items() if count >= SEARCHED_RATIO * searched[made] > 0}
    return (*chosen, *(one for one in others if _made_at(one) in alike))


def _made_at(owner: Owner) -> tuple[int, int]:
    return owner.pid, 0 if owner.birthplace is None else owner.birthplace.id


def _most_frequent(members: Iterable[Owner]) -> Birthplace | None:
    known = {one.birthplace.id: one.birthplace for one in members if one.birthplace is not None}
    counts = Counter(one.birthplace.id for one in members if one.birthplace is not None)
    if not counts:
        return None
    return known[min(counts, key=lambda number: (-counts[number], number))]
