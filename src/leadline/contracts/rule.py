"""What a rule is: an Info record, a Needs dataclass and a pure ``judge``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from leadline.model import Severity, Verdict

__all__ = ["Rule", "RuleInfo", "Stage"]


class Stage(StrEnum):
    """Life of a rule."""

    PREVIEW = "preview"
    STABLE = "stable"
    DEPRECATED = "deprecated"


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """Identity of a rule; ``severity`` is the worst it reports."""

    code: str
    name: str
    since: str
    stage: Stage
    severity: Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the engine sees it.

    Attributes:
        needs: a frozen dataclass. Each field is ``tuple[Kind, ...]`` (required) or ``tuple[Kind, ...] | None = None`` (helps).
            The engine fills it from the evidence; a required kind that was not observed gives NotJudged without calling
            ``judge``.
        judge: pure; returns one verdict per subject (at least one in all; Cleared with pattern ``none`` when there was
            nothing to see).
    """

    info: RuleInfo
    needs: type[Any]
    judge: Callable[[Any], Iterable[Verdict]]
