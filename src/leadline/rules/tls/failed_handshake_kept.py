"""Connections whose TLS handshake failed are still open (TLS102, failed-handshake-kept).

What it finds: connections with which no goroutine works, and whose TLS handshake never succeeded.

Why it matters: Neither tls.Client nor tls.Server owns the connection that it is given: when the handshake fails, the
caller has to close it. Each forgotten one keeps a descriptor; the garbage collector closes only those that nothing refers
to, and only when it runs.

Needs: the Go runtime (connections, goroutines), what keeps connections reachable. Helps: socket states, births.

How it decides: TCP connections on which no goroutine waits and with which none was seen to work. Those count whose
tls.Conn says that its handshake is not complete; where that was not found, those known to speak TLS on which at most 128
bytes ever came in: the shortest handshake takes more. 5 or more of one place that have been open for 5 s: medium, high
when they become more all the time, critical near the limit on descriptors. Where only some were searched and at least
four fifths of these failed, all of that place count. Confidence 0.9, or 0.7 by the bytes alone.

When it is wrong: connections prepared for a handshake that is to come later.

What to do: close the connection on every path: `defer conn.Close()` after the dial or accept, or `conn.Close()` where
Handshake returns an error. tls.Dial, tls.Dialer, http.Transport and http.Server do that themselves.

References: crypto/tls Client, Server, Conn.HandshakeContext; RFC 8446 section 4.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import DescriptorKind
from leadline.evidence.owners import Hold, Owner
from leadline.model import Because, Finding, Layer, NotJudged, Severity, Verdict
from leadline.rules.connections import (
    MIN_COUNT,
    ConnectionNeeds,
    Group,
    Seen,
    at,
    connections,
    healthy,
    reference,
    silence_of,
    with_unsearched,
)

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "TLS102", "failed-handshake-kept", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
MIN_AGE_NS = 5 * 10**9
"""A connection this old that nobody works with is not on its way to be closed."""
MAX_UNFINISHED_BYTES = 128
"""A resumed TLS 1.2 handshake takes 140 bytes from the server and more from the client; alerts and plain errors are shorter."""
SURE_CONFIDENCE = 0.9
BYTES_CONFIDENCE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Connections, goroutines and what keeps them reachable; sockets and births help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place whose failed handshakes stay; else Cleared, or NotJudged without a search of the heap."""
    joined = seen.joined()
    abandoned = [one for one in joined.book if _is_abandoned(one)]
    verdicts: list[Verdict] = []
    for group in joined.groups(abandoned, _peer):
        failed = tuple(one for one in group.members if _has_failed(one))
        if sum((joined.age_ns(one) or 0) >= MIN_AGE_NS for one in failed) >= MIN_COUNT:
            members = with_unsearched(failed, group.members)
            verdicts.append(_finding(joined, Group(group.pid, members, group.birthplace), failed[0]))
    if verdicts:
        return verdicts
    if len(abandoned) >= MIN_COUNT and seen.retentions is None:
        return [
            NotJudged(
                code=INFO.code,
                name=INFO.name,
                missing=f"what keeps {len(abandoned)} connections without a goroutine, and whether they speak TLS",
                remedy="search the heap with --retention",
                count=len(abandoned),
                kind="tcp",
            )
        ]
    return [
        healthy(
            INFO,
            "connections without a goroutine",
            f"{connections(len(abandoned))} without a goroutine; {sum(map(_has_failed, abandoned))} with a failed TLS"
            " handshake",
            count=len(abandoned),
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _is_abandoned(owner: Owner) -> bool:
    """Return whether no goroutine works with a TCP connection."""
    if owner.descriptor is None or owner.descriptor.kind is not DescriptorKind.TCP:
        return False
    return owner.hold is Hold.NOBODY and (owner.socket is None or owner.socket.state != "LISTEN")


def _is_sure(owner: Owner) -> bool:
    return owner.retention is not None and owner.retention.handshake_complete is False


def _has_failed(owner: Owner) -> bool:
    """Return whether the TLS handshake of an abandoned connection never succeeded."""
    retention, connection, socket = owner.retention, owner.connection, owner.socket
    if retention is not None and retention.handshake_complete is not None:
        return not retention.handshake_complete
    is_tls = (connection is not None and (connection.tls or connection.protocol == "tls")) or (
        retention is not None and retention.go_type == "*tls.Conn"
    )
    if not is_tls or socket is None or socket.bytes_received is None:
        return False
    return socket.bytes_received <= MAX_UNFINISHED_BYTES


def _peer(owner: Owner) -> str:
    return "" if owner.socket is None else f"{owner.socket.raddr}:{owner.socket.rport}"


def _finding(seen: Seen, group: Group, sample: Owner) -> Finding:
    growth = seen.growth(group, is_lost=True)
    sites = seen.sites(group)
    gone = sum(one.peer_has_gone for one in group.members)
    left = seen.says_left(group.pid, growth)
    sure = _is_sure(sample)
    says = (
        "its tls.Conn says that the handshake is not complete"
        if sure or sample.socket is None
        else f"it speaks TLS, and only {sample.socket.bytes_received} bytes ever came in, fewer than a handshake takes"
    )
    peers = f" The peers of {gone} of them have closed already." if gone else ""
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=seen.severity(group.pid, growth),
        confidence=SURE_CONFIDENCE if sure else BYTES_CONFIDENCE,
        layer=Layer.PROTOCOL,
        title=f"{connections(group.count)}{at(sites)} stayed open after the TLS handshake failed",
        explanation=(
            "Neither tls.Client nor tls.Server owns the connection that it is given: after a failed handshake the caller must"
            f" close it. No goroutine works with these.{peers}{' ' + left if left else ''}"
        ),
        remedy=(
            "Close the connection where Handshake returns an error, or put `defer conn.Close()` directly after the dial or"
            " accept; tls.Dial and tls.Dialer do that themselves."
        ),
        verify="`leadline conns TARGET` after the change: none may be left without a goroutine after a failed handshake.",
        kind="tcp",
        count=group.count,
        rate_per_s=None if growth.rate_per_s is None else round(growth.rate_per_s, 3),
        sites=sites,
        because=(
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME,
                says=f"Descriptor {sample.fd}: {sample.describe()}; {says}{silence_of(sample)}.",
            ),
            *seen.births(group, growth),
        ),
        related=("FDL101", "FDL102", "FDL201"),
        pid=group.pid,
    )
