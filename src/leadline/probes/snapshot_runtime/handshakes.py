"""TLS handshakes that wait for the other side, of clients and of servers that are not net/http's.

A goroutine in a handshake is parked on its connection; only the record layer may lie between the handshake and the wait, so that
a callback of the handshake, which may wait for something else, is not taken for it.

Sources: crypto/tls/conn.go (handshakeContext, readRecordOrCCS, write), handshake_client.go, handshake_server.go;
net/http/transport.go (dialConn, addTLS).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.evidence.kinds import Connection
from leadline.probes.snapshot_runtime.http_client import find_dialed
from leadline.probes.snapshot_runtime.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look

__all__ = ["handshake_role", "read"]

_HANDSHAKE = "crypto/tls.(*Conn).handshakeContext"
_CLIENT = (
    "crypto/tls.(*Conn).clientHandshake",
    "crypto/tls.(*clientHandshakeState",
    "crypto/tls.(*echClient",
)
_SERVER = (
    "crypto/tls.(*Conn).serverHandshake",
    "crypto/tls.(*Conn).readClientHello",
    "crypto/tls.(*serverHandshakeState",
)
_WAITS = frozenset(
    f"crypto/tls.{name}"
    for name in (
        "(*atLeastReader).Read",
        "(*Conn).write",
        "(*Conn).flush",
        "(*Conn).readFromUntil",
        "(*Conn).writeRecordLocked",
    )
)
"""What of crypto/tls itself reads from and writes to the connection."""
_RECORDS = ("crypto/tls.", "io.", "bytes.")


def read(process: GoProcess, look: Look, found: Found) -> None:
    """Put a Connection for each descriptor that a goroutine waits on in a TLS handshake and that nobody has told of.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    scene = Scene(process, look, found)
    chosen = [i for i in scene.having(_HANDSHAKE).tolist() if scene.fd_of(i) not in found.connections]
    dialed = find_dialed(scene) if chosen else {}
    for i in chosen:
        fd = scene.fd_of(i)
        role = handshake_role(scene.sites.functions(i))
        if fd is None or role is None:
            continue
        target = dialed.get(fd)
        found.connections[fd] = Connection(
            pid=process.pid,
            fd=fd,
            role=role,
            protocol="tls",
            activity="tls-handshake",
            tls=True,
            scheme=None if target is None else target.scheme,
            host=None if target is None else target.host,
            owner_goid=scene.goid(i),
            goids=(scene.goid(i),),
            site=scene.sites.site(i),
        )


def handshake_role(functions: Sequence[str]) -> str | None:
    """Return ``client`` or ``server`` when a stack waits for its own TLS handshake; None for any other stack.

    Args:
        functions: full names, leaf first.

    >>> record = ["net.(*conn).Read", "crypto/tls.(*atLeastReader).Read", "crypto/tls.(*Conn).readRecord"]
    >>> handshake_role([*record, "crypto/tls.(*Conn).readClientHello", "crypto/tls.(*Conn).handshakeContext"])
    'server'
    """
    first = next((k for k, name in enumerate(functions) if name.startswith("crypto/tls.")), None)
    if first is None or functions[first] not in _WAITS:
        return None
    role = None
    for name in functions[first:]:
        if name == _HANDSHAKE:
            return role
        if not name.startswith(_RECORDS):
            return None
        if name.startswith(_CLIENT):
            role = "client"
        elif name.startswith(_SERVER):
            role = "server"
    return None
