"""What reports and exporters get beside the evidence: all verdicts of one diagnosis."""

from __future__ import annotations

from typing import Protocol

from leadline.model import Cleared, Finding, Gap, NotJudged

__all__ = ["Verdicts"]


class Verdicts(Protocol):
    """Verdicts in the order in which they are shown; ``app.diagnose.Diagnosis`` is one."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what is wrong, most severe first."""

    @property
    def cleared(self) -> tuple[Cleared, ...]:
        """Return what was looked at and is healthy."""

    @property
    def not_judged(self) -> tuple[NotJudged, ...]:
        """Return what could not be judged."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Return rules that failed; empty unless leadline has a fault."""
