"""Which kind of socket an inode is, by the cheapest way that tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from leadline.evidence.kinds import DescriptorKind
from leadline.formats.procfd import socket_inode
from leadline.formats.proctable import kind_of_protocol
from leadline.formats.sockdiag import AF_INET, AF_INET6, AF_UNIX, ALL_STATES, ANY_FAMILY, decode_dump
from leadline.model import AccessError, Malformed, TargetGone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadline.contracts import FdLink

__all__ = ["socket_kinds"]

# One attribute costs 5 us, four dumps at least 200 us plus 1 us per socket of the namespace.
_FEW = 64
_TIME_WAIT = 1 << 6
_DUMPS = (
    ("tcp", DescriptorKind.TCP, ANY_FAMILY, 6),
    ("unix", DescriptorKind.UNIX, AF_UNIX, 0),
    ("udp", DescriptorKind.UDP, AF_INET, 17),
    ("udp", DescriptorKind.UDP, AF_INET6, 17),
)


class _Sockets(Protocol):
    def sock_diag(
        self, pid: int, family: int, protocol: int, states: int, extensions: int
    ) -> bytes | memoryview: ...

    def socket_protocol(self, pid: int, fd: int) -> str: ...


def socket_kinds(host: _Sockets, pid: int, links: Iterable[FdLink]) -> dict[int, DescriptorKind]:
    """Return the kind by inode; see ``Host.socket_kinds``.

    Dumps tell many at once; the extended attribute tells single ones, and those that no dump lists: sockets that were
    never bound or connected, other families, sockets of another network namespace.
    """
    fds = {inode: link.fd for link in links if (inode := socket_inode(link.name)) is not None}
    kinds: dict[int, DescriptorKind] = {}
    if len(fds) > _FEW:
        for protocol, kind, family, number in _DUMPS:
            if len(kinds) == len(fds):
                break
            try:
                dump = host.sock_diag(pid, family, number, ALL_STATES & ~_TIME_WAIT, 0)
                found = decode_dump(dump, protocol).of_inodes(fds.keys() - kinds.keys())
            except TargetGone:
                raise
            except (AccessError, Malformed):  # the attribute tells it, only slower
                continue
            kinds.update(dict.fromkeys(found.inodes.tolist(), kind))
    for inode in fds.keys() - kinds.keys():
        try:
            kinds[inode] = kind_of_protocol(host.socket_protocol(pid, fds[inode]))
        except TargetGone:
            raise
        except AccessError:
            continue
    return kinds
