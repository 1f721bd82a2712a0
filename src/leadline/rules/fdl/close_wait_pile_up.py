"""Connections whose peer has closed wait for this process to close (FDL201, close-wait-pile-up).

What it finds: many open TCP sockets in CLOSE_WAIT: the peer has closed its side, the kernel has told this process, and
the process has not closed its own.

Why it matters: nothing but this process can end them, there is no timeout in the kernel. Each holds a descriptor.

Needs: socket states, the descriptor table. Helps: limits, births (how long each has been open), the Go runtime (which
goroutine is there and where it waits).

How it decides: 5 or more sockets of one process and one port in CLOSE_WAIT for at least 2 s. For how long is told by
the time since the last segment that acknowledged anything (the peer's FIN did); where the kernel does not say, sockets
count that were in CLOSE_WAIT already at the beginning or have been open for 5 s. Where there are 5, all in CLOSE_WAIT
at that port are counted. Medium; high from 100 sockets, or from a tenth of the soft limit.

When it is wrong: handlers that keep working for seconds after their client gave up, and then do close.

What to do: close the connection when a read returns io.EOF or any error; see the finding that explains it (FDL102 or
FDL101) for the line. A server that reads only while it expects a request does not notice the close: set a read or idle
timeout.

References: RFC 9293 section 3.6; tcp(7).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Pool,
    ProcessInfo,
    Retention,
    SocketState,
    Stack,
    Window,
)
from leadline.model import Because, Cleared, Finding, Layer, Severity, Verdict
from leadline.rules.fdl import owned
from leadline.rules.fdl.suspects import Living
from leadline.rules.table import Table, owners_of

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("FDL201", "close-wait-pile-up", since="0.1.0", stage=Stage.STABLE, severity=Severity.HIGH)
MIN_COUNT = 5
"""As for leaks: fewer may be on their way."""
MIN_WAIT_MS = 2000
"""A server under load closes within milliseconds of the peer's FIN."""
MIN_AGE_NS = 5_000_000_000
"""Age that stands for the wait where the kernel does not tell it."""
HIGH_COUNT = 100
HIGH_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Sockets and the table they belong to."""

    window: tuple[Window, ...]
    descriptors: tuple[Descriptor, ...]
    sockets: tuple[SocketState, ...]
    processes: tuple[ProcessInfo, ...] | None = None
    birthplaces: tuple[Birthplace, ...] | None = None
    stacks: tuple[Stack, ...] | None = None
    runtimes: tuple[GoRuntime, ...] | None = None
    goroutines: tuple[Goroutine, ...] | None = None
    uses: tuple[DescriptorUse, ...] | None = None
    connections: tuple[Connection, ...] | None = None
    pools: tuple[Pool, ...] | None = None
    retentions: tuple[Retention, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each process and port with a pile-up, else one Cleared."""
    table = Table.of(
        window=seen.window,
        descriptors=seen.descriptors,
        sockets=seen.sockets,
        processes=seen.processes,
        birthplaces=seen.birthplaces,
        owners=owners_of(seen),
    )
    piles: dict[tuple[int, str], list[SocketState]] = {}
    waited: Counter[tuple[int, str]] = Counter()
    sites: dict[tuple[int, str], Counter[int | None]] = {}
    fds: dict[tuple[int, str], list[int]] = {}
    known: set[int] = set()
    for descriptor in seen.descriptors:
        socket = table.socket(descriptor)
        if socket is None or socket.state != "CLOSE_WAIT" or socket.inode in known:
            continue
        known.add(socket.inode)
        key = (descriptor.pid, table.key(descriptor))
        waited[key] += _waits(table, descriptor, socket)
        piles.setdefault(key, []).append(socket)
        sites.setdefault(key, Counter())[descriptor.birthplace] += 1
        fds.setdefault(key, []).append(descriptor.fd)
    findings: list[Verdict] = [
        _finding(table, pid, where, sockets, sites[pid, where], living=_living(table, pid, fds[pid, where]))
        for (pid, where), sockets in sorted(piles.items(), key=lambda item: (-len(item[1]), item[0]))
        if waited[pid, where] >= MIN_COUNT
    ]
    if findings:
        return findings
    count = waited.total()
    reason = (
        "no open socket is in CLOSE_WAIT"
        if not count
        else f"only {count} wait in CLOSE_WAIT, fewer than {MIN_COUNT} at one port"
    )
    return [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="sockets in CLOSE_WAIT",
            reason=reason,
            pattern="none",
            count=count,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _waits(table: Table, descriptor: Descriptor, socket: SocketState) -> bool:
    """Return whether a socket has been in CLOSE_WAIT long enough."""
    before = table.earlier.get(socket.inode)
    if before is not None and before.state == "CLOSE_WAIT":
        return True
    if socket.last_ack_recv_ms is not None:
        return socket.last_ack_recv_ms >= MIN_WAIT_MS
    return table.end_ns(descriptor.pid) - descriptor.seen_since_mono_ns >= MIN_AGE_NS


def _living(table: Table, pid: int, fds: list[int]) -> Living:
    """Return what is known of the owners of one pile; nothing where the Go runtime was not read."""
    is_read = table.owners.was_read(pid)
    return Living((), owners=tuple(table.owners.get(pid, fd) for fd in fds) if is_read else ())


def _finding(
    table: Table,
    pid: int,
    where: str,
    sockets: list[SocketState],
    sites: Counter[int | None],
    *,
    living: Living,
) -> Finding:
    count = len(sockets)
    limit = table.soft_limit(pid)
    many = count >= HIGH_COUNT or (limit is not None and count >= HIGH_SHARE * limit)
    oldest_ms = max((socket.last_ack_recv_ms or 0 for socket in sockets), default=0)
    says = f"{count} sockets in CLOSE_WAIT, {where}" + (
        f"; the oldest for {oldest_ms / 1000:.0f} s." if oldest_ms else "."
    )
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.HIGH if many else Severity.MEDIUM,
        confidence=0.95,
        layer=Layer.KERNEL,
        title=f"{count} connections ({where}) were closed by the peer and not by this process",
        explanation=(
            "In CLOSE_WAIT the peer's close has arrived and only this process can finish; the kernel never times it out."
            " Either nobody reads these connections any more, or whoever read the end of file did not call Close."
        ),
        remedy=(
            "Close the connection when a read returns io.EOF or an error (`defer conn.Close()` first in its goroutine), and set"
            " read or idle timeouts so that somebody reads at all."
        ),
        verify="`leadline trace TARGET` again after the peers have left: no socket may stay in CLOSE_WAIT.",
        kind="tcp",
        count=count,
        sites=owned.with_parked(table.most_frequent_sites(sites), living),
        because=(
            Because(evidence=f"socket:{sockets[0].inode}", layer=Layer.KERNEL, says=says),
            *owned.because(living),
        ),
        related=("FDL102", "FDL101"),
        pid=pid,
    )
