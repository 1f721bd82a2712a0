"""Descriptor tables: from proc/PID/fd, or from the task-file iterator, to evidence."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING

from leadline.evidence.kinds import Descriptor, DescriptorKind, Origin
from leadline.formats.procfd import descriptor_kind, link_inode, socket_inode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadline.contracts import FdLink

__all__ = ["PROTOCOL_KINDS", "descriptors_from_links", "kind_counts", "kind_of_protocol"]

PROTOCOL_KINDS = {
    "TCP": DescriptorKind.TCP,
    "TCPv6": DescriptorKind.TCP,
    "MPTCP": DescriptorKind.TCP,
    "MPTCPv6": DescriptorKind.TCP,
    "UDP": DescriptorKind.UDP,
    "UDPv6": DescriptorKind.UDP,
    "UDP-Lite": DescriptorKind.UDP,
    "UDPLITEv6": DescriptorKind.UDP,
    "UNIX": DescriptorKind.UNIX,
    "UNIX-STREAM": DescriptorKind.UNIX,
    "NETLINK": DescriptorKind.NETLINK,
    "PACKET": DescriptorKind.PACKET,
}
"""Kinds by the kernel's protocol names (struct proto, as the extended attribute system.sockprotoname tells them)."""


def kind_of_protocol(name: str) -> DescriptorKind:
    """Return the kind for a protocol name; ``socket`` for the many that leadline has no word for.

    >>> kind_of_protocol("TCPv6").value, kind_of_protocol("VSOCK").value
    ('tcp', 'socket')
    """
    return PROTOCOL_KINDS.get(name, DescriptorKind.SOCKET)


def descriptors_from_links(
    pid: int,
    links: Iterable[FdLink],
    *,
    seen_mono_ns: int,
    socket_kinds: Mapping[int, DescriptorKind],
    origin: Origin = Origin.BEFORE,
) -> list[Descriptor]:
    """Return the descriptors of one table as proc/PID/fd shows it, in the order of the links.

    ``file_ref`` is given for sockets only: a socket has one open file description, so equal inodes are duplicates of one
    descriptor. Links cannot tell that of files and pipes.

    Args:
        pid: whose table.
        links: as ``Host.fd_links`` returns them.
        seen_mono_ns: when the table was read.
        socket_kinds: kind by inode of socket, where known.
        origin: how leadline knows where they came from.

    >>> from leadline.contracts import FdLink
    >>> found = descriptors_from_links(7, [FdLink(3, "socket:[9]"), FdLink(5, "socket:[9]")], seen_mono_ns=1,
    ...     socket_kinds={9: DescriptorKind.TCP})
    >>> [(one.fd, one.kind.value, one.inode, one.file_ref) for one in found]
    [(3, 'tcp', 9, 9), (5, 'tcp', 9, 9)]
    """
    found = []
    unknown = DescriptorKind.SOCKET
    for fd, name, mode, inode, device in links:
        number = reference = socket_inode(name)
        if number is None:
            kind = descriptor_kind(name, mode)
            number = link_inode(name) if inode is None else inode
        else:
            kind = socket_kinds.get(number, unknown)
        found.append(
            Descriptor(
                pid=pid,
                fd=fd,
                kind=kind,
                origin=origin,
                inode=number,
                device=device,
                file_ref=reference,
                name=name,
                seen_since_mono_ns=seen_mono_ns,
            )
        )
    return found


def kind_counts(descriptors: Iterable[Descriptor]) -> dict[str, int]:
    """Return how many descriptors there are of each kind, most first."""
    counts = Counter(map(attrgetter("kind"), descriptors))
    return {kind.value: count for kind, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}
