"""Connections of github.com/valyala/fasthttp servers.

Each connection has a goroutine in ``(*Server).serveConn``. It reads the first request at once, and waits for the first byte of
a further one in serveConn itself; nobody reads during a handler, so that the descriptor comes from the net.Conn in its frame.

Source: github.com/valyala/fasthttp, server.go (serveConn), header.go (RequestHeader.Read).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.evidence.kinds import Connection
from leadline.probes.snapshot_runtime.scene import Scene
from leadline.probes.snapshot_runtime.words import signed_at, words_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look, Words

__all__ = ["activity_of", "read"]

_PACKAGE = "github.com/valyala/fasthttp."
_SERVE = f"{_PACKAGE}(*Server).serveConn"
_HEADER = f"{_PACKAGE}(*RequestHeader)."
_BODY = (f"{_PACKAGE}(*Request).", f"{_PACKAGE}readBody", f"{_PACKAGE}(*requestStream)")
_PEEK = "bufio.(*Reader).Peek"


def read(process: GoProcess, look: Look, found: Found) -> None:
    """Put a Connection for each connection that a goroutine of a fasthttp server serves.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    scene = Scene(process, look, found)
    serving = scene.having(_SERVE)
    if not len(serving):
        return
    parked = {i: fd for i in serving.tolist() if (fd := scene.fd_of(i)) is not None and _is_own(scene, i)}
    apart = np.array([i for i in serving.tolist() if i not in parked], np.int64)
    held = scene.objects(apart, (_SERVE,), scene.nets.of_pointers)
    buffered = _buffered(scene, np.array(list(parked), np.int64))
    for i, fd in [*parked.items(), *((i, one.value) for i, one in held.items())]:
        if fd in found.connections:
            continue
        functions = scene.sites.functions(i)
        way = "" if i not in parked else "read" if scene.goid(i) in scene.reads else "write"
        activity = activity_of(functions, parked=way, buffered=buffered.get(i))
        if activity is None:
            continue
        in_handler = activity in {"handler", "body", "writing"}
        found.connections[fd] = Connection(
            pid=process.pid,
            fd=fd,
            role="server",
            protocol="http/1.1",
            activity=activity,
            tls=any(name.startswith("crypto/tls.") for name in functions),
            owner_goid=scene.goid(i),
            goids=(scene.goid(i),),
            site=scene.sites.site(i) if in_handler else None,
            handler=scene.sites.handler(i) if in_handler else None,
        )


def activity_of(functions: Sequence[str], *, parked: str, buffered: int | None) -> str | None:
    """Return what a serveConn goroutine does, by its stack; None when it cannot be told.

    Args:
        functions: of its stack, leaf first.
        parked: ``read`` or ``write`` when it is parked on its own descriptor, else empty.
        buffered: bytes of the request that have come and are not used; None when unknown.
    """
    inside = list(functions[: functions.index(_SERVE)])
    if parked == "write":
        return "writing"
    if parked == "read":
        if any(name.startswith(_HEADER) for name in inside):
            return None if buffered is None else "headers" if buffered else "first-byte"
        if any(name.startswith(_BODY) for name in inside):
            return "body"
        return "keep-alive" if inside and inside[-1] == _PEEK else None
    own = [name for name in inside if not name.startswith("runtime.")]
    return "handler" if own and not own[-1].startswith((_PACKAGE, "bufio.", "net.")) else None


def _is_own(scene: Scene, i: int) -> bool:
    """Return whether a goroutine is parked on the connection it serves: no code of the program lies between."""
    functions = scene.sites.functions(i)
    own = functions[: functions.index(_SERVE)]
    return all(
        name.startswith((_PACKAGE, "bufio.", "net.", "internal/", "crypto/tls.", "io.", "bytes.", "runtime."))
        for name in own
    )


def _buffered(scene: Scene, parked: NDArray[np.int64]) -> dict[int, int]:
    """Return the bytes in the bufio.Reader that goroutines wait in, by index."""
    offsets = scene.process.offsets
    source, first, last = (offsets.need(f"bufio.Reader.{name}") for name in ("rd", "r", "w"))

    def check(addresses: Words) -> NDArray[np.int64]:
        rows, are_read = scene.process.memory.gather(addresses, max(source + 16, first + 8, last + 8))
        fds = scene.nets.of_interfaces(words_at(rows, source), words_at(rows, source + 8)).fds
        return np.where(are_read, fds, -1)

    objects = scene.objects(parked, (_PEEK,), check, parked=True)
    if not objects:
        return {}
    rows, _ = scene.process.memory.gather(
        np.array([one.address for one in objects.values()], np.uint64), max(first, last) + 8
    )
    sizes = (signed_at(rows, last) - signed_at(rows, first)).tolist()
    return {i: size for i, size in zip(objects, sizes, strict=True) if 0 <= size < 1 << 30}
