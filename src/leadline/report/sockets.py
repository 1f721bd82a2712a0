"""The table of open descriptors with what the kernel says of their sockets."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, Descriptor, SocketState
from leadline.evidence.queries import age_ns, endpoint, joined
from leadline.model import format_duration, printable

__all__ = ["Cell", "Column", "TableView", "socket_table"]

MAX_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column; numbers are shown right-aligned and sorted by ``Cell.order``; wide ones may wrap."""

    title: str
    meaning: str
    is_number: bool = False
    is_wide: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One value; ``order`` is what to sort by, None for unknown (always last)."""

    text: str
    order: float | None = None


@dataclass(frozen=True, slots=True)
class TableView:
    """A table; ``left_out`` rows are not in it."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int


COLUMNS = (
    Column("fd", "descriptor number (pid:number in a child)", is_number=True),
    Column("kind", "what it refers to"),
    Column("state", "state of the socket as the kernel names it"),
    Column("acquired at", "application frame that acquired it, or how it came", is_wide=True),
    Column("peer", "remote address"),
    Column("local", "local address"),
    Column("age", "time since it was acquired; older than the watch when it was open before", is_number=True),
    Column("unread", "bytes in the receive queue; of a listener: connections waiting", is_number=True),
    Column("unsent", "bytes in the send queue; of a listener: limit of waiting connections", is_number=True),
    Column("silent", "time since data was last received", is_number=True),
    Column("rtt", "smoothed round-trip time", is_number=True),
    Column("resent", "segments retransmitted in all", is_number=True),
    Column("timer", "kernel timer that is running"),
)
_ORIGINS = {"before": "before the watch", "inherited": "inherited", "unknown": "unknown", "traced": ""}


def socket_table(evidence: Evidence, first: Container[int], pid: int | None) -> TableView:
    """Return sockets, those of the birthplaces in ``first`` at the top; at most 2,000 rows, the rest is counted."""
    rows = [
        (place is None or place.id not in first, descriptor, socket, place)
        for descriptor, socket, place in joined(evidence)
        if descriptor.kind.is_socket
    ]
    rows.sort(key=lambda row: row[0])
    shown = tuple(
        _row(evidence, descriptor, socket, place, pid) for _, descriptor, socket, place in rows[:MAX_ROWS]
    )
    return TableView(COLUMNS, shown, len(rows) - len(shown))


def _row(
    evidence: Evidence,
    descriptor: Descriptor,
    socket: SocketState | None,
    place: Birthplace | None,
    pid: int | None,
) -> tuple[Cell, ...]:
    own = descriptor.pid == pid
    number = Cell(str(descriptor.fd) if own else f"{descriptor.pid}:{descriptor.fd}", float(descriptor.fd))
    age = age_ns(evidence, descriptor)
    aged = Cell("older" if age is None else format_duration(age), None if age is None else float(age))
    site = place.site if place is not None else None
    where = _ORIGINS.get(descriptor.origin.value, "")
    if site is not None:
        line = (
            "" if site.file is None or site.line is None else f" {site.file.rpartition('/')[2]}:{site.line}"
        )
        where = f"{site.function}{line}"
    elif place is not None:
        where = f"{place.role} ({place.syscall})"
    head = (number, Cell(descriptor.kind.value))
    if socket is None:
        empty = Cell("")
        return (*head, Cell("unknown"), Cell(printable(where)), empty, empty, aged, *(empty,) * 6)
    return (
        *head,
        Cell(printable(socket.state)),
        Cell(printable(where)),
        Cell(printable(endpoint(socket.raddr, socket.rport or None) or socket.name)),
        Cell(printable(endpoint(socket.laddr, socket.lport))),
        aged,
        _count(socket.rqueue_bytes),
        _count(socket.wqueue_bytes),
        _time(socket.last_data_recv_ms, 1_000_000),
        _time(socket.rtt_us, 1_000),
        _count(socket.total_retrans),
        Cell(_timer(socket)),
    )


def _count(value: int | None) -> Cell:
    return Cell("") if value is None else Cell(f"{value:,}", float(value))


def _time(value: int | None, unit_ns: int) -> Cell:
    return Cell("") if value is None else Cell(format_duration(value * unit_ns), float(value))


def _timer(socket: SocketState) -> str:
    if socket.timer is None or socket.timer == "off":
        return ""
    left = (
        "" if socket.timer_expires_ms is None else f" {format_duration(socket.timer_expires_ms * 1_000_000)}"
    )
    return f"{printable(socket.timer)}{left}"
