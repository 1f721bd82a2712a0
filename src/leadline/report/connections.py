"""Connections as rows: the kernel's state of each socket, what the program does with it, and who owns it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Retention,
    SocketState,
    Stack,
)
from leadline.evidence.owners import waiting_frame
from leadline.evidence.queries import age_ns, end_mono_ns, endpoint, joined, stacks
from leadline.model import SiteFrame, format_duration, printable
from leadline.report.sockets import Cell, Column, TableView

__all__ = ["SORTS", "ConnectionRow", "connection_rows", "connection_table", "reached_from", "sorted_rows"]

MAX_ROWS = 2_000
_PLUMBING = ("runtime.", "internal/", "syscall.", "sync.", "net.", "bufio.", "io.", "crypto/tls.")
"""Functions of packages that say of a wait only that something is read or written."""

ACTIVITIES = {
    "idle": "idle in its pool",
    "awaiting-response": "request sent, no answer yet",
    "body-held": "answered; body neither read nor closed",
    "body-reading": "body is being read",
    "in-use": "in use",
    "tls-handshake": "TLS handshake",
    "first-byte": "no byte of a request yet",
    "headers": "waits for the rest of the headers",
    "body": "waits for the rest of the body",
    "handler": "handler at work",
    "writing": "being written to",
    "keep-alive": "idle between requests",
    "hijacked": "taken over by a handler (hijacked)",
    "accepting": "accepts connections",
    "reading": "parked until data comes",
    "blocked": "its goroutine waits for something else",
    "no-goroutine": "no goroutine waits on it",
}
"""What each activity is called in tables."""


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One socket; texts are printable, "" is unknown or none; numbers are None when unknown.

    Attributes:
        pid, fd: the descriptor.
        kind: ``tcp``, ``udp``, ``unix`` ...
        protocol: what is spoken on it, as far as it was recognised, with ``+tls``.
        state: of the socket as the kernel names it.
        peer, local: addresses.
        host: as written in the URL, with its scheme.
        request: method and path that it is busy with.
        doing: what the program does with it, in words.
        activity: the same as one of the words of ``Connection.activity``; "" when unknown.
        goid: the goroutine that owns it or is parked on it.
        goroutine: that goroutine's state.
        site: where that goroutine is in the program: function and file:line.
        acquired: where the descriptor was made.
        since_ns: how long it is in this activity.
        age_ns: since it was made.
        deadline: in words: ``none``, ``in 12 s``, ``expired``.
        unread_bytes: received by the kernel, not read.
        reached: by whom it is still reachable, when that was searched.
        pool: number of its pool.
        held_by: Go type that keeps it out of its pool.
    """

    pid: int
    fd: int
    kind: str
    protocol: str
    state: str
    peer: str
    local: str
    host: str
    request: str
    doing: str
    activity: str
    goid: int | None
    goroutine: str
    site: str
    acquired: str
    since_ns: int | None
    age_ns: int | None
    deadline: str
    unread_bytes: int | None
    reached: str
    pool: int | None
    held_by: str


def connection_rows(evidence: Evidence) -> tuple[ConnectionRow, ...]:
    """Return every socket of the final descriptor table as a row, by pid and number."""
    reader = _Reader(evidence)
    return tuple(
        reader.row(descriptor, socket, place)
        for descriptor, socket, place in joined(evidence)
        if descriptor.kind.is_socket
    )


class _Reader:
    """Joins the records of the runtime by their keys, once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.uses = {(one.pid, one.fd): one for one in evidence.all(DescriptorUse)}
        self.connections = {(one.pid, one.fd): one for one in evidence.all(Connection)}
        self.goroutines = {(one.pid, one.goid): one for one in evidence.all(Goroutine)}
        self.retentions = {(one.pid, one.fd): one for one in evidence.all(Retention)}
        self.looked = {one.pid for one in evidence.all(GoRuntime)}
        self.stacks = stacks(evidence)
        self.end_ns = end_mono_ns(evidence)

    def row(
        self, descriptor: Descriptor, socket: SocketState | None, place: Birthplace | None
    ) -> ConnectionRow:
        key = (descriptor.pid, descriptor.fd)
        use, connection = self.uses.get(key), self.connections.get(key)
        state = "" if socket is None else socket.state
        goid = _goid(use, connection)
        goroutine = None if goid is None else self.goroutines.get((descriptor.pid, goid))
        activity = _activity(use, connection, state, was_looked=descriptor.pid in self.looked)
        site = None if connection is None else connection.handler or connection.site
        if site is None and goroutine is not None:
            site = _program_frame(goroutine, self.stacks)
        return ConnectionRow(
            pid=descriptor.pid,
            fd=descriptor.fd,
            kind=descriptor.kind.value,
            protocol=_protocol(connection),
            state=printable(state),
            peer="" if socket is None else printable(_peer(socket)),
            local="" if socket is None else printable(endpoint(socket.laddr, socket.lport)),
            host=_host(connection),
            request="" if connection is None else printable(connection.request or ""),
            doing=ACTIVITIES.get(activity, printable(activity)),
            activity=activity,
            goid=goid,
            goroutine="" if goroutine is None else printable(goroutine.state),
            site=_where(site),
            acquired="" if place is None else _where(place.site) or f"{place.role} ({place.syscall})",
            since_ns=self._since_ns(connection),
            age_ns=age_ns(self.evidence, descriptor),
            deadline=self._deadline(use, activity),
            unread_bytes=None if socket is None else socket.rqueue_bytes,
            reached=reached_from(self.retentions.get(key)),
            pool=None if connection is None else connection.pool,
            held_by="" if connection is None else printable(connection.held_by),
        )

    def _since_ns(self, connection: Connection | None) -> int | None:
        if connection is None or connection.since_mono_ns is None or self.end_ns is None:
            return None
        return max(self.end_ns - connection.since_mono_ns, 0)

    def _deadline(self, use: DescriptorUse | None, activity: str) -> str:
        """Return the deadline that ends the present wait, in words; "" when unknown or when nobody waits."""
        if use is None or not (use.reader_goid or use.writer_goid) or activity == "accepting":
            return ""
        mono_ns = use.read_deadline_mono_ns if use.reader_goid else use.write_deadline_mono_ns
        if mono_ns is None:
            return ""
        if mono_ns == 0:
            return "none"
        if mono_ns < 0 or (self.end_ns is not None and mono_ns <= self.end_ns):
            return "expired"
        return "set" if self.end_ns is None else f"in {format_duration(mono_ns - self.end_ns)}"


def _goid(use: DescriptorUse | None, connection: Connection | None) -> int | None:
    if connection is not None and connection.owner_goid is not None:
        return connection.owner_goid
    if use is not None:
        parked = use.reader_goid or use.writer_goid
        if parked is not None or use.syscall_goids:
            return parked if parked is not None else use.syscall_goids[0]
    return connection.goids[0] if connection is not None and connection.goids else None


def _activity(
    use: DescriptorUse | None, connection: Connection | None, state: str, *, was_looked: bool
) -> str:
    """Return what is done with a socket; "" when the runtime was not read."""
    if connection is not None:
        return connection.activity
    if use is not None and use.reader_goid is not None:
        return "accepting" if state == "LISTEN" else "reading"
    if use is not None and use.writer_goid is not None:
        return "writing"
    if use is not None and use.syscall_goids:
        return "in a system call"
    return "no-goroutine" if was_looked else ""


def _program_frame(goroutine: Goroutine, known: dict[int, Stack]) -> SiteFrame | None:
    """Return the frame of a goroutine that a person should read first.

    The program's own nearest to the leaf, else the ``go`` statement of the program that started it, else what a library is
    about, such as ``net/http.(*Server).Serve``; never the runtime's wait.
    """
    stack = None if goroutine.stack is None else known.get(goroutine.stack)
    frames: tuple[SiteFrame, ...] = () if stack is None else stack.frames
    created = goroutine.created_by
    candidates = frames if created is None else (*frames, created)
    for role in ("app", "module"):
        for frame in candidates:
            if frame.role == role:
                return frame
    telling = tuple(frame for frame in frames if not frame.function.startswith(_PLUMBING))
    if telling:
        return telling[0]
    above = waiting_frame(frame for frame in frames if frame.role != "runtime")
    return above if above is not None and not above.function.startswith(_PLUMBING[:3]) else created


def _protocol(connection: Connection | None) -> str:
    if connection is None:
        return ""
    return printable(
        connection.protocol + ("+tls" if connection.tls and connection.protocol != "tls" else "")
    )


def _host(connection: Connection | None) -> str:
    if connection is None or connection.host is None:
        return ""
    return printable(f"{connection.scheme}://{connection.host}" if connection.scheme else connection.host)


def _peer(socket: SocketState) -> str:
    return endpoint(socket.raddr, socket.rport or None) or socket.name


def _where(site: SiteFrame | None) -> str:
    if site is None:
        return ""
    place = "" if site.file is None or site.line is None else f" {site.file.rpartition('/')[2]}:{site.line}"
    return printable(f"{site.function}{place}")


def reached_from(retention: Retention | None) -> str:
    """Return who keeps a connection reachable, in words; "" when that was not searched or not found."""
    if retention is None or retention.verdict == "not-found":
        return ""
    if retention.verdict == "unreachable":
        return "nobody: the next garbage collection closes it"
    root = retention.roots[0] if retention.roots else None
    if root is None:
        return ""
    if root.kind == "goroutine":
        where = f" ({root.function})" if root.function else ""
        head = f"goroutine {root.goid}{where}"
    elif root.name:
        head = f"global {root.name}"
    else:
        head = f"a global used by {', '.join(root.users)}" if root.users else "a global"
    return printable(" -> ".join((head, *root.path)))


SORTS = ("fd", "state", "activity", "peer", "age", "since", "goroutine", "site", "unread")
"""What rows can be sorted by."""


def sorted_rows(rows: Iterable[ConnectionRow], by: str) -> list[ConnectionRow]:
    """Return the rows in another order; longest and largest first for times and sizes, unknown last.

    Args:
        rows: from :func:`connection_rows`.
        by: one of :data:`SORTS`.
    """
    keys = {
        "fd": lambda row: (row.pid, row.fd),
        "state": lambda row: (row.state, row.pid, row.fd),
        "activity": lambda row: (row.doing or "~", row.pid, row.fd),
        "peer": lambda row: (row.peer or "~", row.pid, row.fd),
        "age": lambda row: (row.age_ns is not None, -(row.age_ns or 0), row.fd),  # older than the watch first
        "since": lambda row: (row.since_ns is None, -(row.since_ns or 0), row.fd),
        "goroutine": lambda row: (row.goid is None, row.goid or 0, row.fd),
        "site": lambda row: (row.site or "~", row.pid, row.fd),
        "unread": lambda row: (-(row.unread_bytes or 0), row.fd),
    }
    return sorted(rows, key=keys[by])


COLUMNS = (
    Column("fd", "descriptor number", is_number=True),
    Column("peer", "remote address"),
    Column("host", "as written in the URL that it was dialed for"),
    Column("state", "state of the socket as the kernel names it"),
    Column("doing", "what the program does with it"),
    Column("protocol", "what is spoken on it, as far as it was recognised"),
    Column("goroutine", "the goroutine that owns it or is parked on it", is_number=True),
    Column("where", "where that goroutine is in the program", is_wide=True),
    Column("since", "how long it is in this activity", is_number=True),
    Column("request", "method and path of the HTTP request that it is busy with", is_wide=True),
    Column("deadline", "when the wait is given up"),
    Column("acquired at", "where the descriptor was made", is_wide=True),
    Column("age", "time since it was made; older than the watch when it was open before", is_number=True),
    Column(
        "reachable from", "what keeps it from the garbage collector, when that was searched", is_wide=True
    ),
)


def connection_table(evidence: Evidence) -> TableView:
    """Return the connections of a process whose runtime was read; no rows when it was not. At most 2,000 rows."""
    if not evidence.all(GoRuntime):
        return TableView(COLUMNS, (), 0)
    rows = sorted_rows(connection_rows(evidence), "activity")
    return TableView(COLUMNS, tuple(_cells(row) for row in rows[:MAX_ROWS]), max(len(rows) - MAX_ROWS, 0))


def _cells(row: ConnectionRow) -> tuple[Cell, ...]:
    goid = Cell("") if row.goid is None else Cell(str(row.goid), float(row.goid))
    return (
        Cell(str(row.fd), float(row.fd)),
        Cell(row.peer),
        Cell(row.host),
        Cell(row.state),
        Cell(row.doing),
        Cell(row.protocol or row.kind),
        goid,
        Cell(row.site),
        _time(row.since_ns, ""),
        Cell(row.request),
        Cell(row.deadline),
        Cell(row.acquired),
        _time(row.age_ns, "older"),
        Cell(row.reached),
    )


def _time(value_ns: int | None, unknown: str) -> Cell:
    return Cell(unknown) if value_ns is None else Cell(format_duration(value_ns), float(value_ns))
