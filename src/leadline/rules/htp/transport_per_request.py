"""An HTTP transport is made for each request and never used again (HTP102, transport-per-request).

What it finds: many `http.Transport` values of one process, each with a single idle connection to the same host.

Why it matters: a transport is a pool of connections. One that is made for a request and dropped keeps its idle connection,
two goroutines and a descriptor, for ever when its IdleConnTimeout is 0, and no other request can use them. The garbage
collector does not help: the goroutines keep both reachable.

Needs: the Go runtime (connections, goroutines), pools. Helps: births (the line that asks, and whether they become more),
socket states (that a connection was used once), limits.

How it decides: transports with exactly one connection, idle in it, used only in the first 2 s of its life, by host and
place that made them. A leak by the survival of what that place made, as in FDL101: 5 or more that outlived the others and
come in all the time up to the end of the window; confidence 0.9 at most, severity by the time until the soft limit.
Besides 50 or more to one host of which none ran between two looks: medium, confidence 0.7, also when no new ones came.

When it is wrong: one transport per user or tenant by design, all to the same host (a gateway), each used rarely. Those that were
used in the window are not counted.

What to do: make one http.Client (and Transport) and use it for all requests: both are safe for use by many goroutines. Where
each request needs its own, call `transport.CloseIdleConnections` when done, or set `DisableKeepAlives`.

References: net/http Transport, Client; net/http/transport.go (tryPutIdleConn, IdleConnTimeout).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Pool
from leadline.evidence.owners import Owner
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
)
from leadline.rules.survival import Assessment

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "HTP102", "transport-per-request", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
TRANSPORT = "net/http.Transport"
USED_ONCE_NS = 2 * 10**9
"""Data later than this after the birth means that the connection was used a second time."""
MANY = 50
"""No program needs so many pools of one connection each to one host at once."""
GROWING_CONFIDENCE = 0.9
STANDING_CONFIDENCE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Connections and the pools they belong to; births and sockets help."""

    pools: tuple[Pool, ...]


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each host and place with a transport per request; else Cleared or NotJudged."""
    joined = seen.joined()
    by_host: defaultdict[str, list[Owner]] = defaultdict(list)
    transports = [pool for pool in seen.pools if pool.kind == TRANSPORT]
    for pool in transports:
        if len(pool.fds) != 1 or (pool.open or 1) != 1:
            continue
        owner = joined.book.get(pool.pid, pool.fds[0])
        connection = owner.connection
        if connection is not None and connection.activity == "idle" and not _is_used_again(owner, joined):
            by_host[connection.host or pool.name].append(owner)
    verdicts: list[Verdict] = []
    for host, owners in sorted(by_host.items()):
        for group in joined.groups(owners, lambda _: host):  # noqa: B023  called before the next host
            verdict = _verdict(joined, host, group)
            if verdict is not None:
                verdicts.append(verdict)
    if verdicts:
        return verdicts
    single = sum(len(owners) for owners in by_host.values())
    return [
        healthy(
            INFO,
            "HTTP transports",
            f"{len(transports)} of net/http.Transport; {single} with one idle connection that was used once,"
            " and none of them to the same host again and again",
            count=len(transports),
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _is_used_again(owner: Owner, seen: Seen) -> bool:
    """Return whether a connection served more than one request, as far as its socket or its goroutines tell."""
    descriptor, silent_ns, age_ns = owner.descriptor, owner.silent_ns, seen.age_ns(owner)
    if descriptor is None or descriptor.born_mono_ns is None or silent_ns is None or age_ns is None:
        return owner.moved is True
    return age_ns - silent_ns > USED_ONCE_NS


def _verdict(seen: Seen, host: str, group: Group) -> Verdict | None:
    growth = seen.growth(group)
    if growth.rate_per_s is not None and group.count >= MIN_COUNT:
        return _finding(seen, host, group, growth, min(growth.confidence, GROWING_CONFIDENCE))
    still = sum(one.moved is False for one in group.members)
    if still >= MANY:
        return _finding(seen, host, group, growth, STANDING_CONFIDENCE)
    if group.count >= MANY and seen.apart_ns(group.pid) is None:
        return NotJudged(
            code=INFO.code,
            name=INFO.name,
            missing=f"whether {group.count} transports to {host} are used again: there was one look only",
            remedy="look for some seconds, for example `leadline trace TARGET -d 15s`",
            subject=f"HTTP transports to {host}",
            sites=seen.sites(group),
            count=group.count,
            kind="tcp",
        )
    return None


def _finding(seen: Seen, host: str, group: Group, growth: Assessment, confidence: float) -> Finding:
    sites = seen.sites(group)
    sample = group.members[0]
    left = seen.says_left(group.pid, growth)
    grows = growth.rate_per_s is not None
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=seen.severity(group.pid, growth),
        confidence=confidence,
        layer=Layer.PROTOCOL,
        title=f"{group.count} HTTP transports keep one idle connection each to {host}{at(sites)}",
        explanation=(
            "Each http.Transport is a pool of its own. These have one connection each that was used once and is idle since; no"
            " other request can use it, and only an IdleConnTimeout (default of a new Transport: none) or the peer ends it."
            f"{' ' + left if left else ''}"
        ),
        remedy=(
            "Make one http.Client with one Transport and use it for all requests; or call CloseIdleConnections when done with one"
            " that is used once."
        ),
        verify=f"`leadline conns TARGET` after the change: few idle connections to {host}, all of one pool.",
        kind="tcp",
        count=group.count,
        rate_per_s=None if growth.rate_per_s is None else round(growth.rate_per_s, 3),
        sites=sites,
        because=(
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME,
                says=f"Descriptor {sample.fd}: {sample.describe()}{silence_of(sample)}.",
            ),
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME,
                says=f"{connections(group.count)} to {host} belong to {group.count} different transports.",
            ),
            *seen.births(group, growth),
        ),
        against=()
        if grows
        else (
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME,
                says="Their number did not grow all the time in the window.",
            ),
        ),
        related=("FDL101", "HTP101"),
        pid=group.pid,
    )
