"""leadline itself lost events (OBS101, lost-events).

What it finds: births and deaths that the tracing could not record, because a buffer or a map was full.

Why it matters: a lost death leaves a descriptor that is gone, a lost birth one without a stack. The final table
corrects the first (nothing is reported that it does not contain) and shows the second as of unknown origin; counts and
rates may still be low.

Needs: leadline's own cost and losses. Helps: gaps reported by probes.

How it decides: any lost event is reported; information up to 1 % of the events seen, low above.

When it is wrong: losses that no counter shows.

What to do: trace for a shorter time, without --follow, or at a quieter moment; report it with the case file when it
happens at ordinary load.

References: BPF ring buffer and map limits in the page of the probe trace_descriptors.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import SelfCost
from leadline.model import Because, Cleared, Finding, Gap, GapReason, Layer, Severity, Verdict

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("OBS101", "lost-events", since="0.1.0", stage=Stage.STABLE, severity=Severity.LOW)
LOW_SHARE = 0.01
"""Above this share, counts and rates are visibly wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """leadline's own account; gaps add what probes lost."""

    cost: tuple[SelfCost, ...]
    gaps: tuple[Gap, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding when events were lost, else Cleared."""
    cost = seen.cost[-1] if seen.cost else SelfCost(cpu_ns=0, rss_bytes=0, window_ns=0)
    overruns = [gap for gap in seen.gaps or () if gap.reason is GapReason.OVERRUN]
    lost = max(cost.lost_events, sum(gap.lost_count or 0 for gap in overruns))
    seen_events = (cost.births_seen or 0) + (cost.deaths_seen or 0)
    if not lost and not overruns:
        return [
            Cleared(
                code=INFO.code,
                name=INFO.name,
                subject="leadline's own recording",
                reason=f"{seen_events} events recorded, none lost",
                pattern="none",
                count=0,
            )
        ]
    share = lost / max(lost + seen_events, 1)
    because = [
        Because(
            evidence="self_cost:0",
            layer=Layer.KERNEL,
            says=f"{lost} events lost, {seen_events} recorded; {cost.stale_dropped} stale entries dropped.",
        )
    ]
    because += [
        Because(
            evidence=f"gap:{gap.probe}",
            layer=Layer.KERNEL,
            says=f"{gap.what}: {gap.detail or gap.reason.value}.",
        )
        for gap in overruns
    ]
    return [
        Finding(
            code=INFO.code,
            name=INFO.name,
            severity=Severity.LOW if share > LOW_SHARE else Severity.INFO,
            confidence=0.99,
            layer=Layer.KERNEL,
            title=f"leadline lost {lost} events ({100 * share:.2g} % of all); counts and rates may be low",
            explanation="What was lost is missing from births and deaths; the final table is exact all the same.",
            remedy="Trace for a shorter time, without --follow, or at a quieter moment.",
            verify="Trace again: no events may be lost.",
            count=lost,
            because=tuple(because),
        )
    ]


RULE = Rule(INFO, Needs, judge)
