"""Response bodies of the HTTP client are neither read nor closed (HTP101, response-body-held).

What it finds: client connections of net/http on which a response has come in and whose body nobody reads and nobody has
closed, for seconds: the program has the response, or has dropped it.

Why it matters: such a connection never goes back to its pool, so the next request dials a new one. Each keeps a descriptor
and two goroutines here, and a connection at the peer. The garbage collector does not help: the goroutines of the
connection keep it reachable.

Needs: the Go runtime (connections, goroutines). Helps: socket states (for how long nothing has moved), births (the line that
asked, and whether they become more), limits.

How it decides: per place that made them, or per host where the birth was not seen: 5 or more client connections whose
body is held, on which nothing has moved for at least 5 s (data on the socket where it is known, else the goroutines of the
connection between two looks, else since when the body is held). A connection that has served earlier requests was dialed by
whoever asked first, which says nothing of who asked last: those are told apart by their request (method and path), where 5
or more have the same one. A body whose holder is parked on another descriptor is on its way to somebody slow, as in a
proxy, and does not count; nor does one that a goroutine reads, such as a stream of events. Where nothing tells for how long,
it is not judged. Confidence is 0.95 when they become more all the time, 0.75 when not, 0.5 when not and data waits unread on
most of them, at most 0.6 after one look. Severity follows the time until the soft limit: critical below 10 min, high below a
week or without a limit, medium when they do not grow.

When it is wrong: programs that keep several answers open on purpose and read them one after the other, more than 5 s
apart; a proxy that waits for slow receivers and whose waiting goroutine was not recognised.

What to do: `defer resp.Body.Close()` directly after the error check of each request, also when only the status matters. Read
the body to its end (`io.Copy(io.Discard, resp.Body)`) where the connection shall be used again.

References: net/http Response.Body; net/http/transport.go (persistConn.readLoop, bodyEOFSignal).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.owners import Owner, reading_frame
from leadline.model import Because, Finding, Layer, NotJudged, Severity, Site, Verdict, format_duration
from leadline.rules.connections import (
    MIN_COUNT,
    ConnectionNeeds,
    Group,
    Seen,
    at,
    healthy,
    reference,
    silence_of,
    still_ns,
)

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "HTP101", "response-body-held", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
MIN_HELD_NS = 5 * 10**9
"""A program that reads a body begins within milliseconds; 5 s covers one that does other work first."""
GROWING_CONFIDENCE = 0.95
STANDING_CONFIDENCE = 0.75
ONE_LOOK_CONFIDENCE = 0.6
UNREAD_CONFIDENCE = 0.5
"""Data waits on the socket and their number stands still: a slow receiver behind a proxy looks like that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Connections and goroutines; sockets and births help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place whose response bodies stay, else Cleared, or NotJudged when they are too young."""
    joined = seen.joined()
    clients = joined.owners(role="client")
    held = [
        one
        for one in clients
        if one.connection is not None and one.connection.activity == "body-held" and not one.is_handed_on
    ]
    verdicts: list[Verdict] = []
    for group in _by_request(joined.groups(held, _host)):
        told = [held_ns(one, joined) for one in group.members]
        settled = sum(value is not None and value >= MIN_HELD_NS for value in told)
        if settled >= MIN_COUNT:
            verdicts.append(_finding(joined, group, settled))
        elif group.count >= MIN_COUNT:
            verdicts.append(_too_young(joined, group))
    if verdicts:
        return verdicts
    read = sum(one.connection is not None and one.connection.activity == "body-reading" for one in clients)
    reason = f"{len(clients)} client connections; {len(held)} with a body that nobody reads at the moment"
    return [
        healthy(
            INFO,
            "client connections",
            reason + (f", {read} whose body is being read" if read else ""),
            pattern="streaming" if read >= MIN_COUNT else "none",
            count=len(clients),
        )
    ]


RULE = Rule(INFO, Needs, judge)


def held_ns(owner: Owner, seen: Seen) -> int | None:
    """Return for how long nobody has read; None when nothing tells.

    Data on the socket decides where it is known: the connection's own goroutines rest while somebody else reads its body.
    """
    return owner.silent_ns if owner.silent_ns is not None else still_ns(owner, seen)


def _host(owner: Owner) -> str:
    return "" if owner.connection is None else owner.connection.host or ""


def _by_request(groups: Iterable[Group]) -> Iterator[Group]:
    """Yield the groups, those of reused connections by what was asked for last; rare requests stay together."""
    for group in groups:
        counts = Counter(_request(one) for one in group.members if _is_reused(one))
        often = {text for text, count in counts.items() if text and count >= MIN_COUNT}
        if not often or len(counts) == 1:
            yield group
            continue
        parts = [*sorted(often), ""]
        for part in parts:
            members = tuple(
                one for one in group.members if (_request(one) if _request(one) in often else "") == part
            )
            if members:
                yield Group(group.pid, members, group.birthplace)


def _request(owner: Owner) -> str:
    return "" if owner.connection is None else owner.connection.request or ""


def _is_reused(owner: Owner) -> bool:
    return owner.connection is not None and owner.connection.is_reused is True


def _asked_for(group: Group) -> str:
    """Return the request that all members have in common, "" when they differ or it is not known of one."""
    texts = {_request(one) for one in group.members}
    return texts.pop() if len(texts) == 1 else ""


def _too_young(seen: Seen, group: Group) -> NotJudged:
    one_look = seen.apart_ns(group.pid) is None
    return NotJudged(
        code=INFO.code,
        name=INFO.name,
        missing=f"for how long nobody has read {group.count} response bodies",
        remedy="look for at least 10 s, for example `leadline trace TARGET -d 15s`"
        + (": there was one look only" if one_look else ""),
        subject=f"response bodies{_of(group)}{at(seen.acquired(group))}",
        sites=seen.sites(group),
        count=group.count,
        kind="tcp",
    )


def _finding(seen: Seen, group: Group, settled: int) -> Finding:
    growth = seen.growth(group, is_lost=True)
    acquired = seen.acquired(group)
    sites = (*acquired[:1], *(group.parked or _holders(seen, group)), *acquired[1:])
    by_another = _by_another(seen, group)
    if by_another:  # the place that dialed is not the one to change: whoever has the response stands first
        dialed = tuple(msgspec.structs.replace(site, role="dialed") for site in acquired)
        sites = (*(group.parked or _holders(seen, group)), *dialed)
    unread = sum(one.socket is not None and bool(one.socket.rqueue_bytes) for one in group.members)
    if growth.rate_per_s is not None:
        confidence = GROWING_CONFIDENCE
    else:
        confidence = UNREAD_CONFIDENCE if 2 * unread > group.count else STANDING_CONFIDENCE
    if seen.apart_ns(group.pid) is None:
        confidence = min(confidence, ONE_LOOK_CONFIDENCE)
    sample = max(group.members, key=lambda one: (held_ns(one, seen) or 0, -one.fd))
    longest = format_duration(held_ns(sample, seen) or 0)
    left = seen.says_left(group.pid, growth)
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=seen.severity(group.pid, growth),
        confidence=confidence,
        layer=Layer.PROTOCOL,
        title=f"{group.count} response bodies{_of(group)} are neither read nor closed"
        + (at(sites) if not by_another else ""),
        explanation=(
            "An HTTP connection goes back to its pool only when the body of its response was read to the end or closed. On"
            f" {settled} of these nothing has moved for {format_duration(MIN_HELD_NS)} or longer, on one for {longest}: each next"
            f" request dials a new connection.{' ' + by_another if by_another else ''}{' ' + left if left else ''}"
        ),
        remedy=(
            "Put `defer resp.Body.Close()` directly after the error check of the request, also when only the status is read; read"
            " the body to its end if the connection shall be used again."
        ),
        verify="`leadline conns TARGET` after the change: none may stay with a body that is neither read nor closed.",
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
            *seen.births(group, growth),
        ),
        against=_against(seen, group, sample, unread, grows=growth.rate_per_s is not None),
        related=("FDL101", "HTP102"),
        pid=group.pid,
    )


def _against(seen: Seen, group: Group, sample: Owner, unread: int, *, grows: bool) -> tuple[Because, ...]:
    doubts = []
    reused = sum(map(_is_reused, group.members))
    if reused:
        doubts.append(
            f"{reused} of the connections have served earlier requests: who dialed them need not be who asked last."
        )
    if not grows:
        doubts.append("Their number did not grow all the time in the window.")
    if 2 * unread > group.count:
        doubts.append(
            f"Data waits unread on {unread} of them, as it does when a proxy waits for slow receivers."
        )
    if seen.apart_ns(group.pid) is None:
        doubts.append("There was one look only.")
    return tuple(Because(evidence=reference(sample), layer=Layer.RUNTIME, says=says) for says in doubts)


def _of(group: Group) -> str:
    """Return `` of GET /v1/prices from http://api.test:80``, as much of it as is known."""
    request = _asked_for(group)
    return (f" of {request}" if request else "") + (f" from {group.hosts}" if group.hosts else "")


def _holders(seen: Seen, group: Group) -> tuple[Site, ...]:
    """Return the place of the goroutines that have the responses at hand, where it is one place for most of them."""
    stacks = [seen.table.frames(one.known_to[0].stack) for one in group.members if len(one.known_to) == 1]
    places = [(frame, frames) for frames in stacks if (frame := reading_frame(frames)) is not None]
    if not places:
        return ()
    (found, count), *_ = Counter(frame for frame, _ in places).most_common(1)
    if 2 * count <= group.count:
        return ()
    frames = next(frames for frame, frames in places if frame == found)
    return (Site(function=found.function, file=found.file, line=found.line, role="parked", stack=frames),)


def _by_another(seen: Seen, group: Group) -> str:
    """Return that the named line need not be the one that holds the bodies; "" when most serve their first request."""
    reused = sum(map(_is_reused, group.members))
    if 2 * reused <= group.count:
        return ""
    place = at(seen.acquired(group))
    request = _asked_for(group)
    who = f"asked for {request} last" if request else "asked last"
    return (
        f"{reused} of these connections had served earlier requests: they were dialed{place}, and each body is held by"
        f" whoever {who}."
    )
