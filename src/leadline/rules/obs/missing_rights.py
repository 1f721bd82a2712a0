"""leadline could not see everything (OBS102, missing-rights).

What it finds: looks that were refused or are not possible on this host, and what would make them possible.

Why it matters: what was not seen was not judged. A report without findings means little when the probe that would have
found something was refused.

Needs: the observed window. Helps: gaps reported by probes.

How it decides: every gap for lack of rights or of a kernel feature is listed with its remedy; always information, since
it says nothing about the target. Gaps because the target ended, or because something was switched off on purpose, are
not listed.

When it is wrong: a gap that does not matter for the question at hand.

What to do: give the right that the gap names, or accept the smaller view; `leadline capabilities` shows what this host
allows.

References: capabilities(7); bpf(2).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Window
from leadline.model import Because, Cleared, Finding, Gap, GapReason, Layer, Severity, Verdict

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("OBS102", "missing-rights", since="0.1.0", stage=Stage.STABLE, severity=Severity.INFO)
REASONS = (GapReason.NOT_PERMITTED, GapReason.UNSUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """That something was observed at all; gaps say what was not."""

    window: tuple[Window, ...]
    gaps: tuple[Gap, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return one finding that lists the blind spots, else Cleared."""
    blind = [gap for gap in seen.gaps or () if gap.reason in REASONS]
    if not blind:
        return [
            Cleared(
                code=INFO.code,
                name=INFO.name,
                subject="leadline's own view",
                reason=f"nothing was refused (mode {seen.window[-1].mode})",
                pattern="none",
                count=0,
            )
        ]
    remedies = list(dict.fromkeys(gap.remedy for gap in blind if gap.remedy))
    names = list(dict.fromkeys(gap.what for gap in blind))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [
        Finding(
            code=INFO.code,
            name=INFO.name,
            severity=Severity.INFO,
            confidence=0.99,
            layer=Layer.KERNEL,
            title=f"leadline could not see: {'; '.join(names[:3])}{more}",
            explanation="What could not be seen was not judged; no finding about it does not mean that it is healthy.",
            remedy="; ".join(remedies) if remedies else "Nothing can be done on this host.",
            verify="`leadline capabilities` shows what this host allows.",
            count=len(names),
            because=tuple(
                Because(
                    evidence=f"gap:{gap.probe}",
                    layer=Layer.KERNEL,
                    says=f"{gap.what}: {gap.reason.value}{f', {gap.detail}' if gap.detail else ''}.",
                )
                for gap in blind
            ),
        )
    ]


RULE = Rule(INFO, Needs, judge)
