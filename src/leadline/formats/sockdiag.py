"""SOCK_DIAG_BY_FAMILY dumps: TCP, UDP and unix sockets, decoded as columns.

A dump of 50,000 sockets is about 20 MB of messages of varying length. Walking them one by one in Python costs more than
the kernel needs to write them, so only the message lengths are walked; everything else is gathered column by column with
numpy. Attributes are found by walking those of all messages at once, one attribute per step, so no layout is assumed.

Records are made only for the rows that are asked for: a census of 50,000 sockets that wants the 200 of one process
decodes one column (inode) of the rest.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leadline.evidence.kinds import SocketState
from leadline.model import Malformed

__all__ = [
    "AF_INET",
    "AF_INET6",
    "AF_UNIX",
    "ALL_STATES",
    "ANY_FAMILY",
    "INET_EXTENSIONS",
    "TCP_STATES",
    "UNIX_SHOW",
    "Column",
    "SocketTable",
    "decode_dump",
]

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
ANY_FAMILY = 0
"""For TCP: both families in one dump, which costs hardly more than one of them."""
_FAMILY_WORDS = {AF_UNIX: "unix", AF_INET: "inet", AF_INET6: "inet6"}

TCP_STATES = (
    "UNKNOWN",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "SYN_RECV",  # NEW_SYN_RECV: a request socket; no descriptor refers to it
    "CLOSE",  # BOUND_INACTIVE (in v6.8): bound, neither listening nor connected
)
"""Names by number, from include/net/tcp_states.h; unix sockets use ESTABLISHED, LISTEN and CLOSE of them."""

ALL_STATES = 0xFFFFFFFF
_INFO, _CONG, _SKMEM = 2, 4, 7
INET_EXTENSIONS = 1 << (_INFO - 1) | 1 << (_CONG - 1) | 1 << (_SKMEM - 1)
"""idiag_ext: tcp_info, name of the congestion control, and memory accounting."""

_UNIX_NAME, _UNIX_PEER, _UNIX_RQLEN, _UNIX_MEMINFO, _UNIX_UID = 0, 2, 4, 5, 7
UNIX_SHOW = 0x01 | 0x04 | 0x10 | 0x20 | 0x40
"""udiag_show: name, peer, receive queue, memory and user."""

_MESSAGES = (20, 18)  # SOCK_DIAG_BY_FAMILY; TCPDIAG_GETSOCK, which dumps both families at once
_ERROR, _DONE, _OVERRUN = 2, 3, 4
_DUMP_INTERRUPTED = 0x10
_HEADER_BYTES = 16
_BODY_BYTES = {"tcp": 72, "udp": 72, "unix": 16}
_RUN = 256
_LISTEN = TCP_STATES.index("LISTEN")
_TIMERS = ("off", "on", "keepalive", "timewait", "persist")
_CA_STATES = ("Open", "Disorder", "CWR", "Recovery", "Loss")

Int = NDArray[np.int64]


class Column(NamedTuple):
    """One field of all sockets; ``present`` is False where the kernel did not tell it, None when it always does."""

    values: NDArray[Any]
    present: NDArray[np.bool_] | None = None

    def values_or_none(self) -> list[Any]:
        """Return a list with None where it is absent."""
        if self.present is None or self.present.all():
            return list(self.values.tolist())
        column = np.full(len(self.values), None, dtype=object)
        column[self.present] = self.values[self.present].tolist()
        return list(column.tolist())


@dataclass(frozen=True)
class SocketTable:
    """The sockets of one dump; each column has one entry per socket, in the order of the dump.

    Attributes:
        protocol: ``tcp``, ``udp`` or ``unix``, as was asked for: inet messages do not tell.
        buffer: the dump; columns are gathered from it when asked for.
        offsets, ends: first byte of each message, and the byte after it.
        is_interrupted: the table changed while it was dumped (NLM_F_DUMP_INTR): rows may be missing or double.
        is_complete: the kernel said that the dump is done.
        error_raw: errno with which the kernel ended the dump, None when it did not; rows before it are kept.
    """

    protocol: str
    buffer: NDArray[np.uint8]
    offsets: Int
    ends: Int
    is_interrupted: bool = False
    is_complete: bool = True
    error_raw: int | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def families(self) -> Int:
        """Return the address families."""
        return self._u8(self.offsets + 16)

    @cached_property
    def states(self) -> Int:
        """Return the state numbers, indexes into ``TCP_STATES``."""
        return self._u8(self.offsets + (18 if self.protocol == "unix" else 17))

    @cached_property
    def inodes(self) -> Int:
        """Return the inode numbers; 0 for sockets without a descriptor (TIME_WAIT, not yet accepted)."""
        return self._u32(self.offsets + (20 if self.protocol == "unix" else 84))

    @cached_property
    def local_ports(self) -> Int:
        """Return the local ports; not for unix."""
        return self._be16(self.offsets + 20)

    def state_counts(self) -> dict[str, int]:
        """Return how many sockets are in each state, most first."""
        counts = Counter(dict(enumerate(np.bincount(self.states).tolist())))
        return {_name(TCP_STATES, number): count for number, count in counts.most_common() if count}

    def where(self, mask: NDArray[np.bool_] | NDArray[np.intp]) -> SocketTable:
        """Return the rows for which the mask is true, or the rows of these numbers."""
        return SocketTable(
            self.protocol,
            self.buffer,
            self.offsets[mask],
            self.ends[mask],
            self.is_interrupted,
            self.is_complete,
            self.error_raw,
        )

    def of_inodes(self, inodes: Iterable[int]) -> SocketTable:
        """Return the rows of these inodes, each once; 0 never joins.

        The kernel may list a socket twice when its neighbours in a hash chain change between two datagrams of a dump.
        """
        wanted = np.fromiter((inode for inode in inodes if 0 < inode < 1 << 32), dtype=np.int64)
        rows = np.flatnonzero(np.isin(self.inodes, wanted))
        _, first = np.unique(self.inodes[rows], return_index=True)
        return self.where(rows[np.sort(first)])

    def records(self, when: str = "end") -> list[SocketState]:
        """Return the rows as evidence.

        Raises:
            Malformed: attributes run over the end of their message.
        """
        return self._unix_records(when) if self.protocol == "unix" else self._inet_records(when)

    # -- columns ---------------------------------------------------------------------------------------------

    def _u8(self, at: Int) -> Int:
        column: Int = self.buffer[at].astype(np.int64)
        return column

    @cached_property
    def _halves(self) -> NDArray[np.uint16]:
        return self.buffer.view("<u2")

    @cached_property
    def _words(self) -> NDArray[np.uint32]:
        return self.buffer.view("<u4")

    def _u16(self, at: Int) -> Int:
        column: Int = self._halves[at >> 1].astype(np.int64)
        return column

    def _u32(self, at: Int) -> Int:
        column: Int = self._words[at >> 2].astype(np.int64)
        return column

    def _u64(self, at: Int) -> NDArray[np.uint64]:
        low, high = self._words[at >> 2].astype(np.uint64), self._words[(at >> 2) + 1].astype(np.uint64)
        column: NDArray[np.uint64] = low | high << np.uint64(32)
        return column

    def _be16(self, at: Int) -> Int:
        return self._u8(at) << 8 | self._u8(at + 1)

    def _attributes(self, wanted: tuple[int, ...]) -> dict[int, tuple[Int, Int]]:
        """Return position and length of the wanted attributes' values per row; position -1 where a row has none."""
        count = len(self)
        found = {kind: (np.full(count, -1, np.int64), np.zeros(count, np.int64)) for kind in wanted}
        rows = np.arange(count)
        at = self.offsets + _HEADER_BYTES + _BODY_BYTES[self.protocol]
        ends = self.ends
        while True:
            more = at + 4 <= ends
            if not more.all():
                rows, at, ends = rows[more], at[more], ends[more]
            if not len(rows):
                return found
            lengths, kinds = (
                self._u16(at),
                self._u16(at + 2) & 0x3FFF,
            )  # without the nested and byte order flags
            if ((lengths < 4) | (at + lengths > ends)).any():
                raise Malformed("sock_diag", "an attribute runs over the end of its message")
            for kind, (starts, sizes) in found.items():
                mine = kinds == kind
                if mine.any():
                    starts[rows[mine]], sizes[rows[mine]] = at[mine] + 4, lengths[mine] - 4
            at = at + ((lengths + 3) & ~3)

    def _optional(self, attribute: tuple[Int, Int], offset: int, width: int) -> Column:
        """Return one field of an attribute; absent where the attribute is, or ends before it."""
        starts, sizes = attribute
        present = (starts >= 0) & (sizes >= offset + width)
        at = starts + offset if present.all() else np.where(present, starts + offset, 0)
        if width == 4:
            return Column(self._words[at >> 2], present)
        return Column(self._u64(at) if width == 8 else self._u8(at), present)

    def _texts(
        self, attribute: tuple[Int, Int], decode: Callable[[bytes], str], absent: str | None
    ) -> list[Any]:
        """Return the decoded values of an attribute; many sockets have few different ones."""
        cache: dict[bytes, str] = {}
        texts: list[Any] = []
        for start, size in zip(*(part.tolist() for part in attribute), strict=True):
            if start < 0:
                texts.append(absent)
                continue
            raw = self.buffer[start : start + size].tobytes()
            text = cache.get(raw)
            if text is None:
                text = cache[raw] = decode(raw)
            texts.append(text)
        return texts

    def _addresses(self, offset: int) -> list[str]:
        """Return the addresses as text; each different one is written once."""
        raw = self.buffer[(self.offsets + offset)[:, None] + np.arange(16)]
        different, which = np.unique(raw.view("V16").ravel(), return_inverse=True)
        texts = np.empty((3, len(different)), dtype=object)
        for number, item in enumerate(different):
            texts[:, number] = ["", _ipv4_text(item.tobytes()), _ipv6_text(item.tobytes())]
        form = np.where(self.families == AF_INET, 1, 2)
        return list(texts[form, which.ravel()].tolist())

    # -- records ---------------------------------------------------------------------------------------------

    @cached_property
    def numbers(self) -> dict[str, Column]:
        """Return every numeric field of ``SocketState`` as a column, by its name there."""
        return self._unix_numbers() if self.protocol == "unix" else self._inet_numbers()

    def _inet_numbers(self) -> dict[str, Column]:
        base = self.offsets + _HEADER_BYTES
        found = self._inet_attributes
        timers = self._u8(base + 2)
        remote_ports = self._be16(base + 6)
        # A listening socket's tcp_info is zero but for the accept queue, which rqueue and wqueue tell already.
        info = (np.where(self.states == _LISTEN, -1, found[_INFO][0]), found[_INFO][1])
        return {
            "inode": Column(self.inodes),
            "lport": Column(self.local_ports),
            "rport": Column(remote_ports, remote_ports != 0),
            "uid": Column(self._u32(base + 64)),
            "cookie": Column(self._u64(base + 44)),
            "rqueue_bytes": Column(self._u32(base + 56)),
            "wqueue_bytes": Column(self._u32(base + 60)),
            "timer": Column(timers),
            "timer_expires_ms": Column(self._u32(base + 52), timers != 0),
            "retransmits_pending": Column(self._u8(base + 3)),
            "ca_state": self._optional(info, 1, 1),
            **{name: self._optional(info, offset, width) for name, (offset, width) in _TCP_INFO.items()},
            **{name: self._optional(found[_SKMEM], offset, 4) for name, offset in _MEMORY.items()},
        }

    def _unix_numbers(self) -> dict[str, Column]:
        found = self._unix_attributes
        return {
            "inode": Column(self.inodes),
            "cookie": Column(self._u64(self.offsets + _HEADER_BYTES + 8)),
            "peer_inode": self._optional(found[_UNIX_PEER], 0, 4),
            "rqueue_bytes": self._optional(found[_UNIX_RQLEN], 0, 4),
            "wqueue_bytes": self._optional(found[_UNIX_RQLEN], 4, 4),
            "uid": self._optional(found[_UNIX_UID], 0, 4),
            **{name: self._optional(found[_UNIX_MEMINFO], offset, 4) for name, offset in _MEMORY.items()},
        }

    @cached_property
    def _inet_attributes(self) -> dict[int, tuple[Int, Int]]:
        return self._attributes((_INFO, _CONG, _SKMEM))

    @cached_property
    def _unix_attributes(self) -> dict[int, tuple[Int, Int]]:
        return self._attributes((_UNIX_NAME, _UNIX_PEER, _UNIX_RQLEN, _UNIX_MEMINFO, _UNIX_UID))

    def _inet_records(self, when: str) -> list[SocketState]:
        numbers = self.numbers
        raddr = np.array(self._addresses(40), dtype=object)
        return self._build(
            {
                **{name: column.values_or_none() for name, column in numbers.items()},
                "family": _names(_FAMILY_WORDS, Column(self.families)),
                "state": _names(TCP_STATES, Column(self.states)),
                "laddr": self._addresses(24),
                "raddr": np.where(numbers["rport"].values != 0, raddr, "").tolist(),
                "timer": _names(_TIMERS, numbers["timer"]),
                "ca_state": _names(_CA_STATES, numbers["ca_state"]),
                "congestion": self._texts(self._inet_attributes[_CONG], _c_string, None),
            },
            when,
        )

    def _unix_records(self, when: str) -> list[SocketState]:
        return self._build(
            {
                **{name: column.values_or_none() for name, column in self.numbers.items()},
                "family": ["unix"] * len(self),
                "state": _names(TCP_STATES, Column(self.states)),
                "name": self._texts(self._unix_attributes[_UNIX_NAME], _unix_name, ""),
            },
            when,
        )

    def _build(self, columns: dict[str, list[Any]], when: str) -> list[SocketState]:
        names, protocol = tuple(columns), self.protocol
        return [
            SocketState(protocol=protocol, when=when, **dict(zip(names, row, strict=True)))
            for row in zip(*columns.values(), strict=True)
        ]


_TCP_INFO = {
    "rto_us": (8, 4),
    "unacked": (24, 4),
    "lost": (32, 4),
    "retrans": (36, 4),
    "last_data_sent_ms": (44, 4),
    "last_data_recv_ms": (52, 4),
    "last_ack_recv_ms": (56, 4),
    "rtt_us": (68, 4),
    "rttvar_us": (72, 4),
    "total_retrans": (100, 4),
    "bytes_acked": (120, 8),
    "bytes_received": (128, 8),
    "segs_out": (136, 4),
    "segs_in": (140, 4),
    "bytes_sent": (200, 8),
}
"""Offset and width in struct tcp_info (include/uapi/linux/tcp.h); older kernels send a shorter one."""

_MEMORY = {
    "skmem_rmem_bytes": 0,
    "skmem_rcvbuf_bytes": 4,
    "skmem_wmem_bytes": 8,
    "skmem_sndbuf_bytes": 12,
    "skmem_drops": 32,
}
"""Offset in the u32 array that enum SK_MEMINFO of include/uapi/linux/sock_diag.h indexes."""


def decode_dump(messages: bytes | memoryview, protocol: str) -> SocketTable:
    """Return the sockets of one or more concatenated dumps (v4 and v6 of one protocol, for example).

    >>> import struct
    >>> body = struct.pack("=4B2H4I4I3I5I", 2, 10, 0, 0, 0x901F, 0, *([0] * 11), 0, 3, 4096, 1000, 41822)
    >>> dump = struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 9) + body + struct.pack("=IHHIIi", 20, 3, 2, 1, 9, 0)
    >>> table = decode_dump(dump, "tcp")
    >>> socket = table.of_inodes([41822]).records()[0]
    >>> len(table), socket.state, socket.lport, socket.rqueue_bytes, socket.wqueue_bytes, socket.rtt_us
    (1, 'LISTEN', 8080, 3, 4096, None)

    Args:
        messages: as ``Host.sock_diag`` returns them.
        protocol: ``tcp``, ``udp`` or ``unix``.

    Raises:
        Malformed: a length does not fit, or a message is of another family. Errors that the kernel reports in the
            dump are not raised: see ``error_raw``.

    Source: Linux net/ipv4/inet_diag.c, inet_sk_diag_fill; net/unix/diag.c, sk_diag_fill; netlink(7).
    """
    if len(messages) % 4:
        raise Malformed("sock_diag", "length is not a multiple of 4", offset_bytes=len(messages))
    buffer = np.frombuffer(messages, dtype=np.uint8)
    offsets = _walk(buffer.view("<u4")) * 4
    header = SocketTable(protocol, buffer, offsets, offsets)
    lengths, kinds, flags = header._u32(offsets), header._u16(offsets + 4), header._u16(offsets + 6)  # noqa: SLF001  same module
    is_socket = np.isin(kinds, _MESSAGES)
    table = SocketTable(
        protocol,
        buffer,
        offsets[is_socket],
        (offsets + lengths)[is_socket],
        is_interrupted=bool((flags & _DUMP_INTERRUPTED).any() or (kinds == _OVERRUN).any()),
        is_complete=bool((kinds == _DONE).any()),
        error_raw=_error(messages, offsets, lengths, kinds),
    )
    if (table.ends - table.offsets < _HEADER_BYTES + _BODY_BYTES[protocol]).any():
        raise Malformed("sock_diag", "a message is too short for its socket")
    expected = [AF_UNIX] if protocol == "unix" else [AF_INET, AF_INET6]
    if not np.isin(table.families, expected).all():
        raise Malformed("sock_diag", f"a message is not of a {protocol} socket")
    return table


def _walk(words: NDArray[np.uint32]) -> Int:
    """Return the position of each message, in units of four bytes.

    Most messages of a dump are equally long, so from each one the next ``_RUN`` are guessed and checked at once; where they
    differ, the first that does begins a new guess.
    """
    total = len(words)
    runs: list[Int] = []
    at = 0
    while at < total:
        length = int(words[at])
        step = length + 3 >> 2
        if length < _HEADER_BYTES or at + step > total:
            raise Malformed("sock_diag", "message length does not fit", offset_bytes=at * 4)
        guessed = words[at : min(at + step * _RUN, total - step + 1) : step] == length
        count = len(guessed) if guessed.all() else int(guessed.argmin())
        runs.append(np.arange(at, at + count * step, step, dtype=np.int64))
        at += count * step
    return np.concatenate(runs) if runs else np.empty(0, dtype=np.int64)


def _error(messages: bytes | memoryview, offsets: Int, lengths: Int, kinds: Int) -> int | None:
    """Return the errno in an error message, or in a done message that ended early."""
    ending = ((kinds == _ERROR) | (kinds == _DONE)) & (lengths >= _HEADER_BYTES + 4)
    for offset in offsets[ending].tolist():
        code = int.from_bytes(bytes(messages[offset + 16 : offset + 20]), "little", signed=True)
        if code < 0:
            return -code
    return None


def _name(words: tuple[str, ...], number: int) -> str:
    return words[number] if number < len(words) else f"UNKNOWN({number})"


def _names(words: tuple[str, ...] | dict[int, str], numbers: Column) -> list[Any]:
    """Return the words for numbers; a number without one stays visible, an absent number is None."""
    known: dict[int, str] = words if isinstance(words, dict) else dict(enumerate(words))
    different, which = np.unique(numbers.values, return_inverse=True)
    texts = np.array([known.get(number, f"UNKNOWN({number})") for number in different.tolist()], dtype=object)
    return Column(texts[which.ravel()], numbers.present).values_or_none()


def _ipv4_text(raw: bytes) -> str:
    return ".".join(map(str, raw[:4]))


def _ipv6_text(raw: bytes) -> str:
    """Return an address; an IPv4 peer of a dual-stack socket is written as IPv4 (its family stays ``inet6``)."""
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return _ipv4_text(raw[12:])
    return str(ipaddress.IPv6Address(raw))


def _c_string(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _unix_name(raw: bytes) -> str:
    """Return a path, or ``@name`` for the abstract namespace, as ss and proc/net/unix write it."""
    if raw.startswith(b"\0"):
        return "@" + raw[1:].decode("utf-8", "surrogateescape")
    return raw.rstrip(b"\0").decode("utf-8", "surrogateescape")
