"""Clients hold connections open on which they have never asked for anything (FDL202, silent-clients).

What it finds: many accepted connections, ESTABLISHED, on which less than a request has come in, nothing was ever
answered, and nothing has moved for 10 s: clients that never send their request or their TLS hello.

Why it matters: a Go server without ReadTimeout or ReadHeaderTimeout keeps a descriptor and a goroutine for each of them
for ever; TCP keepalive ends only connections of peers that vanished. It takes no fault in the service to be exhausted
this way, only a slow or hostile client.

Needs: socket states, the descriptor table, the process (its listening ports). Helps: births, the Go runtime (who waits for
them, until when).

How it decides: 10 or more established sockets on a port that this process listens on, with at most 63 bytes received
(the shortest ordinary HTTP request is longer), nothing sent, and no data for at least 10 s. Low; medium from 20 or from
a tenth of the soft limit; never more, because layer 4 does not show what the protocol expects. A websocket or an idle
keep-alive connection was answered once and is never counted, however long it is idle; nor is a long poll, whose request
has come in, nor a connection whose read has a deadline: that will end it. Confidence is 0.6, 0.8 where the runtime tells
that most have no read deadline.

When it is wrong: protocols in which clients connect first and speak much later, load balancers that keep spare
connections ready, and servers whose protocol says nothing to very short messages.

What to do: set http.Server.ReadHeaderTimeout (covers the TLS handshake too) and IdleTimeout; on raw listeners call
SetReadDeadline before the first read, and HandshakeContext with a deadline.

References: net/http Server.ReadHeaderTimeout; tcp(7) tcp_keepalive_time; RFC 9112.
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
from leadline.evidence.owners import Owner
from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Site, Verdict
from leadline.rules.fdl import owned
from leadline.rules.fdl.suspects import Living
from leadline.rules.table import Table, owners_of

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("FDL202", "silent-clients", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.MEDIUM)
MIN_COUNT = 10
MEDIUM_COUNT = 20
MEDIUM_SHARE = 0.1
MAX_RECEIVED_BYTES = 63
"""`GET / HTTP/1.1`, a Host of usual length and the header lines that every client adds come to more."""
MIN_SILENCE_MS = 10_000
"""Clients ask within milliseconds of connecting; ten seconds also covers slow networks."""
CONFIDENCE = 0.6
UNLIMITED_CONFIDENCE = 0.8
UNLIMITED_SHARE = 0.8
"""So many without a read deadline leave little doubt that the server sets none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Sockets, the table, and the process whose ports they came in on."""

    window: tuple[Window, ...]
    descriptors: tuple[Descriptor, ...]
    sockets: tuple[SocketState, ...]
    processes: tuple[ProcessInfo, ...]
    birthplaces: tuple[Birthplace, ...] | None = None
    stacks: tuple[Stack, ...] | None = None
    runtimes: tuple[GoRuntime, ...] | None = None
    goroutines: tuple[Goroutine, ...] | None = None
    uses: tuple[DescriptorUse, ...] | None = None
    connections: tuple[Connection, ...] | None = None
    pools: tuple[Pool, ...] | None = None
    retentions: tuple[Retention, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding per port with many silent clients; else Cleared, or NotJudged where the kernel tells too little."""
    table = Table.of(
        window=seen.window,
        descriptors=seen.descriptors,
        sockets=seen.sockets,
        processes=seen.processes,
        birthplaces=seen.birthplaces,
        owners=owners_of(seen),
    )
    silent: dict[tuple[int, int], list[SocketState]] = {}
    births: dict[tuple[int, int], Counter[int | None]] = {}
    owners: dict[tuple[int, int], list[Owner]] = {}
    idle, untold, limited, known = 0, 0, 0, set()
    for descriptor in seen.descriptors:
        socket = table.socket(descriptor)
        if (
            socket is None
            or socket.protocol != "tcp"
            or socket.state != "ESTABLISHED"
            or socket.inode in known
        ):
            continue
        if socket.lport is None or not table.is_accepted(descriptor, socket):
            continue
        known.add(socket.inode)
        sent = socket.bytes_sent if socket.bytes_sent is not None else socket.bytes_acked
        if socket.last_data_recv_ms is None or socket.bytes_received is None or sent is None:
            untold += 1
        elif socket.last_data_recv_ms >= MIN_SILENCE_MS:
            owner = table.owners.get(descriptor.pid, descriptor.fd)
            if _is_limited(owner):
                limited += 1
            elif sent <= 1 and socket.bytes_received <= MAX_RECEIVED_BYTES:
                owners.setdefault((descriptor.pid, socket.lport), []).append(owner)
                key = (descriptor.pid, socket.lport)
                silent.setdefault(key, []).append(socket)
                births.setdefault(key, Counter())[descriptor.birthplace] += 1
            else:
                idle += 1
    findings: list[Verdict] = [
        _finding(
            table,
            pid,
            port,
            sockets,
            sites=table.most_frequent_sites(births[pid, port]),
            owners=owners[pid, port],
        )
        for (pid, port), sockets in sorted(silent.items(), key=lambda item: (-len(item[1]), item[0]))
        if len(sockets) >= MIN_COUNT
    ]
    if findings:
        return findings
    if untold >= MIN_COUNT:
        return [
            NotJudged(
                code=INFO.code,
                name=INFO.name,
                missing=f"what moved on {untold} accepted connections (tcp_info)",
                remedy="run on a kernel whose sock_diag tells bytes received and sent (4.19 or later)",
                count=untold,
                kind="tcp",
            )
        ]
    few = sum(len(sockets) for sockets in silent.values())
    quiet = f"{few} have never asked for anything" if few else "each has asked for something"
    reason = f"{len(known)} accepted connections; {quiet}" if known else "no accepted connections"
    if idle:
        reason += f"; {idle} are idle, but were answered or have sent a request (keep-alive, websockets, long polls)"
    if limited:
        reason += f"; on {limited} a read deadline will end the wait"
    return [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="accepted connections",
            reason=reason,
            pattern="idle-but-answered" if idle else "none",
            count=len(known),
            kind="tcp",
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _is_limited(owner: Owner) -> bool:
    """Return whether the read that waits for the client has a deadline."""
    at_ns = None if owner.use is None else owner.use.read_deadline_mono_ns
    return at_ns is not None and at_ns != 0


def _finding(
    table: Table,
    pid: int,
    port: int,
    sockets: list[SocketState],
    *,
    sites: tuple[Site, ...],
    owners: list[Owner],
) -> Finding:
    count = len(sockets)
    living = Living((), owners=tuple(owners) if table.owners.was_read(pid) else ())
    unlimited = sum(one.use is not None and one.use.read_deadline_mono_ns == 0 for one in owners)
    limit = table.soft_limit(pid)
    many = count >= MEDIUM_COUNT or (limit is not None and count >= MEDIUM_SHARE * limit)
    nothing = sum(socket.bytes_received == 0 for socket in sockets)
    longest_ms = max(socket.last_data_recv_ms or 0 for socket in sockets)
    says = (
        f"{count} sockets ESTABLISHED on port {port}: {nothing} have received nothing at all, {count - nothing} at most"
        f" {MAX_RECEIVED_BYTES} bytes; none was ever answered; silent for up to {longest_ms / 1000:.0f} s."
    )
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.MEDIUM if many else Severity.LOW,
        confidence=UNLIMITED_CONFIDENCE if unlimited >= UNLIMITED_SHARE * count else CONFIDENCE,
        layer=Layer.PROTOCOL,
        title=f"{count} clients on port {port} hold a connection and have never asked for anything",
        explanation=(
            "A client that connects and sends no complete request, or no TLS hello, keeps a descriptor and a goroutine"
            " until it leaves: the server seems to wait without a time limit. What the protocol expects cannot be seen"
            " from here, so this may be by design."
        ),
        remedy=(
            "Set http.Server.ReadHeaderTimeout (it covers the TLS handshake) and IdleTimeout; on a raw listener set a read"
            " deadline before the first read and use HandshakeContext with a deadline."
        ),
        verify="`leadline trace TARGET` again: connections without a request must be gone after the time limit.",
        kind="tcp",
        count=count,
        sites=owned.with_parked(sites, living),
        because=(
            Because(evidence=f"socket:{sockets[0].inode}", layer=Layer.KERNEL, says=says),
            *owned.because(living),
        ),
        against=(
            Because(
                evidence=f"socket:{sockets[0].inode}",
                layer=Layer.PROTOCOL,
                says="Spare connections of a load balancer and protocols that speak late look the same.",
            ),
        ),
        related=("FDL301",),
        pid=pid,
    )
