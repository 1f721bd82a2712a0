"""Run one rule on evidence and get its verdicts; what every rule's test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from evidence_builders import Scene
from leadline.app.diagnose import diagnose
from leadline.evidence import Evidence
from leadline.model import Cleared, Finding, NotJudged

if TYPE_CHECKING:
    from leadline.contracts import Rule
    from leadline.model import Verdict

__all__ = ["cleared", "finding", "is_silent_without", "not_judged", "verdicts"]

Kind = TypeVar("Kind", Finding, Cleared, NotJudged)


def verdicts(rule: Rule, seen: Scene | Evidence) -> list[Verdict]:
    """Return all verdicts of a rule; a rule that raises fails the test with its traceback."""
    evidence = seen.evidence() if isinstance(seen, Scene) else seen
    diagnosis = diagnose(evidence, [rule])
    assert not diagnosis.gaps, diagnosis.gaps[0].detail
    found: list[Verdict] = [*diagnosis.findings, *diagnosis.cleared, *diagnosis.not_judged]
    assert found, "a rule always answers"
    for verdict in found:
        assert (verdict.code, verdict.name) == (rule.info.code, rule.info.name)
        if isinstance(verdict, Finding):
            assert verdict.because, "a finding points at evidence"
            assert verdict.severity.rank >= rule.info.severity.rank, "worse than its Info allows"
            assert 0 < verdict.confidence <= 1
    return found


def finding(rule: Rule, seen: Scene | Evidence) -> Finding:
    """Return the only verdict, which must be a finding."""
    return _only(rule, seen, Finding)


def cleared(rule: Rule, seen: Scene | Evidence) -> Cleared:
    """Return the only verdict, which must clear."""
    return _only(rule, seen, Cleared)


def not_judged(rule: Rule, seen: Scene | Evidence) -> NotJudged:
    """Return the only verdict, which must say what is missing."""
    return _only(rule, seen, NotJudged)


def _only(rule: Rule, seen: Scene | Evidence, kind: type[Kind]) -> Kind:
    found = verdicts(rule, seen)
    assert len(found) == 1, found
    assert isinstance(found[0], kind), found[0]
    return found[0]


def is_silent_without(rule: Rule) -> bool:
    """Return whether the rule says what is missing when nothing at all was observed."""
    verdict = not_judged(rule, Evidence())
    return bool(verdict.missing and verdict.remedy)
