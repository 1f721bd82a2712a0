"""Descriptor tables as the kernel's task-file iterator tells them, to evidence.

The iterator tells inode, device, mode, socket family and the address of the open file, but no names. Names of sockets
and pipes follow from the inode, anonymous inodes of one type share theirs; only files have names of their own. So one link
is read per type, and one per file, instead of one per descriptor.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leadline.evidence.kinds import Descriptor, DescriptorKind, Origin
from leadline.formats.procfd import descriptor_kind, link_inode

__all__ = ["descriptors_from_table", "rows_of_process", "user_device"]

ReadName = Callable[[int], "str | None"]
Rows = NDArray[np.void]

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _AF_PACKET = 1, 2, 10, 16, 17
_TCP, _UDP, _UDPLITE, _MPTCP = 6, 17, 136, 262
_MOST_TRIES = 3


def rows_of_process(rows: Rows, pid: int) -> Rows:
    """Return the rows of one process's table, by ascending descriptor; empty when it is not among them.

    Threads share the table of their process unless they were made not to; the table of the main thread counts. An iterator
    that visits one process only gives pids of the initial namespace, which inside of containers is not leadline's.
    """
    if len(np.unique(rows["tgid"])) > 1:
        rows = rows[rows["tgid"] == pid]
    if not len(rows):
        return rows
    main = rows[rows["tid"] == rows["tgid"]]
    rows = main if len(main) else rows[rows["tid"] == rows["tid"][0]]
    ordered: Rows = rows[np.argsort(rows["fd"], kind="stable")]
    return ordered


def descriptors_from_table(
    rows: Rows, read_name: ReadName, *, pid: int, seen_mono_ns: int, origin: Origin = Origin.BEFORE
) -> list[Descriptor]:
    """Return the descriptors of one process's table, in the order of the rows.

    Args:
        rows: records ``open_file`` of ``table.bpf.c``, of one process.
        read_name: returns the link target of a descriptor; None when it is closed or may not be read.
        pid: whose table.
        seen_mono_ns: when it was read.
        origin: how leadline knows where they came from.
    """
    _, references = np.unique(rows["file"], return_inverse=True)
    names, kinds = _names_and_kinds(rows, read_name)
    return [
        Descriptor(
            pid=pid,
            fd=fd,
            kind=kind,
            origin=origin,
            inode=inode,
            device=device,
            file_ref=reference,
            name=name,
            flags_raw=flags,
            cloexec=cloexec,
            seen_since_mono_ns=seen_mono_ns,
        )
        for fd, kind, inode, device, reference, name, flags, cloexec in zip(
            rows["fd"].tolist(),
            kinds,
            rows["inode"].tolist(),
            user_device(rows["device"]).tolist(),
            (references.ravel() + 1).tolist(),
            names,
            rows["flags"].tolist(),
            (rows["cloexec"] != 0).tolist(),
            strict=True,
        )
    ]


def user_device(device: NDArray[Any]) -> NDArray[np.int64]:
    """Return st_dev for the kernel's own dev_t (12 bits major, 20 bits minor).

    >>> user_device(np.array([254 << 20 | 0, 8 << 20 | 300])).tolist(), (254 << 8, 8 << 8 | 300 % 256 | 256 << 12)
    ([65024, 1050668], (65024, 1050668))

    Source: Linux include/linux/kdev_t.h, new_encode_dev.
    """
    wide = device.astype(np.int64)
    minor = wide & 0xFFFFF
    encoded: NDArray[np.int64] = minor & 0xFF | wide >> 20 << 8 | (minor & ~0xFF) << 12
    return encoded


def _names_and_kinds(rows: Rows, read_name: ReadName) -> tuple[list[str], list[DescriptorKind]]:
    names = np.full(len(rows), "", dtype=object)
    kinds = np.full(len(rows), DescriptorKind.OTHER, dtype=object)
    for members in _types(rows):
        if rows["family"][members[0]]:
            names[members] = [f"socket:[{inode}]" for inode in rows["inode"][members].tolist()]
            kinds[members] = _socket_kinds(rows[members])
            continue
        text = _first_name(rows, members, read_name)
        mode = int(rows["mode"][members[0]])
        number = link_inode(text)
        if number is not None:
            prefix = text[: text.index(":[")]
            names[members] = [f"{prefix}:[{inode}]" for inode in rows["inode"][members].tolist()]
            kinds[members] = descriptor_kind(text)
        elif text.startswith("anon_inode:"):
            names[members] = text
            kinds[members] = descriptor_kind(text)
        else:
            own = [_own_name(rows, member, read_name) for member in members.tolist()]
            names[members] = own
            kinds[members] = np.array([descriptor_kind(name, mode) for name in own], dtype=object)
    return names.tolist(), kinds.tolist()


def _types(rows: Rows) -> list[NDArray[np.intp]]:
    """Return the indexes of the rows of each type: same file operations, device, kind of file, and being a socket."""
    _, operations = np.unique(rows["operations"], return_inverse=True)
    _, devices = np.unique(rows["device"], return_inverse=True)
    key = operations.ravel().astype(np.int64) << 32 | devices.ravel().astype(np.int64) << 8
    key |= rows["mode"].astype(np.int64) >> 12 << 1 | (rows["family"] != 0)
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order])) + 1
    return [part for part in np.split(order, starts) if len(part)]


def _socket_kinds(rows: Rows) -> NDArray[Any]:
    codes = rows["family"].astype(np.int64) << 16 | rows["protocol"].astype(np.int64)
    different, which = np.unique(codes, return_inverse=True)
    words = np.array([_socket_kind(code >> 16, code & 0xFFFF) for code in different.tolist()], dtype=object)
    kinds: NDArray[Any] = words[which.ravel()]
    return kinds


def _socket_kind(family: int, protocol: int) -> DescriptorKind:
    if family in {_AF_INET, _AF_INET6}:
        if protocol in {_TCP, _MPTCP}:
            return DescriptorKind.TCP
        return DescriptorKind.UDP if protocol in {_UDP, _UDPLITE} else DescriptorKind.SOCKET
    known = {
        _AF_UNIX: DescriptorKind.UNIX,
        _AF_NETLINK: DescriptorKind.NETLINK,
        _AF_PACKET: DescriptorKind.PACKET,
    }
    return known.get(family, DescriptorKind.SOCKET)


def _first_name(rows: Rows, members: NDArray[np.intp], read_name: ReadName) -> str:
    """Return the name of one of them that still is what the row says; without one, what the mode tells."""
    for member in members[:_MOST_TRIES].tolist():
        name = _own_name(rows, member, read_name)
        if name:
            return name
    is_pipe = stat.S_ISFIFO(int(rows["mode"][members[0]]))
    return f"pipe:[{rows['inode'][members[0]]}]" if is_pipe else ""


def _own_name(rows: Rows, member: int, read_name: ReadName) -> str:
    """Return the name of one descriptor; empty when the number meanwhile is another's."""
    name = read_name(int(rows["fd"][member])) or ""
    number = link_inode(name)
    return name if number is None or number == int(rows["inode"][member]) else ""
