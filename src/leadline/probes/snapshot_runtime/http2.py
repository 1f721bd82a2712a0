"""HTTP/2 connections, of clients and servers: of net/http, of golang.org/x/net/http2, and of gRPC.

A connection has one goroutine that reads frames; each open stream has its own goroutines, which have a pointer to the
connection or its stream in their frames. net/http's structures are known by release; of the other two only what a stack and the
connection's ``net.Conn`` prove is told.

Sources: net/http/h2_bundle.go and net/http/internal/http2 (ClientConn, clientStream, serverConn); google.golang.org/grpc,
internal/transport (http2Client, http2Server).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from leadline.evidence.kinds import Connection, Pool
from leadline.formats.gobinary import go_minor
from leadline.probes.snapshot_runtime.gotime import mono_of_time
from leadline.probes.snapshot_runtime.http_server import NO_LIMITS, Limits, find_server_conns
from leadline.probes.snapshot_runtime.maps import slot_words
from leadline.probes.snapshot_runtime.scene import Scene
from leadline.probes.snapshot_runtime.words import signed_at, words_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look, Words

__all__ = ["Package", "Streams", "client_activity", "read", "server_activity"]

_MAX_STREAMS = 1 << 20
_FIRST_PAGE = 4096
_TRANSPORT_WORDS = 64
_POOL_KEYS = 32  # of clientConnPool: Transport, mutex, conns, dialing, keys; the same since Go 1.9
_SWISS_MINOR = 24
_BUCKET_WORDS = 1 + 8 + 8 * 3 + 1
_GRPC_CLIENT = "google.golang.org/grpc/internal/transport.(*http2Client).reader"
_GRPC_SERVER = "google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams"
_GRPC_HANDLING = frozenset({"google.golang.org/grpc.(*Server).handleStream"})
_GRPC_WORDS = 48
"""How much of a gRPC transport is searched for its net.Conn."""


class Package(NamedTuple):
    """One copy of the HTTP/2 code: how its types are called, and whether their layout is that of the Go release."""

    path: str
    prefix: str
    is_known: bool

    def method(self, kind: str, name: str) -> str:
        """Return the full name of a method of a pointer type, such as ``net/http.(*http2ClientConn).readLoop``."""
        return f"{self.path}.(*{self.prefix}{kind}).{name}"


PACKAGES = (
    Package("net/http", "http2", is_known=True),
    Package("net/http/internal/http2", "", is_known=True),
    Package("golang.org/x/net/http2", "", is_known=False),
)


@dataclass(slots=True)
class Streams:
    """Goroutines of one connection's streams, by index.

    Attributes:
        open: streams as the connection counts them; None when unknown.
        asking: wait for the head of an answer.
        reading: read a body.
        sending: send the body of a request.
        requests: the goroutine that each stream of a client has.
        handlers: handlers of a server.
        loops: of the connection itself.
    """

    open: int | None = None
    asking: list[int] = field(default_factory=list)
    reading: list[int] = field(default_factory=list)
    sending: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    handlers: list[int] = field(default_factory=list)
    loops: list[int] = field(default_factory=list)


class _Held(NamedTuple):
    """A connection object: its address, descriptor, whether TLS lies between, index of the goroutine that has it."""

    address: int
    fd: int
    tls: bool
    i: int


def read(process: GoProcess, look: Look, found: Found) -> None:
    """Put a Connection for each recognised HTTP/2 connection.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    scene = Scene(process, look, found)
    for package in PACKAGES:
        _read_clients(scene, package)
        _read_servers(scene, package)
    _read_grpc(scene)


def client_activity(streams: Streams) -> str:
    """Return what a client connection does, by its streams; a body that nobody reads outweighs what goes on beside it."""
    count = streams.open if streams.open is not None else len(streams.requests)
    if not count:
        return "idle"
    busy = {*streams.asking, *streams.reading}
    if streams.open is not None and count > len(busy) + len(streams.sending):
        return "body-held"
    if streams.asking:
        return "awaiting-response"
    return "body-reading" if streams.reading else "in-use"


def server_activity(streams: Streams, functions: Callable[[int], Sequence[str]], *, writing: bool) -> str:
    """Return what a server connection does.

    Args:
        streams: of the connection.
        functions: gives the functions of a goroutine's stack.
        writing: a goroutine is parked until it can write to the connection.
    """
    if writing:
        return "writing"
    if streams.handlers:
        bodies = [any("equestBody).Read" in name for name in functions(i)) for i in streams.handlers]
        return "body" if all(bodies) else "handler"
    return "handler" if streams.open else "keep-alive"


# -- net/http and golang.org/x/net/http2 ----------------------------------------------------------------------


def _read_clients(scene: Scene, package: Package) -> None:
    read_loop = package.method("ClientConn", "readLoop")
    held = _conns(scene, read_loop, "http2ClientConn.tconn")
    if not held:
        return
    addresses = [one.address for one in held]
    by_conn = {one.address: Streams(loops=[one.i]) for one in held}
    counts, since = _counts(scene, package, addresses)
    for address, count in zip(addresses, counts, strict=True):
        by_conn[address].open = count
    do_request = package.method("clientStream", "doRequest")
    body_read = f"{package.path}.{package.prefix}transportResponseBody.Read"
    trips = (package.method("ClientConn", "roundTrip"), package.method("ClientConn", "RoundTrip"))
    for i, n in scene.known_objects(scene.having(*trips), trips, addresses).items():
        by_conn[addresses[n]].asking.append(i)
    for function, place in ((do_request, "requests"), (body_read, "reading")):
        for i, n in _through_stream(scene, function, addresses).items():
            getattr(by_conn[addresses[n]], place).append(i)
    hosts = _hosts(scene, addresses)
    send = package.method("clientStream", "writeRequestBody")
    for one, idle_ns in zip(held, since, strict=True):
        streams = by_conn[one.address]
        streams.sending = [i for i in streams.requests if send in scene.sites.functions(i)]
        owners = sorted(streams.asking or streams.reading)
        activity = client_activity(streams)
        _put(
            scene,
            one,
            streams,
            role="client",
            protocol="http/2",
            activity=activity,
            owners=owners,
            since=idle_ns if activity == "idle" else None,
            host=hosts.get(one.address),
        )
    _put_pools(scene, held, hosts)


def _hosts(scene: Scene, addresses: Sequence[int]) -> dict[int, str]:
    """Return the ``host:port`` that clients were dialed for, by address of the connection.

    The pool of a Transport points back to it, and has a map from its connections to their hosts.

    Source: net/http/h2_bundle.go and golang.org/x/net/http2, clientConnPool.
    """
    memory = scene.process.memory
    transports, _ = memory.gather_words(np.array(addresses, np.uint64))
    hosts: dict[int, str] = {}
    for transport in np.unique(transports).tolist():
        words = np.unique(memory.words(transport, _TRANSPORT_WORDS))
        words = words[(words > _FIRST_PAGE) & (words % 8 == 0)]
        firsts, are_read = memory.gather_words(words)
        for pool in words[are_read & (firsts == np.uint64(transport))].tolist():
            slots = slot_words(scene.process, memory.word(pool + _POOL_KEYS), 32)
            for address in addresses:
                for place in np.flatnonzero(slots == np.uint64(address)).tolist():
                    host = _host_in(scene, slots, place)
                    if host is not None:
                        hosts[address] = host
    return hosts


def _host_in(scene: Scene, slots: Words, place: int) -> str | None:
    """Return the first text of the slice of texts that belongs to a key in a map's memory."""
    if (go_minor(scene.process.go_version) or 0) < _SWISS_MINOR:  # eight keys, then eight elements
        bucket, key = place - place % _BUCKET_WORDS, place % _BUCKET_WORDS - 1
        place = bucket + 8 + 3 * key
    if place + 2 >= len(slots) or not 0 < slots[place + 2] < _MAX_STREAMS:
        return None
    text = scene.process.memory.words(int(slots[place + 1]), 2)
    host = scene.process.memory.text(int(text[0]), int(text[1])) if len(text) == 2 else None
    return host if host and host.isprintable() and ":" in host else None


def _put_pools(scene: Scene, held: Sequence[_Held], hosts: dict[int, str]) -> None:
    """Give the connections of each Transport a pool."""
    found = scene.found
    transports, are_read = scene.process.memory.gather_words(
        np.array([one.address for one in held], np.uint64)
    )
    members: dict[int, list[_Held]] = {}
    for one, transport, is_read in zip(held, transports.tolist(), are_read.tolist(), strict=True):
        if is_read and transport:
            members.setdefault(transport, []).append(one)
    for own in members.values():
        number = max((pool.id for pool in found.pools), default=0) + 1
        idle = 0
        for one in own:
            connection = found.connections[one.fd]
            idle += connection.activity == "idle"
            found.connections[one.fd] = msgspec.structs.replace(connection, pool=number)
        names = sorted({hosts[one.address] for one in own if one.address in hosts})
        found.pools.append(
            Pool(
                id=number,
                pid=scene.process.pid,
                kind="net/http.Transport",
                name=", ".join(names[:8]),
                open=len(own),
                in_use=len(own) - idle,
                idle=idle,
                fds=tuple(sorted(one.fd for one in own)),
            )
        )


def _read_servers(scene: Scene, package: Package) -> None:
    serve = package.method("serverConn", "serve")
    held = _conns(scene, serve, "http2serverConn.conn", parked=False)
    if not held:
        return
    addresses = [one.address for one in held]
    by_conn = {one.address: Streams(loops=[one.i]) for one in held}
    for (address, streams), count in zip(
        by_conn.items(), _server_counts(scene, package, addresses), strict=True
    ):
        by_conn[address].open = count
        streams.loops = [one.i for one in held if one.address == address]
    run = package.method("serverConn", "runHandler")
    for i, n in scene.known_objects(scene.having(run), (run,), addresses).items():
        by_conn[addresses[n]].handlers.append(i)
    readers = {
        fd: i
        for name in (
            package.method("serverConn", "readFrames"),
            package.method("serverConn", "readPreface.func1"),
        )
        for i in scene.having(name).tolist()
        if (fd := scene.fd_of(i)) is not None
    }
    limits = {conn.fd: conn.limits for conn in find_server_conns(scene)}
    preface = package.method("serverConn", "readPreface.func1")
    for one in held:
        streams = by_conn[one.address]
        reader = readers.get(one.fd)
        if reader is not None:
            streams.loops.append(reader)
        writing = scene.found.uses[one.fd].writer_goid is not None
        activity = server_activity(streams, scene.sites.functions, writing=writing)
        if reader is not None and preface in scene.sites.functions(reader):
            activity = "first-byte"
        _put(
            scene,
            one,
            streams,
            role="server",
            protocol="http/2",
            activity=activity,
            owners=sorted(streams.handlers),
            limits=limits.get(one.fd, NO_LIMITS),
        )


def _conns(scene: Scene, function: str, place: str, *, parked: bool = True) -> list[_Held]:
    """Return the connection objects in the frames of a function; ``place`` names the offset of their net.Conn."""
    loops = scene.having(function)
    if not len(loops):
        return []
    offset = scene.process.offsets.need(place)

    def check(addresses: Words) -> NDArray[np.int64]:
        rows, are_read = scene.process.memory.gather(addresses + np.uint64(offset), 16)
        fds = scene.nets.of_interfaces(words_at(rows, 0), words_at(rows, 8)).fds
        fds[~are_read] = -1
        return fds

    objects = scene.objects(loops, (function,), check, parked=parked)
    members = list(objects)
    addresses = np.array([objects[i].address for i in members], np.uint64)
    rows, _ = scene.process.memory.gather(addresses + np.uint64(offset), 16)
    tls = scene.nets.of_interfaces(words_at(rows, 0), words_at(rows, 8)).tls.tolist()
    return [
        _Held(objects[i].address, objects[i].value, is_tls, i) for i, is_tls in zip(members, tls, strict=True)
    ]


def _counts(
    scene: Scene, package: Package, addresses: Sequence[int]
) -> tuple[list[int | None], list[int | None]]:
    """Return the open streams of clients, and when they last had none; None where unknown."""
    nothing: list[int | None] = [None] * len(addresses)
    offsets = scene.process.offsets
    streams, idle = offsets.get("http2ClientConn.streams"), offsets.get("http2ClientConn.lastIdle")
    if not package.is_known or streams is None:
        return nothing, nothing
    places = np.array(addresses, np.uint64)
    tables, _ = scene.process.memory.gather_words(places + np.uint64(streams))
    lengths, are_read = scene.process.memory.gather_words(
        tables
    )  # a map begins with its length, in all releases
    counts = [
        int(length) if is_read and length < _MAX_STREAMS else None
        for length, is_read in zip(lengths.tolist(), are_read.tolist(), strict=True)
    ]
    if idle is None:
        return counts, nothing
    rows, _ = scene.process.memory.gather(places + np.uint64(idle), 16)
    walls, exts = words_at(rows, 0).tolist(), words_at(rows, 8).tolist()
    distance = scene.found.unix_minus_mono_ns
    since = [mono_of_time(wall, ext, distance) for wall, ext in zip(walls, exts, strict=True)]
    return counts, since


def _server_counts(scene: Scene, package: Package, addresses: Sequence[int]) -> list[int | None]:
    """Return the streams that clients have open at a server; None where unknown."""
    offset = scene.process.offsets.get("http2serverConn.curClientStreams")
    if not package.is_known or offset is None:
        return [None] * len(addresses)
    places = np.array(addresses, np.uint64) + np.uint64(offset)
    rows, are_read = scene.process.memory.gather(places, 8)
    numbers = (signed_at(rows, 0) & 0xFFFFFFFF).tolist()
    return [
        number if is_read and number < _MAX_STREAMS else None
        for number, is_read in zip(numbers, are_read.tolist(), strict=True)
    ]


def _through_stream(scene: Scene, function: str, addresses: Sequence[int]) -> dict[int, int]:
    """Return the connection of goroutines that have its stream in a frame, as index into ``addresses``, by goroutine.

    The connection is the first field of a clientStream.
    """
    chosen = scene.having(function)
    if not len(chosen):
        return {}
    known = {address: n for n, address in enumerate(addresses)}

    def check(words: Words) -> NDArray[np.int64]:
        firsts, are_read = scene.process.memory.gather_words(words)
        numbers = [known.get(first, -1) for first in firsts.tolist()]
        return np.where(are_read, np.array(numbers, np.int64), -1)

    return {i: one.value for i, one in scene.objects(chosen, (function,), check, unique=False).items()}


# -- gRPC -------------------------------------------------------------------------------------------------------


def _read_grpc(scene: Scene) -> None:
    """Tell of gRPC connections by the goroutine that reads their frames, and at servers by the handlers of their streams."""
    for function, role in ((_GRPC_CLIENT, "client"), (_GRPC_SERVER, "server")):
        readers = {fd: i for i in scene.having(function).tolist() if (fd := scene.fd_of(i)) is not None}
        handlers, is_complete = _grpc_handlers(scene) if readers and role == "server" else ({}, False)
        for fd, i in readers.items():
            owners = sorted(handlers.get(fd, ()))
            streams = Streams(open=len(owners) if is_complete else None, handlers=owners, loops=[i])
            # Without a handler a connection is between requests only if each handler was found to belong to another.
            activity = "handler" if owners else "keep-alive" if is_complete else "reading"
            has_tls = any(name.startswith("crypto/tls.") for name in scene.sites.functions(i))
            one = _Held(0, fd, has_tls, i)
            _put(scene, one, streams, role=role, protocol="grpc", activity=activity, owners=owners)


def _grpc_handlers(scene: Scene) -> tuple[dict[int, list[int]], bool]:
    """Return the goroutines of streams by descriptor of their connection, and whether the connection of each was found.

    The function that handles a stream has the transport as an interface value in its frame; its layout differs by release of
    gRPC, so the place of its net.Conn is searched.
    """
    chosen = scene.having(*_GRPC_HANDLING)
    transports: dict[int, int] = {}
    for i in chosen.tolist():
        extent = scene.sites.extent(i, _GRPC_HANDLING.__contains__)
        words = scene.look.words(i)[slice(*extent)] if extent is not None else ()
        for k in range(len(words) - 1):
            if scene.process.type_of_interface(int(words[k]), is_empty=False) == "*transport.http2Server":
                transports[i] = int(words[k + 1])
                break
    members = list(transports)
    addresses = np.array([transports[i] for i in members], np.uint64)
    rows, are_read = scene.process.memory.gather(addresses, 8 * _GRPC_WORDS)
    fds = np.full(len(members), -1, np.int64)
    for place in range(0, 8 * (_GRPC_WORDS - 1), 8) if members else ():
        missing = are_read & (fds < 0)
        if not missing.any():
            break
        fds[missing] = scene.nets.of_known(words_at(rows, place)[missing], words_at(rows, place + 8)[missing])
    answer: dict[int, list[int]] = {}
    for i, fd in zip(members, fds.tolist(), strict=True):
        if fd >= 0:
            answer.setdefault(fd, []).append(i)
    return answer, len(members) == len(chosen) and bool((fds >= 0).all())


def _put(
    scene: Scene,
    one: _Held,
    streams: Streams,
    *,
    role: str,
    protocol: str,
    activity: str,
    owners: Sequence[int],
    limits: Limits = NO_LIMITS,
    since: int | None = None,
    host: str | None = None,
) -> None:
    owner = owners[0] if owners else None
    members = list(dict.fromkeys([*owners, *streams.loops, *streams.requests, *streams.reading]))
    scene.found.connections[one.fd] = Connection(
        pid=scene.process.pid,
        fd=one.fd,
        role=role,
        protocol=protocol,
        activity=activity,
        tls=one.tls,
        scheme=None if host is None else "https" if one.tls else "http",
        host=host,
        owner_goid=None if owner is None else scene.goid(owner),
        goids=tuple(scene.goid(i) for i in members),
        site=None if owner is None else scene.sites.site(owner),
        handler=scene.sites.handler(owner) if owner is not None and role == "server" else None,
        since_mono_ns=since,
        streams=streams.open
        if streams.open is not None or role == "server"
        else (len(streams.requests) or None),
        read_limit_ns=limits.read_ns,
        header_limit_ns=limits.header_ns,
        idle_limit_ns=limits.idle_ns,
        server_closing=limits.closing,
    )
