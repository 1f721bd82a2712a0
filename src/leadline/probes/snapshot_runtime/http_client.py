"""HTTP/1 connections of ``net/http.Transport``: dialed for which host, idle, waiting for an answer, or with a body that is held.

Each connection has a goroutine in ``(*persistConn).readLoop``: it waits for bytes while the connection is idle or an answer is
due, and in a ``select`` for the program to finish with the body once it has handed the response over.

Sources: net/http/transport.go (persistConn, readLoop, writeLoop, roundTrip, getConn; bodyEOFSignal).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from leadline.evidence.kinds import Connection, Pool
from leadline.probes.snapshot_runtime.gotime import mono_of_time
from leadline.probes.snapshot_runtime.http_requests import find_requests
from leadline.probes.snapshot_runtime.scene import Scene
from leadline.probes.snapshot_runtime.words import signed_at, texts, words_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look, Words

__all__ = ["PersistConn", "Requests", "find_dialed", "find_persist_conns", "read"]

_READ_LOOP = "net/http.(*persistConn).readLoop"
_WRITE_LOOP = "net/http.(*persistConn).writeLoop"
_ROUND_TRIP = "net/http.(*persistConn).roundTrip"
_DIAL = "net/http.(*Transport).dialConn"
_GET_CONN = "net/http.(*Transport).getConn"
_BODY_READ = "net/http.(*bodyEOFSignal).Read"
_PEEK = "bufio.(*Reader).Peek"
_READ_RESPONSE = "net/http.(*persistConn).readResponse"
_SCHEMES = ("http", "https")
_MAX_HOST = 300
_RESPONSE_BODY = 64
"""Offset of the exported field http.Response.Body; all fields before it are exported, so the Go 1 promise keeps it."""
_SAMPLES = 3
_FIRST_PAGE = 4096
_MAX_SEARCHED_WORDS = 4_000_000


@dataclass(slots=True)
class PersistConn:
    """One HTTP/1 client connection while it is being told.

    Attributes:
        i: index of its readLoop goroutine.
        address: of the persistConn.
        fd, tls: its descriptor, and whether TLS lies between.
        scheme, host: as dialed; host is None when a proxy hides it.
        transport: address of its Transport.
        expected: answers that are due.
        buffer: address of its bufio.Reader.
        idle_mono_ns: when it last became idle; None when never or unknown.
        is_reused: it has been idle since it was dialed.
    """

    i: int
    address: int
    fd: int
    tls: bool
    scheme: str
    host: str | None
    transport: int
    expected: int
    buffer: int
    idle_mono_ns: int | None
    is_reused: bool


@dataclass(slots=True)
class Requests:
    """Goroutines that work with connections, by the connection's descriptor, and what these were asked for."""

    waiting: dict[int, int] = field(default_factory=dict)
    reading: dict[int, int] = field(default_factory=dict)
    knowing: dict[int, set[int]] = field(default_factory=dict)
    write_loops: dict[int, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)


def read(process: GoProcess, look: Look, found: Found) -> None:
    """Put a Connection for each recognised HTTP/1 client connection, and a Pool for each Transport.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    scene = Scene(process, look, found)
    conns = find_persist_conns(scene)
    if not conns:
        return
    requests = _requests(scene, conns)
    pools = _pools(scene, conns)
    for conn in conns:
        told = _tell(scene, conn, requests, pools[conn.transport])
        if told is not None:
            found.connections[conn.fd] = told
    _put_pools(scene, conns, pools)


def find_persist_conns(scene: Scene) -> list[PersistConn]:
    """Return the HTTP/1 client connections whose readLoop goroutine could be read.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    return _persist_conns(scene, _READ_LOOP, parked=True)


def find_dialed(scene: Scene) -> dict[int, PersistConn]:
    """Return connections by descriptor that a Transport is about to make: dialed, in the TLS handshake.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    return {conn.fd: conn for conn in _persist_conns(scene, _DIAL, parked=False)}


def _persist_conns(scene: Scene, function: str, *, parked: bool) -> list[PersistConn]:
    """Return the connections that goroutines have in the frame of a function."""
    look, offsets = scene.look, scene.process.offsets
    loops = scene.having(function)
    if not len(loops):
        return []
    objects = scene.objects(loops, (function,), lambda words: _check(scene, words), parked=parked)
    members = list(objects)
    rows, _ = scene.process.memory.gather(
        np.array([objects[i].address for i in members], np.uint64), offsets.need("persistConn.SIZE")
    )
    key = offsets.need("persistConn.cacheKey")
    scheme, addr = (offsets.need(f"connectMethodKey.{name}") + key for name in ("scheme", "addr"))
    schemes = texts(scene.process, words_at(rows, scheme), words_at(rows, scheme + 8))
    hosts = texts(scene.process, words_at(rows, addr), words_at(rows, addr + 8))
    conn = offsets.need("persistConn.conn")
    inside = scene.nets.of_interfaces(words_at(rows, conn), words_at(rows, conn + 8))
    transports = words_at(rows, offsets.need("persistConn.t")).tolist()
    buffers = words_at(rows, offsets.need("persistConn.br")).tolist()
    expected = signed_at(rows, offsets.need("persistConn.numExpectedResponses")).tolist()
    idle = offsets.need("persistConn.idleAt")
    walls, exts = words_at(rows, idle).tolist(), words_at(rows, idle + 8).tolist()
    reused = (rows[:, offsets.need("persistConn.reused")] != 0).tolist()
    answer: list[PersistConn] = []
    for n, i in enumerate(members):
        is_due = 0 <= expected[n] < 1 << 16
        if schemes[n] not in _SCHEMES or hosts[n] is None or inside.fds[n] != objects[i].value or not is_due:
            continue
        idle_ns = mono_of_time(walls[n], exts[n], scene.found.unix_minus_mono_ns)
        answer.append(
            PersistConn(
                i=i,
                address=objects[i].address,
                fd=objects[i].value,
                tls=bool(inside.tls[n]),
                scheme=schemes[n] or "",
                host=hosts[n] or None,
                transport=transports[n],
                expected=expected[n],
                buffer=buffers[n],
                idle_mono_ns=None if idle_ns is None or idle_ns > look.mono_ns + 1_000_000_000 else idle_ns,
                is_reused=reused[n],
            )
        )
    return answer


def _check(scene: Scene, addresses: Words) -> NDArray[np.int64]:
    """Return the descriptors of persistConns at addresses, -1 where there is none."""
    offsets = scene.process.offsets
    rows, are_read = scene.process.memory.gather(addresses, offsets.need("persistConn.SIZE"))
    key, conn = offsets.need("persistConn.cacheKey"), offsets.need("persistConn.conn")
    scheme_size = words_at(rows, key + offsets.need("connectMethodKey.scheme") + 8)
    addr_size = words_at(rows, key + offsets.need("connectMethodKey.addr") + 8)
    good = are_read & ((scheme_size == 4) | (scheme_size == 5)) & (addr_size <= _MAX_HOST)
    answer = np.full(len(addresses), -1, np.int64)
    if good.any():
        tabs, data = words_at(rows, conn)[good], words_at(rows, conn + 8)[good]
        answer[good] = scene.nets.of_interfaces(tabs, data).fds
    return answer


def _requests(scene: Scene, conns: Sequence[PersistConn]) -> Requests:
    """Return which goroutines wait for an answer, read a body, or have a response at hand."""
    requests = Requests()
    addresses = [conn.address for conn in conns]
    for function, place in ((_ROUND_TRIP, requests.waiting), (_WRITE_LOOP, requests.write_loops)):
        known = scene.known_objects(scene.having(function), (function,), addresses)
        place.update({conns[n].fd: i for i, n in known.items()})
    fds = {conn.fd for conn in conns}
    apart = []
    for i in scene.having(_BODY_READ).tolist():
        fd = scene.fd_of(i)
        if fd in fds:
            requests.reading[fd] = i
        else:
            apart.append(i)
    if apart:
        buffers = [conn.buffer for conn in conns]
        inside = (
            "net/http.(*body).Read",
            "net/http.(*body).readLocked",
            _BODY_READ,
            "io.(*LimitedReader).Read",
        )
        for i, n in scene.known_objects(np.array(apart, np.int64), inside, buffers).items():
            requests.reading.setdefault(conns[n].fd, i)
    answered = [conn for conn in conns if _is_in_select(scene, conn)]
    _find_knowing(scene, answered, requests)
    # Until an answer has come only the goroutine that asked has the request.
    asking = {i: fd for fd, i in requests.waiting.items()}
    for function, by_index in ((_READ_LOOP, {conn.i: conn.fd for conn in answered}), (_ROUND_TRIP, asking)):
        told = find_requests(scene.process, scene.look, scene.sites, list(by_index), function)
        requests.texts.update({by_index[i]: text for i, text in told.items()})
    return requests


def _is_in_select(scene: Scene, conn: PersistConn) -> bool:
    """Return whether the readLoop waits for the program to finish with a body."""
    functions = scene.sites.functions(conn.i)
    inside = functions[: functions.index(_READ_LOOP)] if _READ_LOOP in functions else ()
    return (
        conn.expected == 0
        and "runtime.selectgo" in inside
        and all(name.startswith("runtime.") for name in inside)
    )


def _find_knowing(scene: Scene, held: Sequence[PersistConn], requests: Requests) -> None:
    """Find goroutines of the program that have the response or its body on their stack: they may still read it."""
    look = scene.look
    owner = _response_objects(scene, [conn for conn in held if conn.fd not in requests.reading])
    if not owner:
        return
    wanted = np.array(sorted(owner), np.uint64)
    budget = _MAX_SEARCHED_WORDS
    for i in np.flatnonzero(~look.is_system & (look.stack_of >= 0)).tolist():
        site = scene.sites.site(i)
        if site is None or budget <= 0:
            continue
        words = look.words(i)
        budget -= len(words)
        at = np.minimum(np.searchsorted(wanted, words), len(wanted) - 1)
        for address in words[wanted[at] == words].tolist():
            requests.knowing.setdefault(owner[address], set()).add(scene.goid(i))


def _response_objects(scene: Scene, conns: Sequence[PersistConn]) -> dict[int, int]:
    """Return the descriptors by address of the responses and bodies that readLoops have handed over."""
    groups: dict[int, list[PersistConn]] = {}
    for conn in conns:
        groups.setdefault(int(scene.look.stack_of[conn.i]), []).append(conn)
    answer: dict[int, int] = {}
    for members in groups.values():
        extent = scene.sites.extent(members[0].i, _READ_LOOP.__eq__)
        rows = [scene.look.words(conn.i)[slice(*extent)] for conn in members] if extent is not None else []
        width = min(map(len, rows), default=0)
        if not width:
            continue
        table = np.stack([row[:width] for row in rows])
        # Goroutines with the same stack have them at the same places of the frame.
        some = table[: _SAMPLES * 2]
        columns = np.flatnonzero(_are_responses(scene, some.reshape(-1)).reshape(some.shape).any(axis=0))
        for column in columns.tolist():
            good = _are_responses(scene, table[:, column])
            for n in np.flatnonzero(good).tolist():
                answer[int(table[n, column])] = members[n].fd
    return answer


def _are_responses(scene: Scene, words: Words) -> NDArray[np.bool_]:
    """Return which words are addresses of responses with a body, or of such bodies."""
    kind = scene.process.type_of_interface
    answer = np.zeros(len(words), np.bool_)
    likely = (words > _FIRST_PAGE) & (words < 1 << 47) & (words % 8 == 0)
    for place, types in ((0, {"*http.body"}), (_RESPONSE_BODY, {"*http.bodyEOFSignal", "*http.gzipReader"})):
        tabs, are_read = scene.process.memory.gather_words(words[likely] + np.uint64(place))
        tabs[~are_read] = 0
        good = [
            tab
            for tab in np.unique(tabs).tolist()
            if tab > _FIRST_PAGE and kind(tab, is_empty=False) in types
        ]
        answer[likely] |= np.isin(tabs, np.array(good, np.uint64))
    return answer


def _tell(scene: Scene, conn: PersistConn, requests: Requests, pool: int) -> Connection | None:
    functions = scene.sites.functions(conn.i)
    inside = functions[: functions.index(_READ_LOOP)] if _READ_LOOP in functions else ()
    writer = requests.write_loops.get(conn.fd)
    owner: int | None = None
    since: int | None = None
    if _is_in_select(scene, conn):
        owner = requests.reading.get(conn.fd)
        activity = "body-held" if owner is None else "body-reading"
    elif _READ_RESPONSE in inside or (_PEEK in inside and conn.expected):
        owner = requests.waiting.get(conn.fd)
        activity = "in-use" if writer is not None and _is_sending(scene, writer) else "awaiting-response"
    elif _PEEK in inside:
        activity, since = "idle", conn.idle_mono_ns
    else:
        return None
    loops = [conn.i, *([] if writer is None else [writer])]
    members = [*([] if owner is None else [owner]), *loops]
    return Connection(
        pid=scene.process.pid,
        fd=conn.fd,
        role="client",
        protocol="http/1.1",
        activity=activity,
        tls=conn.tls,
        scheme=conn.scheme,
        host=conn.host,
        owner_goid=None if owner is None else scene.goid(owner),
        goids=tuple(scene.goid(i) for i in members),
        site=None if owner is None else scene.sites.site(owner),
        known_to_goids=tuple(sorted(requests.knowing.get(conn.fd, ()))),
        pool=pool,
        since_mono_ns=since,
        request=None if activity == "idle" else requests.texts.get(conn.fd),
        is_reused=conn.is_reused,
    )


def _is_sending(scene: Scene, i: int) -> bool:
    """Return whether a writeLoop is in a request, rather than waiting for the next."""
    functions = scene.sites.functions(i)
    inside = functions[: functions.index(_WRITE_LOOP)] if _WRITE_LOOP in functions else ()
    return any(not name.startswith("runtime.") for name in inside)


def _pools(scene: Scene, conns: Sequence[PersistConn]) -> dict[int, int]:
    """Return the number of the pool by address of the Transport."""
    first = max((pool.id for pool in scene.found.pools), default=0) + 1
    return {address: first + n for n, address in enumerate(dict.fromkeys(conn.transport for conn in conns))}


def _put_pools(scene: Scene, conns: Sequence[PersistConn], pools: dict[int, int]) -> None:
    found, memory = scene.found, scene.process.memory
    members: dict[int, list[PersistConn]] = {}
    for conn in conns:
        members.setdefault(conn.transport, []).append(conn)
    addresses = list(pools)
    waiting: dict[int, list[int]] = {}
    for i, n in scene.known_objects(scene.having(_GET_CONN), (_GET_CONN,), addresses).items():
        waiting.setdefault(addresses[n], []).append(scene.goid(i))
    limit = scene.process.offsets.get("Transport.MaxConnsPerHost")
    for address, number in pools.items():
        own = members[address]
        hosts = sorted({conn.host for conn in own if conn.host})
        activities = [found.connections[conn.fd].activity for conn in own if conn.fd in found.connections]
        idle = activities.count("idle")
        most = None if limit is None else memory.word(address + limit)
        found.pools.append(
            Pool(
                id=number,
                pid=scene.process.pid,
                kind="net/http.Transport",
                name=", ".join(hosts[:8]),
                open=len(own),
                in_use=len(activities) - idle if len(activities) == len(own) else None,
                idle=idle if len(activities) == len(own) else None,
                # The limit is for each host: with several it does not bound the pool.
                max_open=most
                if most == 0 or (most is not None and most < 1 << 31 and len(hosts) == 1)
                else None,
                waiting_goids=tuple(sorted(waiting.get(address, ()))),
                fds=tuple(sorted(conn.fd for conn in own)),
            )
        )
