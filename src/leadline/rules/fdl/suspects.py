"""Which of a birthplace's living descriptors are under suspicion, by what their sockets say.

* **Accepted TCP**: only those whose peer has gone (CLOSE_WAIT, CLOSE). As long as the peer is connected, an open
  descriptor is what a server should have: thousands of idle websockets are healthy.
* **Dialed TCP** that a pool made (net/http, database/sql): a pool never dials while it has an idle connection to that
  peer. So one that fell silent *before* a later dial to the same peer was made is not in the pool any more: nobody can
  reuse it. Those that are busy up to the end are in use.
* **Dialed TCP** without a pool: in use when data moved long after it was dialed and not long ago.
* Everything else: all living.

Where the Go runtime was read, what the goroutines do has the last word: a connection that is idle in a pool which it shares
with others, or that a goroutine works with, is healthy because of that. An answer that nobody reads, and a connection that
nobody waits on, are suspicious whatever the socket says; a goroutine that is merely parked on it excuses nothing, unless it
runs now and then or has a deadline.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from leadline.evidence.kinds import DescriptorKind
from leadline.evidence.owners import Hold

if TYPE_CHECKING:
    from leadline.evidence.kinds import Birthplace, Descriptor, SocketState
    from leadline.evidence.owners import Owner
    from leadline.rules.table import Table

__all__ = ["Living", "Standing", "is_pooled", "living_of"]

MS = 10**6
S = 10**9

SETTLED_MS = 1000
"""A peer's FIN, or data in the receive queue, is unattended only after this time; a busy server needs some of it."""
DIAL_MARGIN_NS = 250 * MS
"""A connection counts as free for a later dial when it was silent this long before: covers a dial that was under way."""
REUSED_NS = 1 * S
"""Data this long after the dial means that the connection was used again."""
HELD_NS = 5 * S
"""An answer counts as held when nothing has moved on its connection for so long; reading begins within milliseconds."""
ALONE_MIN = 3
"""So many idle connections, most in a pool of their own, are those of a client that makes a pool for each request."""

_GONE = frozenset({"CLOSE_WAIT", "CLOSE", "LAST_ACK", "CLOSING"})
_POOLS = (
    "net/http.(*Transport)",
    "net/http.(*http2Transport)",
    "database/sql.(*DB)",
    "golang.org/x/net/http2.(*",
)


class Standing(StrEnum):
    """What a living descriptor's socket says of it."""

    PEER_GONE = "peer-gone"  # the peer has closed, we have not
    NEWLY_GONE = "newly-gone"  # accepted, and the peer has closed this moment
    UNREAD = "unread"  # data waits and nobody reads it
    FORGOTTEN = "forgotten"  # a pool dialed again although this one was silent
    WAITING = "waiting"  # we have sent, nothing ever came back
    SILENT = "silent"  # no data since soon after the dial
    UNKNOWN = "unknown"  # no socket state
    CONNECTING = "connecting"  # a dial under way
    IN_USE = "in-use"  # data moved lately
    LIVE_PEER = "live-peer"  # accepted, and the peer is connected
    PLAIN = "plain"  # not a TCP socket
    OWNED_IDLE = "owned-idle"  # idle in a pool, or kept alive between two requests
    OWNED_IN_USE = "owned-in-use"  # a goroutine works with it
    HELD = "held"  # an answer has come, and nobody reads or closes it
    NO_GOROUTINE = "no-goroutine"  # no goroutine waits on it or works with it

    @property
    def is_suspect(self) -> bool:
        """Return whether it may be leaked."""
        return self not in _EXCUSED

    @property
    def is_owned(self) -> bool:
        """Return whether what its goroutine does excuses it."""
        return self in {Standing.OWNED_IDLE, Standing.OWNED_IN_USE}


_EXCUSED = frozenset(
    {
        Standing.CONNECTING,
        Standing.IN_USE,
        Standing.LIVE_PEER,
        Standing.NEWLY_GONE,
        Standing.OWNED_IDLE,
        Standing.OWNED_IN_USE,
    }
)
_LOST = frozenset({Standing.FORGOTTEN, Standing.UNREAD, Standing.PEER_GONE, Standing.HELD})
_UNTOLD = frozenset({Standing.SILENT, Standing.WAITING, Standing.PLAIN, Standing.UNKNOWN})
_ON_CPU = frozenset({"running", "runnable"})


@dataclass(frozen=True, slots=True)
class Living:
    """The living of one birthplace, sorted by standing.

    Attributes:
        ages_ns: of the suspects, ascending.
        suspects: descriptors under suspicion; empty when only ages are known.
        standings: how many have each standing.
        states: how many suspects are in each TCP state.
        gone_ages_ns: ages of those whose peer has gone, ascending.
        is_proven: each suspect is lost by what its pool did later; ages are then times since its last use.
        earlier: suspects that were dialed before the window, used in it, and lost in it.
        all_ages_ns: of all living, ascending.
        owners: of the suspects, in their order; empty when the Go runtime was not read.
        excused_owners: of the others, likewise.
    """

    ages_ns: tuple[int, ...]
    suspects: tuple[Descriptor, ...] = ()
    standings: Counter[Standing] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    gone_ages_ns: tuple[int, ...] = ()
    is_proven: bool = False
    earlier: int = 0
    all_ages_ns: tuple[int, ...] = ()
    owners: tuple[Owner, ...] = ()
    excused_owners: tuple[Owner, ...] = ()

    @property
    def excused(self) -> int:
        """Return how many are not under suspicion."""
        return sum(count for standing, count in self.standings.items() if not standing.is_suspect)


def is_pooled(functions: tuple[str, ...]) -> bool:
    """Return whether the stack shows a connection pool that reuses idle connections before it dials."""
    return any(function.startswith(_POOLS) for function in functions)


def living_of(table: Table, birthplace: Birthplace) -> Living:
    """Return the living of a birthplace with the suspects among them."""
    descriptors = table.living.get(birthplace.id, [])
    if len(descriptors) != birthplace.alive:
        # The table and the counts disagree (interim look, or a process that ended): ages are all there is.
        ages_ns = tuple(sorted(birthplace.ages_ns))
        unknown = Counter({Standing.UNKNOWN: birthplace.alive})
        return Living(ages_ns, standings=unknown, all_ages_ns=ages_ns)
    end_ns = table.end_ns(birthplace.pid)
    pooled = (birthplace.kind, birthplace.role) == (DescriptorKind.TCP, "dialed") and is_pooled(
        table.functions(birthplace)
    )
    earlier: list[Descriptor] = []
    if pooled:
        earlier = _used_lately(table, birthplace, {table.key(descriptor) for descriptor in descriptors})
        standings = _pooled(table, [*descriptors, *earlier], end_ns)
        earlier = [
            descriptor
            for descriptor, standing in zip(earlier, standings[len(descriptors) :], strict=True)
            if standing in _LOST
        ]
        standings = [*standings[: len(descriptors)], *([Standing.FORGOTTEN] * len(earlier))]
    else:
        standings = _standings(table, birthplace, descriptors, end_ns)
    everyone = [*descriptors, *earlier]
    is_read = table.owners.was_read(birthplace.pid)
    owners = [table.owners.get(found.pid, found.fd) for found in everyone] if is_read else []
    if is_read:
        standings = _by_owners(standings, owners)
    suspects = [
        (descriptor, standing)
        for descriptor, standing in zip(everyone, standings, strict=True)
        if standing.is_suspect
    ]
    lost = sum(standing in _LOST for _, standing in suspects)
    is_proven = pooled and lost * 2 > len(suspects)
    age_ns = _idle_ns if is_proven else _age_ns
    states = Counter(socket.state for found, _ in suspects if (socket := table.socket(found)) is not None)
    gone = (_age_ns(table, found, end_ns) for found, standing in suspects if standing is Standing.PEER_GONE)
    return Living(
        ages_ns=tuple(sorted(age_ns(table, descriptor, end_ns) for descriptor, _ in suspects)),
        suspects=tuple(descriptor for descriptor, _ in suspects),
        standings=Counter(standings),
        states=states,
        gone_ages_ns=tuple(sorted(gone)),
        is_proven=is_proven,
        earlier=sum(standing.is_suspect for standing in standings[len(descriptors) :]),
        all_ages_ns=tuple(sorted(_age_ns(table, descriptor, end_ns) for descriptor in descriptors)),
        owners=tuple(owner for owner, found in zip(owners, standings, strict=False) if found.is_suspect),
        excused_owners=tuple(
            owner for owner, found in zip(owners, standings, strict=False) if not found.is_suspect
        ),
    )


def _by_owners(standings: list[Standing], owners: list[Owner]) -> list[Standing]:
    """Return standings in which what the goroutines do has the last word, where it tells."""
    idle = [owner.pool.id for owner in owners if owner.hold is Hold.POOLED and owner.pool is not None]
    is_pool_each = len(idle) >= ALONE_MIN and len(set(idle)) * 2 > len(idle)
    return [
        _by_owner(standing, owner, is_pool_each=is_pool_each)
        for standing, owner in zip(standings, owners, strict=True)
    ]


def _by_owner(standing: Standing, owner: Owner, *, is_pool_each: bool) -> Standing:
    hold = owner.hold
    if standing is Standing.CONNECTING or hold is Hold.UNKNOWN:
        return standing
    if hold is Hold.NOBODY:
        return _without_goroutine(standing, owner)
    if _is_held(owner):
        if owner.is_handed_on:
            return Standing.OWNED_IN_USE
        is_settled = standing in _LOST or (owner.silent_ns is not None and owner.silent_ns >= HELD_NS)
        return Standing.HELD if is_settled else standing
    if standing in {Standing.PEER_GONE, Standing.NEWLY_GONE, Standing.UNREAD}:
        return Standing.OWNED_IN_USE if _is_on_cpu(owner) else standing
    if hold is Hold.POOLED:
        is_server = owner.connection is not None and owner.connection.role == "server"
        return Standing.OWNED_IDLE if is_server or (owner.pool is not None and not is_pool_each) else standing
    return Standing.OWNED_IN_USE if _is_worked_with(owner) else standing


def _without_goroutine(standing: Standing, owner: Owner) -> Standing:
    """Return the standing of a descriptor that no goroutine waits on: a live peer excuses it while anything may reach it."""
    is_socket = owner.descriptor is not None and owner.descriptor.kind.is_socket
    is_unreachable = owner.retention is not None and owner.retention.verdict == "unreachable"
    if is_socket and (standing in _UNTOLD or (standing is Standing.LIVE_PEER and is_unreachable)):
        return Standing.NO_GOROUTINE
    return standing


def _is_held(owner: Owner) -> bool:
    """Return whether an answer, or rows, are held: by what the connection's layer tells, or its pool of nobody's holders."""
    if owner.hold is Hold.HELD:
        return True
    if owner.connection is None or not owner.connection.held_by or owner.pool is None:
        return False
    return any(holder.fd == owner.fd and holder.goid is None for holder in owner.pool.holders)


def _is_on_cpu(owner: Owner) -> bool:
    return any(one.state in _ON_CPU for one in owner.goroutines)


def _is_worked_with(owner: Owner) -> bool:
    """Return whether a goroutine really uses it: runs, ran between two looks, reads an answer, accepts, or has a deadline."""
    activity = "" if owner.connection is None else owner.connection.activity
    if owner.hold is Hold.LISTENING:
        return owner.goroutine is not None
    if activity == "awaiting-response":
        return False
    if activity == "body-reading" or owner.moved or _is_on_cpu(owner):
        return True
    use = owner.use
    return use is not None and any(
        goid is not None and at_ns is not None and at_ns > 0
        for goid, at_ns in (
            (use.reader_goid, use.read_deadline_mono_ns),
            (use.writer_goid, use.write_deadline_mono_ns),
        )
    )


def _used_lately(table: Table, birthplace: Birthplace, keys: set[str]) -> list[Descriptor]:
    """Return connections of the same pool from before the window that were still used in it."""
    found = []
    for descriptor in table.older(birthplace, keys - {""}):
        socket = table.socket(descriptor)
        silence_ns = None if socket is None else silent_ns(socket)
        if silence_ns is not None and silence_ns < table.window.duration_ns:
            found.append(descriptor)
    return found


def _standings(
    table: Table, birthplace: Birthplace, descriptors: list[Descriptor], end_ns: int
) -> list[Standing]:
    if birthplace.kind is DescriptorKind.UNIX and birthplace.role == "accepted":
        return [_unix(table.socket(descriptor)) for descriptor in descriptors]
    if birthplace.kind is not DescriptorKind.TCP or birthplace.role not in {"dialed", "accepted"}:
        return [Standing.PLAIN] * len(descriptors)
    if birthplace.role == "accepted":
        return _with_newly_gone([_accepted(table.socket(descriptor)) for descriptor in descriptors])
    return [_raw(table.socket(descriptor), _age_ns(table, descriptor, end_ns)) for descriptor in descriptors]


def _age_ns(_table: Table, descriptor: Descriptor, end_ns: int) -> int:
    born_ns = descriptor.born_mono_ns
    return max(end_ns - (descriptor.seen_since_mono_ns if born_ns is None else born_ns), 0)


def _idle_ns(table: Table, descriptor: Descriptor, end_ns: int) -> int:
    """Return the time since a connection was last used; its age when the kernel did not tell."""
    socket = table.socket(descriptor)
    silence_ns = None if socket is None else silent_ns(socket)
    age_ns = _age_ns(table, descriptor, end_ns)
    return age_ns if silence_ns is None else min(silence_ns, age_ns)


def silent_ns(socket: SocketState) -> int | None:
    """Return for how long no data has moved in either direction; None when the kernel did not tell."""
    ages_ms = [age for age in (socket.last_data_sent_ms, socket.last_data_recv_ms) if age is not None]
    return min(ages_ms) * MS if ages_ms else None


def _settled(age_ms: int | None) -> bool:
    return age_ms is None or age_ms >= SETTLED_MS


def _unix(socket: SocketState | None) -> Standing:
    if socket is None or socket.peer_inode is None:
        return Standing.UNKNOWN
    return Standing.LIVE_PEER if socket.peer_inode else Standing.PEER_GONE


def _accepted(socket: SocketState | None) -> Standing:
    if socket is None:
        return Standing.UNKNOWN
    if socket.state in _GONE:
        return Standing.PEER_GONE if _settled(socket.last_ack_recv_ms) else Standing.NEWLY_GONE
    return Standing.LIVE_PEER


def _with_newly_gone(standings: list[Standing]) -> list[Standing]:
    """Return standings in which those whose peer left this moment go with the others, if most others were left unattended."""
    gone = standings.count(Standing.PEER_GONE)
    if gone >= 3 and gone > standings.count(Standing.LIVE_PEER):
        return [Standing.PEER_GONE if found is Standing.NEWLY_GONE else found for found in standings]
    return standings


def _obvious(socket: SocketState | None) -> Standing | None:
    """Return the standing of a dialed socket where it does not depend on others; None for a live, read connection."""
    if socket is None:
        return Standing.UNKNOWN
    if socket.state == "SYN_SENT":
        return Standing.CONNECTING
    if socket.state in _GONE and socket.rport:
        return Standing.PEER_GONE if _settled(socket.last_ack_recv_ms) else Standing.IN_USE
    if (
        socket.rqueue_bytes
        and socket.last_data_recv_ms is not None
        and socket.last_data_recv_ms >= SETTLED_MS
    ):
        return Standing.UNREAD
    return None


def _raw(socket: SocketState | None, age_ns: int) -> Standing:
    obvious = _obvious(socket)
    if obvious is not None or socket is None:
        return obvious or Standing.UNKNOWN
    silence_ns = silent_ns(socket)
    if silence_ns is None:
        return Standing.SILENT
    if age_ns - silence_ns >= REUSED_NS and silence_ns <= age_ns // 2:
        return Standing.IN_USE
    return Standing.WAITING if _is_waiting(socket) else Standing.SILENT


def _is_waiting(socket: SocketState) -> bool:
    """Return whether something was sent and nothing ever came back."""
    sent = socket.bytes_sent if socket.bytes_sent is not None else socket.bytes_acked
    return bool(sent and sent > 1) and socket.bytes_received == 0


def _pooled(table: Table, descriptors: list[Descriptor], end_ns: int) -> list[Standing]:
    dials: dict[str, list[int]] = defaultdict(list)
    for descriptor in descriptors:
        if descriptor.born_mono_ns is not None:
            dials[table.key(descriptor)].append(descriptor.born_mono_ns)
    for times in dials.values():
        times.sort()
    standings: list[Standing] = []
    fresh: list[int] = []
    for index, descriptor in enumerate(descriptors):
        socket = table.socket(descriptor)
        obvious = _obvious(socket)
        if obvious is not None or socket is None:
            standings.append(obvious or Standing.UNKNOWN)
            continue
        if _is_waiting(socket):
            standings.append(Standing.WAITING)
            continue
        silence_ns = silent_ns(socket)
        if silence_ns is None:
            standings.append(Standing.SILENT)
            continue
        age_ns = _age_ns(table, descriptor, end_ns)
        times = dials[table.key(descriptor)]
        later = len(times) - bisect_right(times, end_ns - min(silence_ns, age_ns) + DIAL_MARGIN_NS)
        if later:
            standings.append(Standing.FORGOTTEN)
            continue
        if descriptor.born_mono_ns is not None and age_ns - silence_ns < REUSED_NS:
            fresh.append(index)
        standings.append(Standing.IN_USE)
    # The youngest were used once and have no later dial to prove anything: they go with the majority of their elders.
    forgotten = sum(standing in {Standing.FORGOTTEN, Standing.UNREAD} for standing in standings)
    if forgotten >= 3 and forgotten > standings.count(Standing.IN_USE) - len(fresh):
        for index in fresh:
            standings[index] = Standing.SILENT
    return standings
