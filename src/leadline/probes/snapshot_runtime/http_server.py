"""Connections of ``net/http.Server``: waiting for the first byte, in a header, a body or a handler, idle, or taken over.

Each connection has a goroutine in ``(*conn).serve``, whose stack tells what it does; the ``http.conn`` in its frame leads to the
descriptor, the state with its moment, and the limits of the server. During a handler another goroutine
(``(*connReader).backgroundRead``) may be parked on the descriptor, to notice that the client goes away.

Sources: net/http/server.go (conn, serve, readRequest, connReader, setState, Server).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.evidence.kinds import Connection
from leadline.probes.snapshot_runtime.http_requests import SERVER_SCHEMES, tell_requests
from leadline.probes.snapshot_runtime.libraries import protocol_of
from leadline.probes.snapshot_runtime.scene import Scene
from leadline.probes.snapshot_runtime.words import signed_at, words_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look, Words

__all__ = ["NO_LIMITS", "Limits", "ServerConn", "activity_of", "find_server_conns", "read", "server_limits"]

_SERVE = "net/http.(*conn).serve"
_HANDLER = "net/http.serverHandler.ServeHTTP"
_BACKGROUND = "net/http.(*connReader).backgroundRead"
_READ_REQUEST = "net/http.(*conn).readRequest"
_HTTP2 = ("http2serverConn).serve", "http2.(*serverConn).serve")
_HANDSHAKE = "crypto/tls.(*Conn).HandshakeContext"
_HEADER = frozenset(
    {
        "net/textproto.(*Reader).ReadMIMEHeader",
        "net/textproto.readMIMEHeader",
        "net/textproto.(*Reader).readContinuedLineSlice",
    }
)
_BODY = frozenset({"net/http.(*body).Read", "net/http.(*body).readLocked", "net/http.(*body).Close"})
_WRITE = "net/http.checkConnErrorWriter.Write"
_WITH_REQUEST = frozenset({"handler", "body", "writing", "hijacked"})
_NEW, _ACTIVE, _IDLE, _HIJACKED, _CLOSED = range(5)
_MAX_LIMIT_NS = 1 << 62
_MAX_UNIX_S = 1 << 34


class Limits(NamedTuple):
    """How long a server lets a client take, in ns, 0 without limit; and whether it was told to shut down. None is unknown."""

    read_ns: int | None = None
    header_ns: int | None = None
    idle_ns: int | None = None
    closing: bool | None = None


NO_LIMITS = Limits()


@dataclass(slots=True)
class ServerConn:
    """One connection of a server while it is being told.

    Attributes:
        i: index of its serve goroutine.
        fd: its descriptor.
        tls: whether TLS lies between.
        state: the http.ConnState that Go noted last; None when unknown.
        since_mono_ns: since when, to a second.
        hijacked: the handler took the connection over.
        buffered: bytes of the next request that have come and are not used yet.
        limits: of its server.
        reader: address of its connReader, 0 without one.
        request: method and path of the request that it serves; None without one.
    """

    i: int
    fd: int
    tls: bool = False
    state: int | None = None
    since_mono_ns: int | None = None
    hijacked: bool | None = None
    buffered: int | None = None
    limits: Limits = NO_LIMITS
    reader: int = 0
    request: str | None = None


def read(process: GoProcess, look: Look, found: Found) -> None:
    """Put a Connection for each connection that a goroutine of an HTTP/1 server serves.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    scene = Scene(process, look, found)
    backgrounds = _backgrounds(scene)
    for (
        fd,
        i,
    ) in backgrounds.items():  # it reads only while a handler runs, which may be on a CPU and have no stack
        goids = (scene.goid(i),)
        has_tls = "crypto/tls.(*Conn).Read" in scene.sites.functions(i)
        found.connections[fd] = Connection(
            pid=process.pid,
            fd=fd,
            role="server",
            protocol="http/1.1",
            activity="handler",
            tls=has_tls,
            goids=goids,
        )
    conns = find_server_conns(scene)
    doing: dict[tuple[object, ...], str | None] = {}
    for conn in conns:
        if scene.sites.has(conn.i, _is_http2):
            continue  # another reader tells of it
        goid = scene.goid(conn.i)
        parked = (
            "read"
            if scene.reads.get(goid) == conn.fd
            else "write"
            if scene.writes.get(goid) == conn.fd
            else ""
        )
        has_bytes = None if conn.buffered is None else conn.buffered > 0
        key = (int(look.stack_of[conn.i]), conn.state, conn.hijacked, has_bytes, parked)
        if key not in doing:
            doing[key] = activity_of(scene.sites.functions(conn.i), conn, parked=parked)
        activity = doing[key]
        if activity is not None:
            found.connections[conn.fd] = _tell(scene, conn, activity, backgrounds.get(conn.fd))


def find_server_conns(scene: Scene) -> list[ServerConn]:
    """Return the connections with a serve goroutine, as far as their descriptor is known.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    loops = scene.having(_SERVE)
    if not len(loops):
        return []
    offsets = scene.process.offsets
    objects = scene.objects(loops, (_SERVE,), lambda words: _check(scene, words), parked=True)
    members = list(objects)
    size = offsets.need("http.conn.hijackedv") + 8
    rows, _ = scene.process.memory.gather(np.array([objects[i].address for i in members], np.uint64), size)
    rwc = offsets.need("http.conn.rwc")
    tls = scene.nets.of_interfaces(words_at(rows, rwc), words_at(rows, rwc + 8)).tls.tolist()
    states = words_at(rows, offsets.need("http.conn.curState")).tolist()
    hijacked = (rows[:, offsets.need("http.conn.hijackedv")] != 0).tolist()
    servers = words_at(rows, offsets.need("http.conn.server")).tolist()
    readers = words_at(rows, offsets.need("http.conn.r")).tolist()
    buffers, ends = _buffered(scene, words_at(rows, offsets.need("http.conn.bufr")))
    limits = {server: server_limits(scene.process, server) for server in set(servers)}
    requests = _requests(scene, np.array([objects[i].address for i in members], np.uint64), rows)
    answer = [
        ServerConn(
            i=i,
            fd=objects[i].value,
            tls=tls[n],
            state=state if (state := states[n] & 0xFF) <= _CLOSED else None,
            since_mono_ns=_since(scene, states[n] >> 8),
            hijacked=hijacked[n],
            buffered=buffers[n] if ends[n] else None,
            limits=limits[servers[n]],
            reader=readers[n],
            request=requests[n],
        )
        for n, i in enumerate(members)
    ]
    # Where the object was not recognised, the stack alone tells of those that are parked on their descriptor.
    taken = {conn.fd for conn in answer}
    for i in loops.tolist():
        fd = scene.fd_of(i) if i not in objects else None
        if fd is not None and fd not in taken and not _is_elsewhere(scene.sites.functions(i)):
            answer.append(ServerConn(i=i, fd=fd))
    return answer


def server_limits(process: GoProcess, server: int) -> Limits:
    """Return the limits of the ``http.Server`` at an address; ReadHeaderTimeout and IdleTimeout fall back on ReadTimeout.

    Source: net/http/server.go, readHeaderTimeout and idleTimeout.
    """
    offsets = process.offsets
    places = [
        offsets.get(f"http.Server.{name}") for name in ("ReadTimeout", "ReadHeaderTimeout", "IdleTimeout")
    ]
    closing = offsets.get("http.Server.inShutdown")
    raw = process.memory.read(server, offsets.get("http.Server.SIZE") or 0)
    values: list[int | None] = []
    for place in places:
        piece = raw[place : place + 8] if place is not None else b""
        value = int.from_bytes(piece, "little", signed=True) if len(piece) == 8 else None
        values.append(None if value is None or abs(value) > _MAX_LIMIT_NS else max(value, 0))
    whole, header, idle = values
    number = (
        int.from_bytes(raw[closing : closing + 4], "little")
        if closing is not None and len(raw) >= closing + 4
        else 2
    )
    return Limits(whole, header or whole, idle or whole, None if number > 1 else number == 1)


def activity_of(functions: Sequence[str], conn: ServerConn, *, parked: str) -> str | None:
    """Return what a serve goroutine does, by its stack; None when it cannot be told.

    Args:
        functions: of its stack, leaf first.
        conn: what is known of the connection.
        parked: ``read`` or ``write`` when it is parked on this very descriptor, else empty.
    """
    inside = set(functions[: functions.index(_SERVE)] if _SERVE in functions else functions)
    if conn.hijacked or conn.state == _HIJACKED:
        return "hijacked"
    if _HANDSHAKE in inside:
        return "tls-handshake"
    if _HANDLER in inside:
        if parked == "read" and inside & _BODY:
            return "body"
        return "writing" if parked == "write" else "handler"
    if parked == "write" or _WRITE in inside:
        return "writing"
    if inside & _BODY:  # what the handler left of the body is read to its end
        return "body" if parked == "read" else None
    if parked != "read":
        return None
    if _READ_REQUEST in inside:
        if inside & _HEADER or conn.buffered:
            return "headers"
        if conn.state == _IDLE:
            return "headers"
        return "first-byte" if conn.buffered == 0 else None
    if conn.state == _IDLE or "bufio.(*Reader).Peek" in inside:
        return "first-byte" if conn.state == _NEW else "keep-alive"
    return None


def _is_elsewhere(functions: Sequence[str]) -> bool:
    """Return whether a serve goroutine may be parked on another descriptor than its own: in a handler it may."""
    return _HANDLER in functions or any(map(_is_http2, functions))


def _check(scene: Scene, addresses: Words) -> NDArray[np.int64]:
    """Return the descriptors of http.conns at addresses, -1 where there is none."""
    offsets, memory = scene.process.offsets, scene.process.memory
    rows, are_read = memory.gather(addresses, offsets.need("http.conn.hijackedv") + 8)
    rwc = offsets.need("http.conn.rwc")
    state = words_at(rows, offsets.need("http.conn.curState"))
    flag = rows[:, offsets.need("http.conn.hijackedv")]
    good = are_read & ((state & np.uint64(0xFF)) <= _CLOSED) & (flag <= 1)
    good &= (words_at(rows, offsets.need("http.conn.server")) > 4096) & (words_at(rows, rwc) > 4096)
    good &= (state >> 8 > 0) & (state >> 8 < _MAX_UNIX_S)
    reader, bufr = (words_at(rows, offsets.need(f"http.conn.{name}")) for name in ("r", "bufr"))
    good &= (reader != 0) | (bufr == 0)  # before the first request of a connection with TLS there is none
    places = np.flatnonzero(good & (reader != 0))
    back, known = memory.gather_words(reader[places] + np.uint64(offsets.need("http.connReader.conn")))
    good[places] = known & (back == addresses[places])
    answer = np.full(len(addresses), -1, np.int64)
    if good.any():
        answer[good] = scene.nets.of_interfaces(words_at(rows, rwc)[good], words_at(rows, rwc + 8)[good]).fds
    servers = words_at(rows, offsets.need("http.conn.server"))
    for server in np.unique(servers[answer >= 0]).tolist():
        if None in server_limits(scene.process, server):
            answer[servers == np.uint64(server)] = -1
    return answer


def _buffered(scene: Scene, readers: Words) -> tuple[list[int], list[bool]]:
    """Return how many unread bytes bufio.Readers hold, and whether that is known."""
    offsets = scene.process.offsets
    first, last = offsets.need("bufio.Reader.r"), offsets.need("bufio.Reader.w")
    rows, are_read = scene.process.memory.gather(readers, max(first, last) + 8)
    sizes = signed_at(rows, last) - signed_at(rows, first)
    are_read &= (sizes >= 0) & (sizes <= 1 << 30) & (readers != 0)
    return sizes.tolist(), are_read.tolist()


def _requests(scene: Scene, conns: Words, rows: NDArray[np.uint8]) -> list[str | None]:
    """Return what is served on http.conns now; None between requests and where it cannot be told."""
    offsets, memory = scene.process.offsets, scene.process.memory
    current, back, request = (
        offsets.get(name) for name in ("http.conn.curReq", "http.response.conn", "http.response.req")
    )
    if current is None or back is None or request is None:
        return [None] * len(conns)
    responses = words_at(rows, current)
    busy = np.flatnonzero((responses > 4096) & (responses < 1 << 47))
    parts, are_read = memory.gather(responses[busy], max(back, request) + 8)
    is_own = are_read & (words_at(parts, back) == conns[busy])
    found = np.zeros(len(conns), np.uint64)
    found[busy] = np.where(is_own, words_at(parts, request), np.uint64(0))
    return tell_requests(scene.process, found, SERVER_SCHEMES)


def _since(scene: Scene, unix_s: int) -> int | None:
    distance = scene.found.unix_minus_mono_ns
    if distance is None or not unix_s:
        return None
    mono_ns = unix_s * 1_000_000_000 - distance
    # It is noted to a second, so it may seem to lie before the boot by less than that.
    return (
        min(max(mono_ns, 1), scene.look.mono_ns)
        if -1_000_000_000 < mono_ns <= scene.look.mono_ns + 1_000_000_000
        else None
    )


def _backgrounds(scene: Scene) -> dict[int, int]:
    """Return the index of the backgroundRead goroutine by descriptor."""
    parked = ((scene.fd_of(i), i) for i in scene.having(_BACKGROUND).tolist())
    return {fd: i for fd, i in parked if fd is not None}


def _is_http2(function: str) -> bool:
    return function.endswith(_HTTP2)


def _tell(scene: Scene, conn: ServerConn, activity: str, background: int | None) -> Connection:
    functions = scene.sites.functions(conn.i)
    goid = scene.goid(conn.i)
    in_handler = _HANDLER in functions
    protocol = "http/1.1"
    if activity == "hijacked":
        protocol = protocol_of(functions).protocol or "tcp"
    is_noted = (activity, conn.state) in {
        ("first-byte", _NEW), ("tls-handshake", _NEW), ("keep-alive", _IDLE), ("handler", _ACTIVE), ("body", _ACTIVE),
        ("headers", _NEW), ("hijacked", _HIJACKED),
    }  # fmt: skip
    members = [conn.i, *([] if background is None else [background])]
    return Connection(
        pid=scene.process.pid,
        fd=conn.fd,
        role="server",
        protocol=protocol,
        activity=activity,
        tls=conn.tls or activity == "tls-handshake",
        owner_goid=goid,
        goids=tuple(scene.goid(i) for i in members),
        site=scene.sites.site(conn.i) if in_handler else None,
        handler=scene.sites.handler(conn.i) if in_handler else None,
        since_mono_ns=conn.since_mono_ns if is_noted else None,
        read_limit_ns=conn.limits.read_ns,
        header_limit_ns=conn.limits.header_ns,
        idle_limit_ns=conn.limits.idle_ns,
        server_closing=conn.limits.closing,
        request=conn.request if activity in _WITH_REQUEST else None,
    )
