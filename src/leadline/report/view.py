"""The view model: what every face shows, in the order and the words in which it is shown.

Every string that may come from the target is already :func:`~leadline.model.printable`.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadline.model import Severity
from leadline.report.census import CensusView
from leadline.report.retention import RetentionView
from leadline.report.series import Series, TimelineView
from leadline.report.sockets import TableView

__all__ = [
    "BecauseView",
    "ClearedView",
    "FindingView",
    "FrameGroup",
    "FrameView",
    "GapView",
    "GroupView",
    "NotJudgedView",
    "PlaceView",
    "ReportView",
    "SiteView",
    "SourceLine",
]


@dataclass(frozen=True, slots=True)
class FrameView:
    """One frame; ``place`` is ``quote.go:42``, ``path`` the same with the whole path; both "" when unknown."""

    function: str
    place: str
    path: str
    is_inlined: bool


@dataclass(frozen=True, slots=True)
class FrameGroup:
    """Neighbouring frames of the same sort; folded ones are named by ``packages``, the reader's own are never folded."""

    is_own: bool
    is_folded: bool
    frames: tuple[FrameView, ...]
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of source; ``is_hit`` is the line that the site names."""

    number: int
    text: str
    is_hit: bool


@dataclass(frozen=True, slots=True)
class SiteView:
    """One place in the source."""

    role: str
    function: str
    path: str
    groups: tuple[FrameGroup, ...]
    source: tuple[SourceLine, ...]


@dataclass(frozen=True, slots=True)
class BecauseView:
    """One piece of evidence."""

    layer: str
    says: str
    evidence: str


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding; ``sure`` is its confidence in words, ``facts`` short labelled values."""

    code: str
    name: str
    severity: Severity
    title: str
    sure: str
    facts: tuple[tuple[str, str], ...]
    sites: tuple[SiteView, ...]
    explanation: str
    because: tuple[BecauseView, ...]
    against: tuple[BecauseView, ...]
    remedy: str
    verify: str
    explained_by: str
    related: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClearedView:
    """Something healthy, and why."""

    code: str
    pattern: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class NotJudgedView:
    """Something that could not be judged; ``codes`` are the rules that lacked the same thing."""

    codes: tuple[str, ...]
    subject: str
    missing: str
    remedy: str


@dataclass(frozen=True, slots=True)
class GapView:
    """Something that could not be seen."""

    what: str
    reason: str
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class PlaceView:
    """One birthplace as a row; ``is_blamed`` when a finding above info names it."""

    id: int
    kind: str
    how: str
    function: str
    place: str
    births: int
    deaths: int
    alive: int
    oldest: str
    peers: tuple[str, ...]
    groups: tuple[FrameGroup, ...]
    series: Series | None
    is_blamed: bool


@dataclass(frozen=True, slots=True)
class GroupView:
    """Goroutines with the same state and stack; ``moves`` is what two looks tell, "" after one."""

    count: int
    state: str
    meaning: str
    waited: str
    moves: str
    function: str
    place: str
    groups: tuple[FrameGroup, ...]
    creators: tuple[str, ...]
    fd_count: int


@dataclass(frozen=True, slots=True)
class ReportView:
    """A whole report.

    Attributes:
        title: the target in a few words.
        facts: labelled values of the header.
        summary: the outcome in one sentence.
        findings: most severe first.
        cleared: of birthplaces and other subjects; rules that saw nothing are only counted in ``quiet_count``.
        cost: leadline's own cost in one sentence; "" when not measured.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    summary: str
    findings: tuple[FindingView, ...]
    cleared: tuple[ClearedView, ...]
    quiet_count: int
    not_judged: tuple[NotJudgedView, ...]
    gaps: tuple[GapView, ...]
    census: CensusView
    places: tuple[PlaceView, ...]
    timeline: TimelineView
    sockets: TableView
    connections: TableView
    retention: tuple[RetentionView, ...]
    goroutines: tuple[GroupView, ...]
    cost: str
    version: str
    begin_utc: str
