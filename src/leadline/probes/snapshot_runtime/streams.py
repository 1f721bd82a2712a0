"""Connections that no recognised layer of net/http has: who accepts, reads or writes, and in which library's protocol.

A goroutine that is parked in the net package's own read, write or accept speaks for its descriptor. The protocol comes from a
library on its stack that is known, else it is the socket's network. A connection whose own port is one that this process
accepts on is a server's. Where net/http accepts on that port, now or at an earlier look, and the goroutine is none of
net/http's, a handler has taken it over.

Sources: net/net.go (conn), net/fd_unix.go (netFD), internal/poll/fd_unix.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from leadline.evidence.kinds import Connection
from leadline.probes.snapshot_runtime.http_ports import http_ports
from leadline.probes.snapshot_runtime.libraries import protocol_of
from leadline.probes.snapshot_runtime.netfds import SocketName
from leadline.probes.snapshot_runtime.scene import Scene
from leadline.probes.snapshot_runtime.stackwords import find_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadline.probes.snapshot_runtime.libraries import Library
    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look

__all__ = ["action_of", "read"]

_POLL = "internal/poll.(*FD)."
_NET = ("net.(*netFD).", "net.(*conn).", "net.(*rawConn).", "net.(*rawListener).")
_ACCEPT = frozenset({"internal/poll.(*FD).Accept", "net.(*netFD).accept"})
_CONNECT = frozenset({"net.(*netFD).connect", "internal/poll.(*FD).WaitWrite"})
_TLS = frozenset({"crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Write"})
_ASKING = frozenset({"redis", "sql", "mongodb", "cassandra", "smtp"})
"""Protocols whose client reads only what it has asked for."""
_SUBSCRIBED = ("PubSub)", "ListenerConn)", ").bgRead", "Subscriber)", "ReplicationConn)")
_HTTP_HANDLER = "net/http.serverHandler.ServeHTTP"
_OF_HTTP = frozenset(
    {
        "net/http.(*conn).serve", "net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop",
        "net/http.(*http2ClientConn).readLoop", "net/http.(*http2serverConn).readFrames",
        "net/http/internal/http2.(*ClientConn).readLoop", "net/http/internal/http2.(*serverConn).readFrames",
    }
)  # fmt: skip
"""Goroutines of net/http: a connection of theirs that its own reader did not tell of is between two states."""
_LEAF = 40
"""How many functions from the leaf may lie between the wait and the connection's own method."""


class _Waiter(NamedTuple):
    """One descriptor that no other reader told of."""

    fd: int
    action: str
    i: int
    library: Library


def read(process: GoProcess, look: Look, found: Found) -> None:
    """Put a Connection for each socket with a parked goroutine of which nothing was told yet.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    scene = Scene(process, look, found)
    waiters = _waiters(scene)
    accepting = [i for i in scene.having(*_ACCEPT).tolist() if scene.fd_of(i) is not None]
    names = _names(scene, [*(one.i for one in waiters), *accepting])
    own_ports = {names[i].port for i in accepting if i in names} - {0}
    of_http = http_ports(process, look, found) | found.http_ports
    for one in waiters:
        told = _tell(scene, one, names.get(one.i), own_ports)
        name = names.get(one.i)
        if name is not None and name.network.startswith("tcp") and name.port in of_http:
            told = _taken_over(scene, one, told)
        found.connections[one.fd] = told


def action_of(functions: Sequence[str]) -> str | None:
    """Return ``accepting``, ``reading`` or ``writing`` for a goroutine parked in the net package; None for any other stack.

    Args:
        functions: full names, leaf first.

    >>> action_of(["internal/poll.(*FD).Read", "net.(*netFD).Read", "net.(*conn).Read", "main.serve"])
    'reading'
    """
    inner = functions[:_LEAF]
    first = next((k for k, name in enumerate(inner) if name.startswith(_POLL)), None)
    if first is None:
        return None
    method = inner[first].removeprefix(_POLL)
    around = next((name for name in inner[first:] if not name.startswith(_POLL)), "")
    if not around.startswith(_NET) or _CONNECT.intersection(inner[: first + 3]):
        return None
    if method == "Accept":
        return "accepting"
    if method.startswith(("Read", "RawRead")):
        return "reading"
    return "writing" if method.startswith(("Write", "RawWrite", "SendFile", "Splice")) else None


def _taken_over(scene: Scene, one: _Waiter, told: Connection) -> Connection:
    """Return a connection of an HTTP server's port as one that a handler has taken over, unless a server's goroutine has it."""
    functions = scene.sites.functions(one.i)
    if told.role not in {"server", "other"} or not _OF_HTTP.isdisjoint(functions):
        return told
    if told.activity not in {"reading", "writing"}:
        return told
    return msgspec.structs.replace(told, role="server", activity="hijacked")


def _waiters(scene: Scene) -> list[_Waiter]:
    known: dict[int, tuple[str | None, Library]] = {}
    waiters = []
    for fd, use in scene.found.uses.items():
        if fd in scene.found.connections:
            continue
        for goid in (use.reader_goid, use.writer_goid):
            i = None if goid is None else scene.look.index_of_goid(goid)
            stack = -1 if i is None else int(scene.look.stack_of[i])
            if i is None or stack < 0:
                continue
            if stack not in known:
                functions = scene.sites.functions(i)
                is_of_http = not _OF_HTTP.isdisjoint(functions) and _HTTP_HANDLER not in functions
                known[stack] = None if is_of_http else action_of(functions), protocol_of(functions)
            action, library = known[stack]
            if action is not None:
                waiters.append(_Waiter(fd, action, i, library))
                break
    return waiters


def _names(scene: Scene, indices: Sequence[int]) -> dict[int, SocketName]:
    """Return network and own port of the sockets that goroutines are parked on, by index."""
    chosen = np.array(sorted(set(indices)), np.int64)
    expected = {i: fd for i in chosen.tolist() if (fd := scene.fd_of(i)) is not None}
    objects = find_objects(
        scene.look,
        scene.sites,
        chosen,
        lambda name: name.startswith(_POLL),
        scene.nets.of_poll_fds,
        expected=expected,
    )
    members = list(objects)
    names = scene.nets.names(np.array([objects[i].address for i in members], np.uint64))
    return dict(zip(members, names, strict=True))


def _tell(scene: Scene, one: _Waiter, name: SocketName | None, own_ports: set[int]) -> Connection:
    use = scene.found.uses[one.fd]
    functions = scene.sites.functions(one.i)
    network = (name.network if name is not None else "").rstrip("46")
    role = one.library.role
    activity = one.action
    if activity == "accepting":
        role = "listener"
    elif not role and name is not None and network == "tcp" and name.port in own_ports:
        role = "server"
    if role == "server" and one.library.protocol == "websocket":
        activity = "hijacked"  # a websocket begins as a request of an HTTP server
    elif role == "client" and activity == "reading" and one.library.protocol in _ASKING:
        is_subscribed = any(mark in function for function in functions for mark in _SUBSCRIBED)
        activity = "in-use" if is_subscribed else "awaiting-response"
    first = scene.goid(one.i)
    others = [goid for goid in (use.reader_goid, use.writer_goid) if goid is not None and goid != first]
    return Connection(
        pid=scene.process.pid,
        fd=one.fd,
        role=role or "other",
        protocol=network or "tcp" if role == "listener" else one.library.protocol or network or "unknown",
        activity=activity,
        tls=not _TLS.isdisjoint(functions),
        owner_goid=first,
        goids=(first, *others),
        site=scene.sites.site(one.i),
        handler=scene.sites.handler(one.i) if role == "server" and _HTTP_HANDLER in functions else None,
    )
