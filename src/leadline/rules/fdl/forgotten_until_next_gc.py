"""Connections were dropped without Close and wait for the garbage collector (FDL602, forgotten-until-next-gc).

What it finds: connections that nothing in the program refers to any more and that were never closed. Go closes such a connection
by a finalizer, after the next garbage collection.

Why it matters: until then each holds a descriptor, and its peer waits. When that collection comes depends on how much the program
allocates, not on how many descriptors it has: a small service that hardly allocates may hold them for hours, or reach
its limit first.

Needs: the Go runtime and a search of the heap (--retention). Helps: socket states, births (the line that acquired them).

How it decides: per place that made them: 5 or more sockets without a goroutine, older than 1 s, that the search found
unreachable. When the collector is switched off, or has never run, they stay until something else happens: severity follows
the time until the soft limit, medium at least; else low, since they go at the latest two minutes after the last collection.
Confidence is 0.85, 0.5 when a collection has run in the window since the youngest of them was made and they are still there.

When it is wrong: connections that are held in ways which no search of the heap sees: by C code, through uintptr, in a sync.Pool.
That makes the closing late or never, not the finding void.

What to do: `defer conn.Close()` directly after the error check, before a defer that recovers. Never rely on the collector,
and do not call runtime.GC to close connections.

References: Go runtime/proc.go (forcegcperiod, 2 minutes; only after a first collection), runtime.SetFinalizer, net/fd_posix.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Descriptor, GoRuntime, Retention
from leadline.model import Because, Finding, Layer, Severity, Verdict, format_bytes, format_duration
from leadline.rules.connections import MIN_COUNT, ConnectionNeeds, Group, Seen, at, connections, healthy
from leadline.rules.fdl import forgotten

__all__ = ["INFO", "RULE", "Needs", "judge", "next_collection"]

INFO = RuleInfo(
    "FDL602", "forgotten-until-next-gc", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
FORCED_GC_NS = 120 * 10**9
"""runtime.forcegcperiod: an idle program collects at the latest so long after the last collection, if there was one."""
CONFIDENCE = 0.85
SURVIVED_CONFIDENCE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """What keeps connections reachable, and how the collector is doing; sockets and births help."""

    retentions: tuple[Retention, ...]
    descriptors: tuple[Descriptor, ...]


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place whose connections were dropped, else Cleared."""
    joined = seen.joined()
    members = [
        one
        for one in joined.book
        if one.retention is not None
        and one.retention.verdict == "unreachable"
        and forgotten.is_forgotten(one, joined)
    ]
    verdicts: list[Verdict] = [
        _finding(joined, group) for group in joined.groups(members, _peer) if group.count >= MIN_COUNT
    ]
    return verdicts or [
        healthy(
            INFO,
            "connections that nothing refers to",
            f"{connections(len(members))} without a goroutine cannot be reached"
            + (f", fewer than {MIN_COUNT} from one place" if members else ""),
            count=len(members),
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _peer(_owner: object) -> str:
    return ""


def next_collection(runtime: GoRuntime | None, end_ns: int) -> tuple[str, bool]:
    """Return when the next garbage collection comes, in words, and whether it may never come by itself.

    Args:
        runtime: None when it was not read.
        end_ns: end of the observation, CLOCK_MONOTONIC.
    """
    if runtime is None:
        return "when the next garbage collection comes is not known", False
    live, goal = runtime.heap_live_bytes, runtime.heap_goal_bytes
    heap = f"when the heap reaches {format_bytes(goal)}" if goal is not None and goal < 1 << 62 else ""
    now = f" (it has {format_bytes(live)} now)" if heap and live is not None else ""
    if runtime.gc_percent is not None and runtime.gc_percent < 0:
        return (
            "the collector is switched off (GOGC=off), so they stay until the program ends or calls it",
            True,
        )
    if runtime.gc_cycles == 0 or runtime.last_gc_mono_ns == 0:
        first = f"the first one comes {heap}{now}" if heap else "the first one comes when the heap has grown"
        return f"no collection has run yet; {first}, and without allocation it may take for ever", True
    if runtime.last_gc_mono_ns is None:
        return (
            f"the next collection comes {heap}{now}"
            if heap
            else "when the next collection comes is not known",
            False,
        )
    ago_ns = max(end_ns - runtime.last_gc_mono_ns, 0)
    latest = (
        f"at the latest 2 minutes after the last one, which ended {format_duration(ago_ns)} before the end of the observation"
        if ago_ns <= FORCED_GC_NS
        else f"the last one ended {format_duration(ago_ns)} before the end of the observation, so one is due"
    )
    return (
        f"the next collection comes {heap}{now}, {latest}" if heap else f"the next collection comes {latest}",
        False,
    )


def _finding(seen: Seen, group: Group) -> Finding:
    growth = seen.growth(group)
    runtime = seen.runtimes.get(group.pid)
    when, may_never = next_collection(runtime, seen.table.end_ns(group.pid))
    sites = seen.sites(group)
    survived = _survived(seen, group, runtime)
    left = seen.says_left(group.pid, growth) if may_never else ""
    youngest = group.members[0]
    against = (
        "A collection has run since they were made, and they are still there: they were dropped since, or are held in a way"
        " that a search of the heap does not see."
    )
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=seen.severity(group.pid, growth) if may_never else Severity.LOW,
        confidence=SURVIVED_CONFIDENCE if survived else CONFIDENCE,
        layer=Layer.RUNTIME,
        title=(
            f"{connections(group.count)}{at(sites)} {'was' if group.count == 1 else 'were'} dropped without Close;"
            " only a garbage collection will close them"
        ),
        explanation=(
            "Nothing refers to them any more, so the next collection closes them by their finalizers, and nothing else does:"
            f" {when}.{' ' + left if left else ''}"
        ),
        remedy=(
            "Put `defer conn.Close()` directly after the error check, before a defer that recovers. The collector knows nothing"
            " of descriptors: do not leave it to it, and do not call runtime.GC for it."
        ),
        verify="`leadline trace TARGET --retention` after the change: none may be unreachable and open.",
        kind="tcp" if youngest.descriptor is None else youngest.descriptor.kind.report_word,
        count=group.count,
        rate_per_s=None if growth.rate_per_s is None else round(growth.rate_per_s, 3),
        sites=sites,
        because=(
            Because(
                evidence=forgotten.reference(youngest),
                layer=Layer.RUNTIME,
                says=f"A search of the heap found nothing that reaches {group.count} of {group.count}.",
            ),
            *forgotten.because(group.members),
            *seen.births(group, growth),
        ),
        against=(Because(evidence=forgotten.reference(youngest), layer=Layer.RUNTIME, says=against),)
        if survived
        else (),
        related=("FDL102", "FDL101", "FDL601"),
        pid=group.pid,
    )


def _survived(seen: Seen, group: Group, runtime: GoRuntime | None) -> bool:
    """Return whether a collection has ended since the youngest of them was made."""
    if runtime is None or not runtime.gc_cycles_in_window or not runtime.last_gc_mono_ns:
        return False
    ages = [age for one in group.members if (age := seen.age_ns(one)) is not None]
    return bool(ages) and seen.table.end_ns(group.pid) - min(ages) < runtime.last_gc_mono_ns
