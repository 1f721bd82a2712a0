"""Which descriptor a connection object has: from a ``net.Conn`` down to ``poll.FD.Sysfd``.

Nothing is believed by its type alone: a ``poll.FD`` counts when its poll descriptor is one that the runtime's network poller has
registered for the same number. A closed one has the number -1.

Sources: internal/poll/fd_unix.go (FD), net/fd_posix.go (netFD), net/net.go (conn), crypto/tls/conn.go (Conn), os/file_unix.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.probes.snapshot_runtime.words import texts
from leadline.probes.snapshot_runtime.words import words_at as _words_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Words

__all__ = ["Conns", "NetFds", "SocketName", "tls_state"]

_NET_TYPES = frozenset({"*net.TCPConn", "*net.UnixConn", "*net.UDPConn", "*net.IPConn", "*net.conn"})
_TLS_TYPE = "*tls.Conn"
_FILE_TYPE = "*os.File"
_MAX_DEPTH = 4
_WRAPPER_WORDS = 24
"""How much of an unknown wrapper is searched for the connection that it wraps."""
_NO_FD = -1
_LONGEST_NETWORK = len("unixpacket")
_ADDRESS_PORT = 24
"""Offset of the exported field Port of net.TCPAddr and net.UDPAddr, behind the slice IP."""


class Conns(NamedTuple):
    """Descriptors of connections, -1 where it is none or not known, and whether TLS lies between."""

    fds: NDArray[np.int64]
    tls: NDArray[np.bool_]


class SocketName(NamedTuple):
    """What Go noted of a socket: network such as ``tcp``, and the port of its own end, 0 when it has none or it is unknown."""

    network: str
    port: int


class NetFds:
    """Finds descriptors of connection objects of one process, for one look.

    Args:
        process: the process.
        found: its ``uses`` tell the descriptors of the network poller.
    """

    def __init__(self, process: GoProcess, found: Found) -> None:
        self._process = process
        self._memory = process.memory
        self._polled = np.array(sorted(fd for fd, use in found.uses.items() if use.is_polled), dtype=np.int64)
        offsets = process.offsets
        self._sysfd = offsets.need("poll.FD.Sysfd")
        self._pd = offsets.need("poll.FD.pd")
        self._number = offsets.need("pollDesc.fd")
        self._tls = offsets.need("tls.Conn.conn")
        self._file = offsets.need("os.file.pfd")
        self._wrapped: dict[int, tuple[str, int] | None] = {}
        self._types: dict[int, str | None] = {}

    def of_poll_fds(self, addresses: Words) -> NDArray[np.int64]:
        """Return the descriptors of objects that begin with a ``poll.FD``, such as ``net.netFD``; -1 where they do not."""
        rows, are_read = self._memory.gather(addresses, max(self._sysfd, self._pd) + 8)
        fds = _words_at(rows, self._sysfd).astype(np.int64)
        good = are_read & np.isin(fds, self._polled)
        answer = np.full(len(addresses), _NO_FD, np.int64)
        if good.any():
            numbers, known = self._memory.gather_words(
                _words_at(rows, self._pd)[good] + np.uint64(self._number)
            )
            places = np.flatnonzero(good)[known & (numbers.astype(np.int64) == fds[good])]
            answer[places] = fds[places]
        return answer

    def of_pointers(self, addresses: Words) -> NDArray[np.int64]:
        """Return the descriptors of objects that begin with a pointer to one, such as ``net.TCPConn``."""
        inner, are_read = self._memory.gather_words(addresses)
        fds = self.of_poll_fds(inner)
        fds[~are_read] = _NO_FD
        return fds

    def of_interfaces(self, tabs: Words, data: Words, *, depth: int = 0) -> Conns:
        """Return the descriptors of interface values such as ``net.Conn``, also of connections that wrap another.

        Args:
            tabs: first words (itabs).
            data: second words.
            depth: how many wrappers were passed.
        """
        fds = np.full(len(tabs), _NO_FD, np.int64)
        tls = np.zeros(len(tabs), np.bool_)
        if depth >= _MAX_DEPTH:
            return Conns(fds, tls)
        for tab in np.unique(tabs).tolist():
            places = np.flatnonzero(tabs == np.uint64(tab))
            kind = self._type(tab)
            if kind is None:
                continue
            if kind in _NET_TYPES:
                fds[places] = self.of_pointers(data[places])
                continue
            if kind == _FILE_TYPE:
                inner, _ = self._memory.gather_words(data[places])
                fds[places] = self.of_poll_fds(inner + np.uint64(self._file))
                continue
            if kind == _TLS_TYPE:
                inside = self._of_inner(data[places], self._tls, depth)
                fds[places], tls[places] = inside.fds, inside.fds >= 0
            if (fds[places] < 0).all():
                inside = self._of_wrappers(tab, data[places], depth)
                fds[places], tls[places] = inside.fds, inside.tls
        return Conns(fds, tls)

    def of_known(self, tabs: Words, data: Words) -> NDArray[np.int64]:
        """Return the descriptors where words, which may be anything, are a net.Conn of the net or crypto/tls package."""
        fds = self.of_pointers(data)
        inner, are_read = self._memory.gather_words(data + np.uint64(self._tls + 8))
        through = np.where(are_read, self.of_pointers(inner), _NO_FD)
        for n in np.flatnonzero((fds >= 0) | (through >= 0)).tolist():
            kind = self._type(int(tabs[n]))
            if kind == _TLS_TYPE:
                fds[n] = through[n]
            elif kind not in _NET_TYPES:
                fds[n] = _NO_FD
        return np.where((fds < 0), _NO_FD, fds)

    def names(self, net_fds: Words) -> list[SocketName]:
        """Return what objects ``net.netFD`` say of their sockets; nothing they say is proved."""
        offsets = self._process.offsets
        network, local = offsets.need("netFD.net"), offsets.need("netFD.laddr")
        rows, are_read = self._memory.gather(net_fds, max(network, local) + 16)
        sizes = np.where(are_read, _words_at(rows, network + 8), 0).astype(np.uint64)
        sizes[sizes > _LONGEST_NETWORK] = 0
        networks = texts(self._process, _words_at(rows, network), sizes)
        ports, known = self._memory.gather_words(_words_at(rows, local + 8) + np.uint64(_ADDRESS_PORT))
        return [
            SocketName(
                name or "",
                port if known_port and 0 < port < 1 << 16 and (name or "").startswith(("tcp", "udp")) else 0,
            )
            for name, port, known_port in zip(networks, ports.tolist(), known.tolist(), strict=True)
        ]

    def _type(self, tab: int) -> str | None:
        if tab not in self._types:
            self._types[tab] = self._process.type_of_interface(tab, is_empty=False) if tab else None
        return self._types[tab]

    def _of_inner(self, addresses: Words, place: int, depth: int) -> Conns:
        """Follow the interface value that lies in objects at a place."""
        rows, are_read = self._memory.gather(addresses + np.uint64(place), 16)
        inside = self.of_interfaces(_words_at(rows, 0), _words_at(rows, 8), depth=depth + 1)
        inside.fds[~are_read] = _NO_FD
        return inside

    def _of_wrappers(self, tab: int, addresses: Words, depth: int) -> Conns:
        """Follow what an unknown type wraps, at the place where the first of them has a connection."""
        if tab not in self._wrapped:
            self._wrapped[tab] = self._search(int(addresses[0]), depth)
        way = self._wrapped[tab]
        if way is None:
            return Conns(np.full(len(addresses), _NO_FD, np.int64), np.zeros(len(addresses), np.bool_))
        kind, place = way
        if kind == "interface":
            return self._of_inner(addresses, place, depth)
        inner, are_read = self._memory.gather_words(addresses + np.uint64(place))
        if kind == "tls":
            inside = self._of_inner(inner, self._tls, depth)
            return Conns(np.where(are_read, inside.fds, _NO_FD), inside.fds >= 0)
        fds = self.of_pointers(inner)
        return Conns(np.where(are_read, fds, _NO_FD), np.zeros(len(addresses), np.bool_))

    def _search(self, address: int, depth: int) -> tuple[str, int] | None:
        words = self._memory.words(address, _WRAPPER_WORDS)
        for k in range(len(words) - 1):
            if int(words[k]) % 8 == 0 and self._type(int(words[k])) is not None:
                inside = self.of_interfaces(words[k : k + 1], words[k + 1 : k + 2], depth=depth + 1)
                if inside.fds[0] >= 0:
                    return "interface", 8 * k
        good = np.flatnonzero(self.of_pointers(words) >= 0)
        if len(good):
            return "pointer", 8 * int(good[0])
        rows, _ = self._memory.gather(words + np.uint64(self._tls), 16)
        for k in np.flatnonzero(self.of_pointers(_words_at(rows, 8)) >= 0).tolist():
            if self._type(int(_words_at(rows, 0)[k])) in _NET_TYPES:
                return "tls", 8 * k
        return None


def tls_state(process: GoProcess, tls_conn: int) -> tuple[bool, bool] | None:
    """Return whether the handshake of the ``tls.Conn`` at an address is complete, and whether it is a client's.

    None when it cannot be read or does not look like one.
    """
    offsets = process.offsets
    done, client = offsets.get("tls.Conn.isHandshakeComplete"), offsets.get("tls.Conn.isClient")
    if done is None:
        done = offsets.get("tls.Conn.handshakeStatus")  # an uint32 until Go 1.19
    if done is None or client is None:
        return None
    raw = process.memory.read(tls_conn, max(done + 4, client + 1))
    if len(raw) < max(done + 4, client + 1):
        return None
    number = int.from_bytes(raw[done : done + 4], "little")
    if number > 1 or raw[client] > 1:
        return None
    return number == 1, raw[client] == 1
