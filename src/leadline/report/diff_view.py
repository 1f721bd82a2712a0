"""What a comparison of two cases shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CaseView", "CodeRow", "DiffView", "Outcome", "PlaceRow", "Side"]


class Outcome(StrEnum):
    """What became of one birthplace, most urgent first."""

    NEW_LEAK = "new leak"
    STILL_LEAKING = "still leaking"
    NOT_COMPARABLE = "not comparable"
    FIXED = "fixed"
    UNCHANGED = "unchanged, healthy"

    @property
    def rank(self) -> int:
        """Return the place in a listing."""
        return list(Outcome).index(self)


@dataclass(frozen=True, slots=True)
class Side:
    """One birthplace in one case.

    Attributes:
        births_per_s: births divided by the length of the window.
        verdict: ``leaking``, ``unclear``, or the name of the healthy pattern.
        why: the rule's words for it.
        leak_per_s: growth by the leak, None when it is not leaking or not known.
    """

    births: int
    deaths: int
    alive: int
    births_per_s: float
    verdict: str
    why: str
    line: int | None
    leak_per_s: float | None = None

    @property
    def is_leaking(self) -> bool:
        """Return whether a leak rule found it leaking."""
        return self.verdict == "leaking"

    @property
    def is_clear(self) -> bool:
        """Return whether it was judged healthy."""
        return self.verdict not in ("leaking", "unclear")


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """One birthplace before and after; a side is None when nothing was acquired there. ``why`` explains the outcome."""

    kind: str
    role: str
    function: str
    file: str
    syscall: str
    before: Side | None
    after: Side | None
    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True)
class CaseView:
    """One case in the heading."""

    title: str
    mode: str
    duration_ns: int
    births: int
    births_per_s: float
    alive: int | None
    version: str


@dataclass(frozen=True, slots=True)
class CodeRow:
    """Findings of one rule other than the leak rules, counted before and after."""

    code: str
    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class DiffView:
    """The comparison; rows most urgent first. ``notes`` say what weakens it."""

    before: CaseView
    after: CaseView
    rows: tuple[PlaceRow, ...]
    others: tuple[CodeRow, ...]
    notes: tuple[str, ...]

    @property
    def leaks_remain(self) -> bool:
        """Return whether a place still leaks, or leaks newly."""
        return any(row.outcome in (Outcome.NEW_LEAK, Outcome.STILL_LEAKING) for row in self.rows)

    @property
    def is_unproven(self) -> bool:
        """Return whether a place that leaked before could not be compared: neither fixed nor still leaking."""
        return any(
            row.outcome is Outcome.NOT_COMPARABLE and row.before is not None and row.before.is_leaking
            for row in self.rows
        )
