"""Pools of database/sql: who waits for a connection, and what keeps the others out of the pool.

Every open ``sql.DB`` has a goroutine in ``connectionOpener`` whose stack leads to it. Its connections are the keys of ``DB.dep``;
those in use are held by the ``sql.Rows``, ``sql.Tx`` or ``sql.Conn`` that point to them, which are found on stacks, or one
pointer further, else on the heap, where forgotten ones lie until their memory is used again. ``(*Tx).awaitDone`` and
``(*Rows).awaitDone`` have them too: they tell what holds a connection, but no goroutine of the program.

Source: database/sql/sql.go (DB, driverConn, Rows, Tx, Conn, connectionOpener, conn, awaitDone).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from leadline.evidence.kinds import Connection, Pool, PoolHolder
from leadline.model import Unsupported
from leadline.probes.snapshot_runtime.known_by import is_pointer, stack_words
from leadline.probes.snapshot_runtime.maps import slot_words
from leadline.probes.snapshot_runtime.netfds import NetFds
from leadline.probes.snapshot_runtime.sites import Sites
from leadline.probes.snapshot_runtime.spans import PAGE_BYTES, read_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look, Words
    from leadline.probes.snapshot_runtime.spans import Spans

__all__ = ["read"]

KIND = "database/sql.DB"
MAX_POOLS = 64
MAX_CONNECTIONS = 20_000
MAX_GOROUTINES = 10_000
"""Goroutines whose stacks are searched for holders."""
MAX_OBJECTS = 200_000
"""Objects that are looked at one pointer away from stacks."""
MAX_SEARCHES = 64
"""Connections of one pool in which a way to the descriptor is searched."""
MAX_HEAP_BYTES = 64 << 20
"""Memory that is searched for holders that no stack leads to."""
MAX_DEPTH = 4
MAX_VISITED = 256
"""Pointers that are followed, and objects that are visited, below one driver connection."""
_MAX_WORDS = 128
_SOCKETS = frozenset({"*net.TCPConn", "*net.UnixConn", "*tls.Conn"})
_OPENER = "database/sql.(*DB).connectionOpener"
_WAIT = "database/sql.(*DB).conn"
_WATCHERS = frozenset({"database/sql.(*Tx).awaitDone", "database/sql.(*Rows).awaitDone"})
_DRIVER_CONN = "*sql.driverConn"
_DSN_CONNECTOR = "sql.dsnConnector"
_DEP_SLOT_BYTES = 24
"""A key of DB.dep is an interface, an element a map."""
_OBJECT_BYTES = 128
"""As much of Rows, Tx and Conn as is read; what tells them apart lies before."""
_MAX_CONNECTIONS_SANE = 1 << 20
_WAITING = 4
_NOBODY = -1
_KNOWN_PROTOCOLS = frozenset({"tcp", "unix", "tls", "sql"})
_TX, _CONN, _ROWS, _CALL = "*sql.Tx", "*sql.Conn", "*sql.Rows", "*sql.DB"
_ORDER = (_TX, _CONN, _ROWS, _CALL)
"""What must be ended to free a connection, outermost first; ``*sql.DB`` is a call that is under way."""


class _Use(NamedTuple):
    """One object on some goroutine's way that holds a connection; or on the heap, on the way of nobody."""

    how: str
    goroutine: int
    is_watcher: bool


@dataclass(slots=True)
class _Database:
    """One ``sql.DB``.

    Attributes:
        connections: addresses of its driverConns that are in use, and of those that are free.
    """

    pid: int
    address: int
    name: str
    open: int
    free: int
    max_open: int
    in_use: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)
    fds: dict[int, int] = field(default_factory=dict)
    tls: set[int] = field(default_factory=set)


def read(process: GoProcess, look: Look, found: Found) -> None:
    """Add a Pool for each open ``sql.DB``, and a Connection for each of its descriptors.

    Needs ``found.uses``. Waiting goroutines are those in ``(*DB).conn``; a connection that nothing was found to hold is told with
    ``unknown``: it may be held by an object on the heap, or be just on its way.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
        Unsupported: the heap cannot be read.
    """
    openers = look.with_function(lambda name: name == _OPENER)
    if not len(openers):
        return
    databases = _databases(process, look, openers)
    if not databases:
        return
    spans = read_spans(process)
    if spans is None:
        raise Unsupported("the spans of the heap were not found")
    sockets = _Sockets(process, found, spans)
    sites = Sites(process, look)
    for database in databases:
        _read_connections(process, sockets, database)
    waiting = _waiting(look, sites, databases)
    waiters = {i for members in waiting.values() for i in members}
    uses = _uses(process, look, spans, databases, waiters=waiters)
    for database in databases:
        _tell(look, found, sites, database, waiting=waiting.get(database.address, []), uses=uses)


def _tell(
    look: Look,
    found: Found,
    sites: Sites,
    database: _Database,
    *,
    waiting: list[int],
    uses: dict[int, list[_Use]],
) -> None:
    number = len(found.pools) + 1
    holders = []
    for dc in database.in_use:
        holder = _holder(look, sites, uses.get(dc, []), database.fds.get(dc))
        holders.append(holder)
        _tell_connection(found, database, dc, number, holder)
    for dc in database.idle:
        _tell_connection(found, database, dc, number, None)
    found.pools.append(
        Pool(
            id=number,
            pid=database.pid,
            kind=KIND,
            name=database.name,
            open=database.open,
            in_use=database.open - database.free,
            idle=database.free,
            max_open=database.max_open,
            waiting_goids=tuple(sorted(int(look.goids[i]) for i in waiting)),
            holders=tuple(sorted(holders, key=lambda one: (-1 if one.fd is None else one.fd, one.how))),
            fds=tuple(sorted(database.fds.values())),
        )
    )


def _holder(look: Look, sites: Sites, uses: list[_Use], fd: int | None) -> PoolHolder:
    """Return what keeps one connection: the outermost kind of object, and a goroutine of the program that has it."""
    if not uses:
        return PoolHolder(how="unknown", fd=fd)
    uses = sorted(uses, key=lambda use: (_ORDER.index(use.how), use.goroutine))
    mine = [use for use in uses if not use.is_watcher]
    if not mine:
        return PoolHolder(how=uses[0].how, fd=fd)
    i = mine[0].goroutine
    return PoolHolder(how=uses[0].how, fd=fd, goid=int(look.goids[i]), site=sites.site(i))


def _tell_connection(
    found: Found, database: _Database, dc: int, pool: int, holder: PoolHolder | None
) -> None:
    """Say of a descriptor that it belongs to the pool; what others told of its TLS and its goroutines stays."""
    fd = database.fds.get(dc)
    if fd is None:
        return
    known = found.connections.get(fd)
    goids = () if holder is None or holder.goid is None else (holder.goid,)
    one = Connection(
        pid=database.pid,
        fd=fd,
        role="client",
        protocol="sql" if known is None or known.protocol in _KNOWN_PROTOCOLS else known.protocol,
        activity="idle" if holder is None else "in-use",
        tls=dc in database.tls,
        owner_goid=None if holder is None else holder.goid,
        goids=goids,
        site=None if holder is None else holder.site,
        pool=pool,
        held_by="" if holder is None or holder.how == "unknown" else holder.how,
    )
    if known is not None:
        one = msgspec.structs.replace(
            one,
            tls=one.tls or known.tls,
            host=known.host,
            scheme=known.scheme,
            owner_goid=known.owner_goid if one.owner_goid is None else one.owner_goid,
            goids=tuple(dict.fromkeys((*goids, *known.goids))),
            site=one.site or known.site,
        )
    found.connections[fd] = one


# -- pools and their connections --------------------------------------------------------------------------


def _databases(process: GoProcess, look: Look, openers: NDArray[np.int64]) -> list[_Database]:
    found: dict[int, _Database] = {}
    for i in openers[:MAX_POOLS].tolist():
        words = look.words(i)[:256]
        for address in dict.fromkeys(words[is_pointer(words)].tolist()):
            database = found.get(address) or _database(process, address)
            if database is not None:
                found[address] = database
                break
    return list(found.values())


def _database(process: GoProcess, address: int) -> _Database | None:
    """Return the ``sql.DB`` at an address, None when there is none."""
    offsets = process.offsets
    words = process.memory.words(address, offsets.need("sql.DB.SIZE") // 8)
    if len(words) * 8 < offsets.need("sql.DB.SIZE"):
        return None

    def word(name: str, more: int = 0) -> int:
        return int(words[offsets.need(f"sql.DB.{name}") // 8 + more])

    connector = process.type_of_interface(word("connector"), is_empty=False)
    free, room, is_open = word("freeConn", 1), word("freeConn", 2), word("numOpen")
    limit = word("maxOpen")
    limit = 0 if limit >> 63 else limit
    if connector is None or not free <= room <= _MAX_CONNECTIONS_SANE or not is_open <= _MAX_CONNECTIONS_SANE:
        return None
    if free > is_open or limit >> 40 or not word("dep"):
        return None
    database = _Database(process.pid, address, connector, is_open, free, limit)
    if connector == _DSN_CONNECTOR:
        # dsn string, driver driver.Driver
        driver = process.memory.word(word("connector", 1) + 16)
        database.name = process.type_of_interface(driver, is_empty=False) or connector
    return database


class _Sockets:
    """Finds the descriptors below driver connections, whose types nobody knows: by following pointers to a ``net.Conn``.

    The way that led to it in one driver connection is tried first in the others of the same type.
    """

    def __init__(self, process: GoProcess, found: Found, spans: Spans) -> None:
        self._process = process
        self._nets = NetFds(process, found)
        self._spans = spans
        self._ways: dict[int, tuple[int, ...]] = {}

    def find(self, database: _Database, addresses: Words, tabs: Words, data: Words) -> None:
        """Note the descriptors of a pool's connections; none for what was not found, or was found twice.

        Args:
            database: the pool.
            addresses: of its driverConns.
            tabs: first word of each ``driverConn.ci``.
            data: second word of each.
        """
        found: dict[int, tuple[int, bool]] = {}
        searches = MAX_SEARCHES
        for address, tab, inner in zip(addresses.tolist(), tabs.tolist(), data.tolist(), strict=True):
            told = self._along(inner, self._ways.get(tab))
            if told is None and searches:
                searches -= 1
                way = self._search(inner)
                told = self._along(inner, way)
                if way is not None:
                    self._ways.setdefault(tab, way)
            if told is not None:
                found[address] = told
        times = Counter(fd for fd, _ in found.values())
        for address, (fd, is_tls) in found.items():
            if times[fd] == 1:
                database.fds[address] = fd
                if is_tls:
                    database.tls.add(address)

    def _along(self, address: int, way: tuple[int, ...] | None) -> tuple[int, bool] | None:
        """Return the descriptor at the end of a way of distances: through pointers to an interface value."""
        if way is None:
            return None
        for distance in way[:-1]:
            address = self._process.memory.word(address + distance)
        words = self._process.memory.words(address + way[-1], 2)
        return self._socket(words) if len(words) == 2 else None

    def _socket(self, words: Words) -> tuple[int, bool] | None:
        """Return descriptor and whether TLS lies between, for the two words of a ``net.Conn`` of Go's own."""
        if self._process.type_of_interface(int(words[0]), is_empty=False) not in _SOCKETS:
            return None
        conns = self._nets.of_interfaces(words[:1], words[1:])
        return (int(conns.fds[0]), bool(conns.tls[0])) if conns.fds[0] >= 0 else None

    def _search(self, address: int) -> tuple[int, ...] | None:
        """Return the shortest way from an object to an interface value that has a descriptor."""
        pending: list[tuple[int, tuple[int, ...]]] = [(address, ())]
        seen = {address}
        for here, way in pending:
            words = self._process.memory.words(here, self._words_left(here))
            usable = is_pointer(words)
            for k in np.flatnonzero(usable[:-1] & usable[1:]).tolist():
                if self._socket(words[k : k + 2]) is not None:
                    return (*way, 8 * k)
            if len(way) >= MAX_DEPTH:
                continue
            for k in np.flatnonzero(usable).tolist():
                target = int(words[k])
                if target not in seen and len(seen) < MAX_VISITED and self._words_left(target) > 1:
                    seen.add(target)
                    pending.append((target, (*way, 8 * k)))
        return None

    def _words_left(self, address: int) -> int:
        """Return how many words of the heap object at an address may be read; 0 when it is in none."""
        _, left = _bounds(self._spans, np.array([address], np.uint64))
        return min(int(left[0]) // 8, _MAX_WORDS)


def _bounds(spans: Spans, addresses: Words) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which addresses begin a heap object that may hold pointers, and how many bytes of theirs are left from there."""
    if not len(spans):
        return np.zeros(len(addresses), np.bool_), np.zeros(len(addresses), np.int64)
    span = spans.at(addresses)
    sizes = spans.object_bytes[span]
    inside = (addresses - spans.starts[span]).astype(np.int64) % sizes
    usable = (span >= 0) & spans.is_scannable[span]
    return usable & (inside == 0), np.where(usable, sizes - inside, 0)


def _read_connections(process: GoProcess, sockets: _Sockets, database: _Database) -> None:
    """Find the driverConns of a pool by its ``dep``, and their descriptors."""
    offsets = process.offsets
    dep = process.memory.word(database.address + offsets.need("sql.DB.dep"))
    words = slot_words(process, dep, _DEP_SLOT_BYTES)
    if len(words) < 2:
        return
    tabs, pointers = words[:-1], words[1:]
    candidates = pointers[is_pointer(pointers) & is_pointer(tabs)]
    tabs = tabs[is_pointer(pointers) & is_pointer(tabs)]
    is_conn = np.isin(
        tabs,
        [
            tab
            for tab in np.unique(tabs).tolist()
            if process.type_of_interface(tab, is_empty=False) == _DRIVER_CONN
        ],
    )
    addresses = np.unique(candidates[is_conn])[:MAX_CONNECTIONS]
    size = offsets.need("sql.driverConn.SIZE")
    rows, is_read = process.memory.gather(addresses, size)
    fields = rows.view(np.uint64)
    own = is_read & (fields[:, offsets.need("sql.driverConn.db") // 8] == database.address)
    # A slot that is free keeps the words of a connection that was closed.
    own &= rows[:, offsets.need("sql.driverConn.finalClosed")] == 0
    addresses, rows, fields = addresses[own], rows[own], fields[own]
    in_use = rows[:, offsets.need("sql.driverConn.inUse")] == 1
    interface = offsets.need("sql.driverConn.ci") // 8
    database.in_use = addresses[in_use].tolist()
    database.idle = addresses[~in_use].tolist()
    sockets.find(database, addresses, fields[:, interface], fields[:, interface + 1])


# -- goroutines -------------------------------------------------------------------------------------------


def _waiting(look: Look, sites: Sites, databases: list[_Database]) -> dict[int, list[int]]:
    """Return by pool the goroutines (indices) that wait for a connection."""
    found: dict[int, list[int]] = {}
    known = {database.address for database in databases}
    for i in look.with_function(lambda name: name == _WAIT).tolist():
        first = next((name for name in sites.functions(i) if not name.startswith("runtime.")), "")
        if first != _WAIT or look.statuses[i] != _WAITING:
            continue
        named = [word for word in look.words(i)[:128].tolist() if word in known]
        if named or len(known) == 1:
            found.setdefault(named[0] if named else databases[0].address, []).append(i)
    return found


def _uses(
    process: GoProcess, look: Look, spans: Spans, databases: list[_Database], *, waiters: set[int]
) -> dict[int, list[_Use]]:
    """Return by driverConn in use the objects that hold it, with the goroutine on whose way each was found.

    What a goroutine that waits for a connection has of one is left over from earlier, unless it lies in an object of its own.
    """
    wanted = {dc: database.address for database in databases for dc in database.in_use}
    if not wanted:
        return {}
    chosen = _candidates(look, len(wanted))
    words = stack_words(look, among=chosen)
    watchers = set(look.with_function(_WATCHERS.__contains__).tolist())
    talks = (
        set(look.with_function(lambda name: name.startswith("database/sql.")).tolist()) - watchers - waiters
    )
    addresses, inverse = np.unique(words.words, return_inverse=True)
    objects = _Objects(process, spans, wanted)
    rows, left = objects.read(addresses)
    direct = objects.holders(addresses, rows, left)
    found: dict[int, list[_Use]] = {}
    for place, owner in zip(inverse.tolist(), words.owners.tolist(), strict=True):
        address = int(addresses[place])
        if place in direct:
            how, dc = direct[place]
            found.setdefault(dc, []).append(_Use(how, owner, owner in watchers))
        elif address in wanted and owner in talks:
            found.setdefault(address, []).append(_Use(_CALL, owner, is_watcher=False))
    missing = {dc for dc in wanted if all(use.is_watcher for use in found.get(dc, ()))}
    if missing:
        _add_farther(
            objects, (rows, left), (inverse, words.owners), found, missing=missing, watchers=watchers
        )
    for how, dc in objects.on_heap({dc for dc in wanted if not found.get(dc)}):
        found.setdefault(dc, []).append(_Use(how, _NOBODY, is_watcher=True))
    return found


def _candidates(look: Look, in_use: int) -> NDArray[np.int64]:
    """Return goroutines that may hold connections: those in database/sql, and those of rare stacks."""
    stack_of = look.stack_of
    counts = np.bincount(stack_of[stack_of >= 0], minlength=1)
    is_rare = (stack_of >= 0) & (counts[np.maximum(stack_of, 0)] <= 4 * in_use + 64)
    talks = np.zeros(len(stack_of), np.bool_)
    talks[look.with_function(lambda name: name.startswith("database/sql."))] = True
    chosen = np.flatnonzero((is_rare | talks) & (stack_of >= 0) & ~look.is_system)
    order = np.argsort(~talks[chosen], kind="stable")
    return np.sort(chosen[order[:MAX_GOROUTINES]]).astype(np.int64)


def _add_farther(
    objects: _Objects,
    read: tuple[NDArray[np.uint8], NDArray[np.int64]],
    on_stacks: tuple[NDArray[np.int64], NDArray[np.int64]],
    found: dict[int, list[_Use]],
    *,
    missing: set[int],
    watchers: set[int],
) -> None:
    """Look one pointer further than stacks: what the program keeps in its own structs, and ``sql.Row``."""
    rows, left = read
    inner = rows.view(np.uint64)
    usable = is_pointer(inner) & (np.arange(inner.shape[1]) * 8 < left[:, None])
    targets = np.unique(inner[usable])
    if len(targets) > MAX_OBJECTS:
        return
    far = {
        int(targets[place]): told
        for place, told in objects.holders(targets, *objects.read(targets)).items()
        if told[1] in missing
    }
    if not far:
        return
    owners: dict[int, set[int]] = {}
    for place, owner in zip(on_stacks[0].tolist(), on_stacks[1].tolist(), strict=True):
        owners.setdefault(place, set()).add(owner)
    row, column = np.nonzero(usable & np.isin(inner, np.array(list(far), np.uint64)))
    for place, target in zip(row.tolist(), inner[row, column].tolist(), strict=True):
        how, dc = far[target]
        for owner in sorted(owners.get(place, ())):
            if owner not in watchers:
                found.setdefault(dc, []).append(_Use(how, owner, is_watcher=False))


class _Objects:
    """Recognises the Rows, Tx and Conn that hold connections in use.

    Args:
        process: the process.
        wanted: addresses of driverConns in use, with that of their DB.
    """

    def __init__(self, process: GoProcess, spans: Spans, wanted: dict[int, int]) -> None:
        self._process = process
        self._spans = spans
        self._wanted = wanted
        self._connections = np.array(sorted(wanted), np.uint64)

    def read(self, addresses: Words) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the first bytes at each address as rows, and how many of them belong to the same heap object."""
        _, left = _bounds(self._spans, addresses)
        chosen = np.flatnonzero(left > 0)
        rows = np.zeros((len(addresses), _OBJECT_BYTES), np.uint8)
        rows[chosen], is_read = self._process.memory.gather(addresses[chosen], _OBJECT_BYTES)
        left[chosen[~is_read]] = 0
        return rows, left

    def holders(
        self, addresses: Words, rows: NDArray[np.uint8], left: NDArray[np.int64]
    ) -> dict[int, tuple[str, int]]:
        """Return by row what object begins at an address and which driverConn it holds."""
        offsets = self._process.offsets
        words = rows.view(np.uint64)
        begins, _ = _bounds(self._spans, addresses)
        found: dict[int, tuple[str, int]] = {}
        column = offsets.need("sql.Rows.dc") // 8
        whole = begins & (left >= offsets.need("sql.Rows.closed"))
        for place in np.flatnonzero(whole & np.isin(words[:, column], self._connections)).tolist():
            if self._is_rows(rows[place]):
                found[place] = (_ROWS, int(words[place, column]))
        column = offsets.need("sql.Tx.dc") // 8
        whole = begins & (left > offsets.need("sql.Conn.done"))
        for place in np.flatnonzero(whole & np.isin(words[:, column], self._connections)).tolist():
            dc = int(words[place, column])
            if int(words[place, offsets.need("sql.Tx.db") // 8]) != self._wanted[dc]:
                continue
            how = self._tx_or_conn(rows[place])
            if how is not None:
                found[place] = (how, dc)
        return found

    def on_heap(self, missing: set[int]) -> list[tuple[str, int]]:
        """Return what objects of the heap hold some connections: of the sizes of Rows, Tx and Conn, as far as the limit goes."""
        if not missing or not len(self._spans):
            return []
        offsets, spans = self._process.offsets, self._spans
        least, most = offsets.need("sql.Conn.done"), offsets.need("sql.Rows.SIZE")
        sizes = spans.object_bytes
        chosen = np.flatnonzero(spans.is_scannable & (sizes > least) & (sizes <= most + most // 8))
        chosen = chosen[np.cumsum(spans.pages[chosen]) * PAGE_BYTES <= MAX_HEAP_BYTES]
        wanted = np.array(sorted(missing), np.uint64)
        begins: list[Words] = []
        for span in chosen.tolist():
            start, size = spans.starts[span], int(sizes[span])
            words = self._process.memory.words(int(start), size * int(spans.counts[span]) // 8)
            near = np.flatnonzero((words >= wanted[0]) & (words <= wanted[-1]))
            places = near[np.isin(words[near], wanted)] * 8
            begins.append(start + np.unique(places // size * size).astype(np.uint64))
        addresses = np.concatenate(begins) if begins else np.zeros(0, np.uint64)
        return [
            told for told in self.holders(addresses, *self.read(addresses)).values() if told[1] in missing
        ]

    def _is_rows(self, row: NDArray[np.uint8]) -> bool:
        """Return whether these are Rows that are not closed."""
        offsets = self._process.offsets
        words = row.view(np.uint64)
        rowsi = int(words[offsets.need("sql.Rows.rowsi") // 8])
        return (
            bool(words[offsets.need("sql.Rows.releaseConn") // 8])
            and int(row[offsets.need("sql.Rows.closed")]) == 0
            and self._process.type_of_interface(rowsi, is_empty=False) is not None
        )

    def _tx_or_conn(self, row: NDArray[np.uint8]) -> str | None:
        """Return which of the two it is, which begin alike; None when it is neither, or done."""
        offsets = self._process.offsets
        words = row.view(np.uint64)
        txi = int(words[offsets.need("sql.Tx.txi") // 8])
        if self._process.type_of_interface(txi, is_empty=False) is not None:
            return _TX if _flag(row, offsets.need("sql.Tx.done")) == 0 else None
        # Then done and releaseConnOnce.done must lie there, both numbers of four bytes.
        done = offsets.need("sql.Conn.done")
        return _CONN if _flag(row, done) == 0 and _flag(row, done + 4) <= 1 else None


def _flag(row: NDArray[np.uint8], place: int) -> int:
    """Return an atomic.Bool, or the int32 that it was before Go 1.19."""
    return int.from_bytes(row[place : place + 4].tobytes(), "little")
