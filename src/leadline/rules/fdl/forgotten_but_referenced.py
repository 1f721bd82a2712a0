"""Connections that nobody uses are still referenced (FDL601, forgotten-but-referenced).

What it finds: connections on which no goroutine waits and with which none was seen to work, while something in the program
can still reach them: an entry in a map, a slice, a list, a channel, a closure.

Why it matters: as long as it is reachable, the garbage collector will not close it, and nobody else does. This is the usual
end of a session whose goroutine has returned and whose entry was not removed. Each holds a descriptor, for ever.

Needs: the Go runtime and a search of the heap (--retention). Helps: socket states (whether the peer has left), births (the line
that acquired them, and whether they become more).

How it decides: per place that made them: 5 or more sockets without a goroutine that the search found reachable, older than
1 s, and on which it is settled that nobody attends to them: the peer closed 2 s ago or longer, data has waited unread for
1 s, or they become more all the time (the survival test of FDL101). Idle connections of a pool, however many, are neither;
nor is a connection that one goroutine keeps for itself on its stack, nor a duplicate (FDL402). Confidence is 0.9 for those
that a peer has left, 0.8 for the others; 0.2 less where only a word on a stack reaches them, which may be a left-over; 0.1
less after one look. Severity follows the time until the soft limit.

When it is wrong: event loops that wait for connections by an epoll of their own have no goroutine for any of them; when clients
leave, they close late or under load. "Reachable from" is a fact of that moment; it does not say whose duty it was to close.

What to do: where the session ends, remove its entry and close the connection, best in one deferred function; give entries a
time to live where their end may be missed.

References: Go runtime.SetFinalizer (netFD has one, so an unreachable connection is closed by a collection); net.Conn Close.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Descriptor, Retention
from leadline.evidence.owners import Owner
from leadline.model import Because, Finding, Layer, Severity, Verdict
from leadline.rules.connections import MIN_COUNT, ConnectionNeeds, Group, Seen, at, connections, healthy
from leadline.rules.fdl import forgotten

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL601", "forgotten-but-referenced", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
LEFT_CONFIDENCE = 0.9
GROWING_CONFIDENCE = 0.8
STACK_DOUBT = 0.2
"""A word on a stack may be left over from a call that has returned."""
ONE_LOOK_DOUBT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """What keeps connections reachable, and who waits on them; sockets and births help."""

    retentions: tuple[Retention, ...]
    descriptors: tuple[Descriptor, ...]


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place whose connections are forgotten and referenced, else Cleared."""
    joined = seen.joined()
    reached = [one for one in joined.book if _is_reachable(one) and forgotten.is_forgotten(one, joined)]
    keepers = Counter((one.pid, _keeper(one)) for one in reached)
    members = [one for one in reached if _keeper(one) is None or keepers[one.pid, _keeper(one)] > 1]
    verdicts: list[Verdict] = []
    for group in joined.groups(members, lambda one: one.kept):
        settled = [one for one in group.members if forgotten.is_settled(one)]
        if len(settled) >= MIN_COUNT:
            verdicts.append(
                _finding(joined, Group(group.pid, tuple(settled), group.birthplace), is_left=True)
            )
        elif group.count >= MIN_COUNT and joined.growth(group).rate_per_s is not None:
            verdicts.append(_finding(joined, group, is_left=False))
    if verdicts:
        return verdicts
    reason = f"{connections(len(members))} without a goroutine can be reached"
    if len(members) >= MIN_COUNT:
        reason += "; their peers are there, and they do not become more: a pool or a registry"
    return [
        healthy(
            INFO,
            "connections without a goroutine",
            reason,
            pattern="kept" if len(members) >= MIN_COUNT else "none",
            count=len(members),
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _is_reachable(owner: Owner) -> bool:
    """Return whether something reaches a connection itself; its duplicates are the business of FDL402."""
    if owner.birthplace is not None and owner.birthplace.role == "duplicated":
        return False
    return owner.retention is not None and owner.retention.verdict == "reachable"


def _keeper(owner: Owner) -> int | None:
    """Return the goroutine on whose stack alone a connection is; None when a global reaches it."""
    if owner.retention is None or not owner.retention.roots:
        return None
    first = owner.retention.roots[0]
    return first.goid if first.kind == "goroutine" else None


def _finding(seen: Seen, group: Group, *, is_left: bool) -> Finding:
    growth = seen.growth(group)
    kept = forgotten.most_frequent(one.kept for one in group.members)
    alike = [one for one in group.members if one.kept == kept]
    sample = alike[0] if alike else group.members[0]
    roots = () if sample.retention is None else sample.retention.roots
    sites = seen.sites(group)
    confidence = LEFT_CONFIDENCE if is_left else GROWING_CONFIDENCE
    if roots and roots[0].kind == "goroutine":
        confidence -= STACK_DOUBT
    if seen.apart_ns(group.pid) is None:
        confidence -= ONE_LOOK_DOUBT
    left = seen.says_left(group.pid, growth)
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=seen.severity(group.pid, growth),
        confidence=round(confidence, 3),
        layer=Layer.RUNTIME,
        title=f"{connections(group.count)}{at(sites)} that no goroutine uses {'is' if group.count == 1 else 'are'} still {kept}",
        explanation=(
            "Nobody reads them, nobody will close them, and the garbage collector may not, since something still refers to"
            f" them: {kept}.{' ' + left if left else ''}"
        ),
        remedy=(
            f"Where such a connection ends, remove it from {_holder(sample)} and close it, best in one deferred function of the"
            " goroutine that serves it."
        ),
        verify="`leadline trace TARGET --retention` after the change: none may be reachable without a goroutine.",
        kind="tcp" if group.members[0].descriptor is None else group.members[0].descriptor.kind.report_word,
        count=group.count,
        rate_per_s=None if growth.rate_per_s is None else round(growth.rate_per_s, 3),
        sites=sites,
        because=(
            Because(
                evidence=forgotten.reference(sample),
                layer=Layer.RUNTIME,
                says=f"{len(alike)} of {group.count}: {kept}{_others(sample)}.",
            ),
            *forgotten.because(group.members),
            *seen.births(group, growth),
        ),
        against=_against(seen, group, sample),
        related=("FDL102", "FDL101", "FDL602"),
        pid=group.pid,
    )


def _holder(owner: Owner) -> str:
    root = owner.retention.roots[0] if owner.retention is not None and owner.retention.roots else None
    if root is None:
        return "what refers to it"
    if root.kind == "goroutine":
        return f"what goroutine {root.goid} holds"
    return root.name or (
        f"the global that {', '.join(root.users)} use" if root.users else "the global that refers to it"
    )


def _others(owner: Owner) -> str:
    more = 0 if owner.retention is None else len(owner.retention.roots) - 1
    return f", and by {more} more {'way' if more == 1 else 'ways'}" if more > 0 else ""


def _against(seen: Seen, group: Group, sample: Owner) -> tuple[Because, ...]:
    doubts = []
    if (
        sample.retention is not None
        and sample.retention.roots
        and sample.retention.roots[0].kind == "goroutine"
    ):
        doubts.append(
            "Only a word on a stack reaches them, which may be left over from a call that has returned."
        )
    if seen.apart_ns(group.pid) is None:
        doubts.append("There was one look only: a goroutine may have been between two reads.")
    return tuple(
        Because(evidence=forgotten.reference(sample), layer=Layer.RUNTIME, says=says) for says in doubts
    )
