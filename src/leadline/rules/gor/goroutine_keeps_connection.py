"""Goroutines that wait for ever keep connections open (GOR101, goroutine-keeps-connection).

What it finds: a place where more and more goroutines are parked, each with a connection that it will not close before it
goes on: in a read without a deadline on which nothing ever comes, or on a channel or lock.

Why it matters: a connection is closed by whoever has it. While that goroutine is parked, `defer conn.Close()` does not run,
and the garbage collector keeps what a goroutine can reach. Each keeps a descriptor, a stack and whatever that refers to.

Needs: the Go runtime (connections, goroutines). Helps: births (where the connections were made, and whether they become
more), socket states (whether anything moves, whether the peer has gone), deadlines, what keeps connections reachable.

How it decides: connections whose protocol was not recognised as a pool's, net/http's or a database's, by the place that
made them and the place where their goroutines wait. Where no goroutine waits on a connection, a search of the heap may
find the one goroutine whose stack refers to it. Goroutines that have run between two looks, wait for a CPU, sleep, or
whose read has a deadline do not count. Of connections that this process dialed, at least 5 must have waited all the time
between two looks, or be silent for 5 s; with the younger ones that are silent since they were made they must outlive the
others of that place and come in all the time up to the end of the window, as in FDL101: a number alone is no fault.
Accepted connections never count: a server waits for its clients, in websockets and streams for days. Those whose peer
has closed are FDL603's. Confidence is that of the growth, times 0.9 where it is not known whether the read has a
deadline, times 0.9 where only stacks refer to the connections. Severity follows the time until the soft limit.

When it is wrong: subscriptions made one by one during the whole window by design, on which nothing was said yet. Then trace
longer, until a message comes.

What to do: where it waits in a read: set a read deadline, or close the connection when its context ends
(`context.AfterFunc(ctx, func() { conn.Close() })`). Where it waits for a channel or lock: give that wait an end, with
`select` and `ctx.Done()`.

References: net Conn.SetReadDeadline; context AfterFunc; runtime/netpoll.go.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import DescriptorKind
from leadline.evidence.owners import Hold, Owner
from leadline.model import Because, Finding, Layer, NotJudged, Severity, Site, Verdict, format_duration
from leadline.rules.connections import (
    MIN_COUNT,
    ConnectionNeeds,
    Group,
    Seen,
    connections,
    healthy,
    reference,
    silence_of,
    with_unsearched,
)
from leadline.rules.survival import Assessment
from leadline.rules.table import place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "GOR101", "goroutine-keeps-connection", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
MIN_SILENCE_NS = 5 * 10**9
"""A goroutine that was not there at the first look is taken for parked when nothing has moved for so long."""
FIRST_WORDS_NS = 2 * 10**9
"""A greeting may come so soon after a connection is made; what comes later is use."""
MIN_APART_NS = 2 * 10**9
"""Looks closer together than this do not tell a parked goroutine from a slow one."""
MANY_UNTOLD = 20
"""So many at one place after a single look are worth a second one."""
UNTOLD_DEADLINE_FACTOR = 0.9
STACK_FACTOR = 0.9
"""A word on a stack may be left over from an earlier call."""
MAX_SHARED = 1
"""Connections to which the stack of one goroutine refers: one that refers to many is their registry."""

_GENERAL = frozenset({"tcp", "tls", "unix", ""})
_ACTIVITIES = frozenset({"reading", "writing", "blocked", ""})
_AWAKE = frozenset({"running", "runnable", "sleep"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Connections and goroutines; births and sockets help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place whose parked goroutines keep more and more connections; else Cleared or NotJudged."""
    joined = seen.joined()
    general = [one for one in _with_keepers(joined) if _is_general(one)]
    dialed = [one for one in general if not _is_accepted(one, joined) and _is_parked(one, joined)]
    abandoned = [one for one in joined.book if one.hold is Hold.NOBODY and not one.peer_has_gone]
    verdicts: list[Verdict] = []
    untold = 0
    for group in _by_place(joined, dialed):
        kept = [one for one in group.members if one.keeper is not None]
        alike = with_unsearched(kept, abandoned)[len(kept) :]
        group = Group(group.pid, (*group.members, *alike), group.birthplace)  # noqa: PLW2901
        growth = joined.growth(group)
        settled = sum(_is_settled(one, joined) for one in group.members)
        if growth.rate_per_s is not None and settled >= MIN_COUNT:
            verdicts.append(_finding(joined, group, growth))
        elif joined.apart_ns(group.pid) is None and group.count >= MANY_UNTOLD:
            untold += group.count
    if verdicts:
        return verdicts
    if untold:
        return [
            NotJudged(
                code=INFO.code,
                name=INFO.name,
                missing=f"whether {untold} parked goroutines stay, and whether they become more: there was one look only",
                remedy="trace for some seconds, for example `leadline trace TARGET -d 15s`",
                count=untold,
                kind="tcp",
            )
        ]
    waiting = sum(one.goroutine is not None for one in general)
    return [
        healthy(
            INFO,
            "goroutines that wait with a connection",
            f"{waiting} goroutines wait with a connection of their own: {len(dialed)} on dialed ones on which nothing moves and"
            " that do not become more; the others were accepted, move, or have a limit",
            pattern="parked" if waiting else "none",
            count=waiting,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _with_keepers(seen: Seen) -> list[Owner]:
    """Return all owners; where none is known, the goroutine whose stack refers to that connection and to no other."""
    owners = [one.with_keeper for one in seen.book]
    counts = Counter((one.pid, one.keeper.goid) for one in owners if one.keeper is not None)
    return [
        one
        if one.keeper is None or counts[one.pid, one.keeper.goid] <= MAX_SHARED
        else replace(one, goroutine=None, goroutines=(), keeper=None)
        for one in owners
    ]


def _is_general(owner: Owner) -> bool:
    """Return whether a descriptor is a connection of the program's own, not of a pool or of a protocol that was recognised."""
    if owner.goroutine is None or owner.hold in {Hold.LISTENING, Hold.POOLED, Hold.HELD, Hold.HIJACKED}:
        return False
    if owner.descriptor is not None and owner.descriptor.kind not in {
        DescriptorKind.TCP,
        DescriptorKind.UNIX,
    }:
        return False
    found = owner.connection
    if found is None:
        return owner.descriptor is not None and (owner.hold is Hold.PARKED or owner.keeper is not None)
    return found.protocol in _GENERAL and found.activity in _ACTIVITIES and found.pool is None


def _is_accepted(owner: Owner, seen: Seen) -> bool:
    """Return whether a connection came in from outside; unknown counts as accepted, since that excuses more."""
    if owner.birthplace is not None and owner.birthplace.role in {"accepted", "dialed"}:
        return owner.birthplace.role == "accepted"
    if owner.descriptor is None or owner.socket is None or owner.socket.state == "LISTEN":
        return True
    return seen.table.is_accepted(owner.descriptor, owner.socket) or owner.socket.protocol != "tcp"


def _is_parked(owner: Owner, seen: Seen) -> bool:
    """Return whether the goroutine of a connection waits without a limit, and nothing has moved lately or since the birth."""
    found = owner.goroutine
    if found is None or found.state in _AWAKE or owner.moved is True or owner.peer_has_gone:
        return False
    if owner.has_no_read_deadline is False:
        return False
    if owner.silent_ns is None:
        return True
    age_ns = seen.age_ns(owner)
    since_birth = age_ns is not None and age_ns - owner.silent_ns <= FIRST_WORDS_NS
    return since_birth or owner.silent_ns >= MIN_SILENCE_NS


def _is_settled(owner: Owner, seen: Seen) -> bool:
    """Return whether a parked goroutine is known to have waited for long."""
    if owner.moved is False and (seen.apart_ns(owner.pid) or 0) >= MIN_APART_NS:
        return True
    return owner.silent_ns is not None and owner.silent_ns >= MIN_SILENCE_NS


def _by_place(seen: Seen, owners: list[Owner]) -> list[Group]:
    """Return owners grouped by where they were made and by where their goroutines wait."""
    parked: defaultdict[tuple[str, int], list[Owner]] = defaultdict(list)
    for one in owners:
        site = one.parked
        parked["" if site is None else f"{site.function} {site.line}", one.pid].append(one)
    groups = [group for members in parked.values() for group in seen.groups(members, _peer)]
    return sorted(groups, key=lambda group: (-group.count, group.pid, group.members[0].fd))


def _peer(owner: Owner) -> str:
    return "" if owner.socket is None else f"{owner.socket.raddr}:{owner.socket.rport}"


def _finding(seen: Seen, group: Group, growth: Assessment) -> Finding:
    """Return the finding; sites are the place that made the connections and, beside it, the place where goroutines wait."""
    sites = seen.sites(group)
    sample = next((one for one in group.members if one.moved is False), group.members[0])
    reads = sum(one.waits_to_read for one in group.members) * 2 > group.count
    confidence = growth.confidence
    if reads and any(one.has_no_read_deadline is None for one in group.members):
        confidence *= UNTOLD_DEADLINE_FACTOR
    if any(one.keeper is not None for one in group.members):
        confidence *= STACK_FACTOR
    stayed = sum(one.moved is False for one in group.members)
    left = seen.says_left(group.pid, growth)
    state = sample.goroutine.state if sample.goroutine is not None else "waiting"
    waits = (
        "a read without a deadline, on which nothing comes"
        if reads
        else f"state {state}, not on the connection"
    )
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=seen.severity(group.pid, growth),
        confidence=round(min(confidence, 0.99), 3),
        layer=Layer.RUNTIME,
        title=_title(group, sites),
        explanation=(
            f"These goroutines are parked in {waits}. Until they go on, nothing closes their connections."
            + (f" {left}" if left else "")
        ),
        remedy=(
            "Set a read deadline before the read, or close the connection when its context ends:"
            " `context.AfterFunc(ctx, func() { conn.Close() })`."
            if reads
            else "Give the wait an end: `select` on the channel and on `ctx.Done()`, so that the goroutine returns and its"
            " deferred Close runs."
        ),
        verify="`leadline goroutines TARGET --group` after the change: the number parked at this place must not grow.",
        kind=_kind(group),
        count=group.count,
        rate_per_s=None if growth.rate_per_s is None else round(growth.rate_per_s, 3),
        sites=sites,
        because=(
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME,
                says=f"Descriptor {sample.fd}: {sample.describe()}{silence_of(sample)}.",
            ),
            *_stayed(seen, group, sample, stayed),
            *seen.births(group, growth),
        ),
        against=_against(sample),
        related=("FDL101", "FDL603"),
        pid=group.pid,
    )


def _kind(group: Group) -> str:
    descriptor = group.members[0].descriptor
    return "tcp" if descriptor is None else descriptor.kind.report_word


def _title(group: Group, sites: tuple[Site, ...]) -> str:
    parked = next((site for site in sites if site.role == "parked"), None)
    made = next((site for site in sites if site.role in {"acquired", "caller"}), None)
    where = f" at {place(parked)}" if parked is not None else ""
    by = f" of {place(made)}" if made is not None else ""
    return f"{group.count} goroutines parked{where} keep {connections(group.count)}{by} open"


def _stayed(seen: Seen, group: Group, sample: Owner, stayed: int) -> tuple[Because, ...]:
    apart_ns = seen.apart_ns(group.pid)
    if not stayed or apart_ns is None:
        return ()
    says = f"{stayed} of them did not run in the {format_duration(apart_ns)} between two looks."
    return (Because(evidence=reference(sample), layer=Layer.RUNTIME, says=says),)


def _against(sample: Owner) -> tuple[Because, ...]:
    doubts = ["Subscriptions that are made one by one, on which nothing was said yet, look the same."]
    if sample.waits_to_read and sample.has_no_read_deadline is None:
        doubts.append("Whether the read has a deadline could not be read.")
    if sample.keeper is not None:
        doubts.append(
            "The goroutine's stack refers to the connection; that word may be left over from an earlier call."
        )
    return tuple(Because(evidence=reference(sample), layer=Layer.RUNTIME, says=says) for says in doubts)
