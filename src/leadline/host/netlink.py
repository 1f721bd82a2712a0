"""sock_diag requests, asked in the network namespace of a process.

A netlink socket belongs to the namespace of the thread that made it, and keeps belonging to it. So a thread enters the
namespace, makes the socket, and ends; no other thread of leadline ever leaves its own namespace.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.host.files import access_error
from leadline.model import AccessError, DeadlineExceeded, Unsupported

if TYPE_CHECKING:
    from leadline.host.files import FileTree

__all__ = ["Query", "dump_sockets", "netns_inode"]

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY, _TCPDIAG_GETSOCK = 20, 18
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_CLONE_NEWNET = 0x40000000
_BUFFER_BYTES = 1 << 26
_RECEIVE_BYTES = 1 << 16
_HEADER_AND_CODE = struct.Struct("=IHHIIi")
_DEADLINE_S = 5.0
_THREAD_DEADLINE_S = 2.0
_ENTER_REMEDY = (
    "run as root, or give leadline CAP_SYS_ADMIN and CAP_SYS_PTRACE: they let it look into containers"
)

_libc = ctypes.CDLL(None, use_errno=True)


def netns_inode(files: FileTree, pid: int) -> str:
    """Return the name of a process's network namespace, such as ``net:[4026531840]``; 0 is leadline's own."""
    return files.link_proc(f"{pid or 'thread-self'}/ns/net")


class Query(NamedTuple):
    """What to dump; see ``Host.sock_diag`` for the fields."""

    family: int
    protocol: int
    states: int
    extensions: int


def dump_sockets(files: FileTree, pid: int, query: Query) -> memoryview:
    """Return the messages of one dump; see ``Host.sock_diag``."""
    with _diag_socket(files, pid) as link:
        link.settimeout(_DEADLINE_S)
        sequence = int.from_bytes(os.urandom(4), "little")
        what = f"sock_diag of family {query.family}, protocol {query.protocol}"
        try:
            link.sendto(_request(query, sequence), (0, 0))
            return _receive(link, sequence, what)
        except TimeoutError as exc:
            raise DeadlineExceeded(f"{what}: no answer within {_DEADLINE_S:.0f} s") from exc
        except OSError as exc:
            raise access_error(exc, what) from exc


def _request(query: Query, sequence: int) -> bytes:
    """Return struct inet_diag_req_v2, inet_diag_req or unix_diag_req behind its netlink header."""
    family, protocol, states, extensions = query
    kind = _SOCK_DIAG_BY_FAMILY
    if (
        family == socket.AF_UNSPEC
    ):  # the older request is the only one that takes both families; it is for TCP
        kind = _TCPDIAG_GETSOCK
        body = struct.pack("=BBBB48xII", family, 0, 0, extensions, states, 0)
    elif family == socket.AF_UNIX:
        body = struct.pack("=BBHIIIII", family, 0, 0, states, 0, extensions, 0xFFFFFFFF, 0xFFFFFFFF)
    else:
        body = struct.pack("=BBBBI48x", family, protocol, extensions, 0, states)
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def _receive(link: socket.socket, sequence: int, what: str) -> memoryview:
    """Return everything up to the end of the dump.

    The kernel writes the end as a message of its own at the end of a datagram, so only first and last are looked at. The
    buffer is memory that costs nothing until it is written to, large enough for 140,000 sockets, so that the 20 MB of
    50,000 are neither zeroed nor copied: that would take half as long as the dump itself.
    """
    buffer = np.empty(_BUFFER_BYTES, dtype=np.uint8)
    filled = 0
    while True:
        if len(buffer) - filled < _RECEIVE_BYTES:
            larger = np.empty(2 * len(buffer), dtype=np.uint8)
            larger[:filled] = buffer[:filled]
            buffer = larger
        view = buffer.data
        size = link.recv_into(view[filled : filled + _RECEIVE_BYTES])
        if size == 0:
            raise Unsupported(f"{what}: netlink socket closed by the kernel")
        _, kind, _, _, _, code = (
            _HEADER_AND_CODE.unpack_from(view, filled) if size >= 20 else (0, 0, 0, 0, 0, 0)
        )
        filled += size
        if kind == _NLMSG_ERROR and code:
            raise access_error(
                OSError(-code, os.strerror(-code)), what, remedy="load the kernel's diag modules"
            )
        if kind == _NLMSG_ERROR or _is_end(view[filled - size : filled], sequence):
            return view[:filled]


def _is_end(datagram: memoryview, sequence: int) -> bool:
    """Return whether the last message of a datagram ends the dump."""
    if len(datagram) < 20:
        return False
    length, kind, _, seen, _, _ = _HEADER_AND_CODE.unpack_from(datagram, len(datagram) - 20)
    return bool(length == 20 and kind == _NLMSG_DONE and seen == sequence)


def _diag_socket(files: FileTree, pid: int) -> socket.socket:
    """Return a socket bound to the namespace of ``pid``."""
    if pid == 0 or netns_inode(files, pid) == netns_inode(files, 0):
        return _open_socket()
    try:
        namespace = os.open(f"{files.proc_root}/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        is_gone = not files.process_exists(pid)
        raise access_error(exc, f"proc/{pid}/ns/net", is_gone=is_gone, remedy=_ENTER_REMEDY) from exc
    try:
        return _open_socket_in(namespace, pid)
    finally:
        os.close(namespace)


def _open_socket() -> socket.socket:
    try:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    except OSError as exc:
        raise access_error(exc, "socket(AF_NETLINK, NETLINK_SOCK_DIAG)") from exc


def _open_socket_in(namespace: int, pid: int) -> socket.socket:
    opened: list[socket.socket] = []
    errors: list[AccessError] = []

    def enter_and_open() -> None:
        if _libc.setns(namespace, _CLONE_NEWNET):
            number = ctypes.get_errno()
            what = f"setns into the network namespace of process {pid}"
            errors.append(access_error(OSError(number, os.strerror(number)), what, remedy=_ENTER_REMEDY))
            return
        try:
            opened.append(_open_socket())
        except AccessError as exc:
            errors.append(exc)

    thread = threading.Thread(target=enter_and_open, name="leadline-netns", daemon=True)
    thread.start()
    thread.join(_THREAD_DEADLINE_S)
    if errors:
        raise errors[0]
    if not opened:
        raise DeadlineExceeded(
            f"entering the network namespace of process {pid} took too long", errno_raw=errno.ETIMEDOUT
        )
    return opened[0]
