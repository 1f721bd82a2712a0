"""Clients that let a server wait without a limit in time: the judgement that HTP103 and TLS101 share.

A client counts when its connection is in one of the given activities, the read that waits for it has no deadline, and it has
kept the server waiting for at least 10 s. Whether there is a deadline is a fact of the descriptor where the runtime tells it;
else the limits of its HTTP server decide.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

from leadline.contracts import RuleInfo
from leadline.evidence.owners import Owner
from leadline.model import (
    Because,
    Finding,
    Layer,
    NotJudged,
    Severity,
    Site,
    Verdict,
    format_duration,
)
from leadline.rules.connections import ConnectionNeeds, Group, Seen, healthy, reference, silence_of, still_ns

__all__ = ["MIN_CLIENTS", "MIN_WAIT_NS", "Words", "has_limit", "judge_waiting", "waited_ns"]

MIN_CLIENTS = 10
"""A handful are spare connections of browsers and load balancers."""
HIGH_COUNT = 100
HIGH_SHARE = 0.1
MIN_WAIT_NS = 10 * 10**9
"""Clients send a request within milliseconds of connecting; ten seconds also covers slow networks."""
SURE_CONFIDENCE = 0.9
SET_CONFIDENCE = 0.8
"""The limits of the server are known, but not the deadline of the read itself, which the program may have set."""

_SAYS = {
    "first-byte": "have sent nothing",
    "tls-handshake": "have not finished the TLS handshake",
    "headers": "have sent a part of a request's header",
    "body": "have sent a part of a request's body",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one of the rules says.

    Attributes:
        activities: of connections that it looks at.
        lets_wait: what the clients do, after "23 clients on port 8080".
        explanation, remedy, verify: as in Finding.
        related: codes of rules.
    """

    activities: tuple[str, ...]
    lets_wait: str
    explanation: str
    remedy: str
    verify: str
    related: tuple[str, ...]


def judge_waiting(info: RuleInfo, seen: ConnectionNeeds, words: Words) -> list[Verdict]:
    """Return a finding per port where clients let the server wait without a limit; else Cleared, or NotJudged."""
    joined = seen.joined()
    servers = [one for one in joined.owners() if _is_served(one, words)]
    by_port: defaultdict[tuple[int, int], list[Owner]] = defaultdict(list)
    limited, untold = 0, []
    for one in servers:
        if one.connection is None or one.connection.activity not in words.activities:
            continue
        if (waited_ns(one, joined) or 0) < MIN_WAIT_NS:
            continue
        limit = has_limit(one)
        if limit is None:
            untold.append(one)
        elif limit:
            limited += 1
        else:
            by_port[one.pid, _port(one)].append(one)
    findings: list[Verdict] = [
        _finding(info, joined, words, port, joined.groups(members, lambda _: ""))
        for (_, port), members in sorted(by_port.items(), key=lambda item: (-len(item[1]), item[0]))
        if len(members) >= MIN_CLIENTS
    ]
    if findings:
        return findings
    if len(untold) >= MIN_CLIENTS:
        return [
            NotJudged(
                code=info.code,
                name=info.name,
                missing=f"whether the server limits the time of {len(untold)} clients that let it wait (read deadlines)",
                remedy=(
                    "use a release of Go whose read deadlines can be read (1.21 to 1.27), or look whether the server sets"
                    " ReadHeaderTimeout"
                ),
                count=len(untold),
                kind="tcp",
            )
        ]
    few = sum(len(members) for members in by_port.values())
    others = Counter(one.connection.activity for one in servers if one.connection is not None)
    idle = others["keep-alive"] + others["hijacked"] + others["handler"]
    parts = [
        f"{few} let the server wait without a limit" if few else "none lets the server wait without a limit"
    ]
    if limited:
        parts.append(f"{limited} within a limit")
    if idle:
        parts.append(f"{idle} {'is' if idle == 1 else 'are'} between requests, in a handler or a websocket")
    reason = f"of {len(servers)} {'connection' if len(servers) == 1 else 'connections'} {', '.join(parts)}"
    return [
        healthy(
            info,
            "clients of HTTP and TLS servers",
            reason,
            pattern="limited" if limited else "answered" if idle else "none",
            count=len(servers),
        )
    ]


def _is_served(owner: Owner, words: Words) -> bool:
    found = owner.connection
    if found is None or found.role == "client":
        return False
    return found.role == "server" or found.activity in words.activities


def has_limit(owner: Owner) -> bool | None:
    """Return whether the wait for a client ends by itself; None when neither deadline nor limits are known."""
    deadline_less = owner.has_no_read_deadline
    if deadline_less is not None:
        return not deadline_less
    found = owner.connection
    if found is None:
        return None
    limits = (
        [found.read_limit_ns] if found.activity == "body" else [found.header_limit_ns, found.read_limit_ns]
    )
    if any(limit is not None and limit > 0 for limit in limits):
        return True
    return None if any(limit is None for limit in limits) else False


def waited_ns(owner: Owner, seen: Seen) -> int | None:
    """Return for how long a client has let the server wait; None when nothing tells.

    Before the first byte and in the handshake that is the age of the connection; in a header too, while nothing was ever
    answered, since a header that drips in is none; in a body only silence counts, since a long one takes its time.
    """
    told = [still_ns(owner, seen)]
    activity = "" if owner.connection is None else owner.connection.activity
    is_new = activity in {"first-byte", "tls-handshake"} or (
        activity == "headers" and not _was_answered(owner)
    )
    if is_new:
        told.append(seen.age_ns(owner))
    return max((value for value in told if value is not None), default=None)


def _was_answered(owner: Owner) -> bool:
    """Return whether anything was ever sent on a connection, as far as its socket tells."""
    if owner.socket is None:
        return True
    sent = owner.socket.bytes_sent if owner.socket.bytes_sent is not None else owner.socket.bytes_acked
    return sent is None or sent > 1


def _port(owner: Owner) -> int:
    return 0 if owner.socket is None or owner.socket.lport is None else owner.socket.lport


def _finding(info: RuleInfo, seen: Seen, words: Words, port: int, groups: list[Group]) -> Finding:
    members = [one for group in groups for one in group.members]
    count, pid = len(members), members[0].pid
    soft = seen.table.soft_limit(pid)
    many = count >= HIGH_COUNT or (soft is not None and count >= HIGH_SHARE * soft)
    sample = max(members, key=lambda one: (waited_ns(one, seen) or 0, -one.fd))
    longest = format_duration(waited_ns(sample, seen) or 0)
    kinds = Counter(one.connection.activity for one in members if one.connection is not None)
    parts = ", ".join(
        f"{kinds[activity]} {_SAYS[activity]}" for activity in words.activities if kinds[activity]
    )
    sure = all(one.has_no_read_deadline for one in members)
    where = f" on port {port}" if port else ""
    return Finding(
        code=info.code,
        name=info.name,
        severity=Severity.HIGH if many else Severity.MEDIUM,
        confidence=SURE_CONFIDENCE if sure else SET_CONFIDENCE,
        layer=Layer.PROTOCOL,
        title=f"{count} clients{where} {words.lets_wait}, and the server waits without a limit",
        explanation=f"{parts[:1].upper()}{parts[1:]}; one has let the server wait for {longest}. {words.explanation}",
        remedy=words.remedy,
        verify=words.verify,
        kind="tcp",
        count=count,
        sites=_sites(seen, groups),
        because=(
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME,
                says=f"Descriptor {sample.fd}: {sample.describe()}{silence_of(sample)}.",
            ),
        ),
        against=()
        if sure
        else (
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME,
                says="The server sets no limit; a deadline that the program set on a connection could not be read.",
            ),
        ),
        related=words.related,
        pid=pid,
    )


def _sites(seen: Seen, groups: list[Group]) -> tuple[Site, ...]:
    """Return where most of them were accepted and where their goroutines wait."""
    placed = next((group for group in groups if group.birthplace is not None), groups[0])
    return seen.sites(placed)
