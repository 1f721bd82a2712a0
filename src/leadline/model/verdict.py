"""The three verdicts of a rule, and the gap of a probe.

A rule answers with a :class:`Finding`, a :class:`Cleared` or a :class:`NotJudged`; no evidence never means healthy.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

__all__ = [
    "Because",
    "Cleared",
    "Finding",
    "Gap",
    "GapReason",
    "Layer",
    "NotJudged",
    "Severity",
    "Site",
    "SiteFrame",
    "Verdict",
]


class Severity(StrEnum):
    """How bad it is if true; most severe first in every listing."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return 0 for critical up to 4 for info."""
        return list(Severity).index(self)


class Layer(StrEnum):
    """The five layers that leadline sounds."""

    SOURCE = "source"
    RUNTIME = "runtime"
    PROTOCOL = "protocol"
    SYSCALL = "syscall"
    KERNEL = "kernel"


class GapReason(StrEnum):
    """Why something could not be seen."""

    UNSUPPORTED = "unsupported"
    NOT_PERMITTED = "not-permitted"
    TARGET_GONE = "target-gone"
    TIMEOUT = "timeout"
    OVERRUN = "overrun"
    MALFORMED = "malformed"
    DISABLED = "disabled"


class Gap(msgspec.Struct, frozen=True, kw_only=True, tag="gap"):
    """Something that could not be seen, why, and what would make it visible.

    Attributes:
        what: the evidence that is missing, in the reader's words ("user stacks of births").
        reason: one of :class:`GapReason`.
        detail: what exactly happened (call, errno name, count).
        remedy: what to do to see it; empty only when nothing can be done.
        lost_count: events lost, for overruns; None when not countable.
        probe: name of the probe that reports it.
    """

    what: str
    reason: GapReason
    detail: str = ""
    remedy: str = ""
    lost_count: int | None = None
    probe: str = ""


class Because(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence for or against a finding.

    Attributes:
        evidence: reference ``kind:id`` into the bundle, such as ``birthplace:3`` or ``socket:41822``.
        layer: where it was seen.
        says: one sentence, with numbers and units.
    """

    evidence: str
    layer: Layer
    says: str


class SiteFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame of a stack as shown: names only, no addresses.

    Attributes:
        function: full name as the language prints it, "?" when unknown.
        file: path as recorded in the binary, None when unknown.
        line: 1-based, None when unknown.
        role: ``app`` (the user's own module), ``module`` (third party), ``std`` (Go standard library), ``runtime``, ``native``.
        inlined: whether the compiler inlined it into the frame below.
    """

    function: str
    file: str | None = None
    line: int | None = None
    role: str = "native"
    inlined: bool = False


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the source that a finding names.

    Attributes:
        function, file, line: as in SiteFrame.
        role: ``acquired`` (made the descriptor), ``caller`` (asked for it from another goroutine), ``created-by`` (the ``go``
            statement), ``closed`` (closed it or failed to), ``parked``, ``panicked``, ``dialed`` (dialed
            what a later request keeps).
        stack: leaf first; may be empty.
        source: lines around ``line`` when ``--source`` was given: (line number, text) pairs.
    """

    function: str
    file: str | None
    line: int | None
    role: str
    stack: tuple[SiteFrame, ...] = ()
    source: tuple[tuple[int, str], ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True, tag="finding"):
    """Something is wrong, with the evidence for it.

    Attributes:
        code: stable rule code such as FDL101.
        name: the rule's kebab-case name.
        severity: how bad if true.
        confidence: how sure, 0.0 to 1.0.
        layer: where the fault acts.
        title: the observation in one sentence, numbers included.
        explanation: the mechanism.
        remedy: what to change.
        verify: how to see that the change worked.
        kind: descriptor kind word of the report, None when not about one kind.
        count: how many descriptors (or events) it is about, None when not countable.
        rate_per_s: growth per second, None when unknown.
        sites: most useful first; empty when no place in the source is known.
        because: evidence for; never empty.
        against: evidence against, or doubts.
        related: codes of rules that explain it further.
        pid: process it is about; None for the host.
        explained_by: code of another finding in the same report of which this one is a consequence, else None.
    """

    code: str
    name: str
    severity: Severity
    confidence: float
    layer: Layer
    title: str
    explanation: str
    remedy: str
    verify: str
    because: tuple[Because, ...]
    kind: str | None = None
    count: int | None = None
    rate_per_s: float | None = None
    sites: tuple[Site, ...] = ()
    against: tuple[Because, ...] = ()
    related: tuple[str, ...] = ()
    pid: int | None = None
    explained_by: str | None = None


class Cleared(msgspec.Struct, frozen=True, kw_only=True, tag="cleared"):
    """The rule looked and found it healthy, with the reason.

    Attributes:
        code, name: of the rule.
        subject: what was looked at ("TCP sockets accepted at main.serve main.go:12").
        reason: why it is healthy, with numbers.
        pattern: the healthy pattern's name, such as ``plateau``, ``churning``, ``long-lived``, ``none``.
        because: the evidence for it.
        sites: places in the source that it is about; empty when none is known.
        count: how many descriptors it is about, None when not countable.
        kind: descriptor kind word of the report, None when not about one kind.
    """

    code: str
    name: str
    subject: str
    reason: str
    pattern: str = ""
    because: tuple[Because, ...] = ()
    sites: tuple[Site, ...] = ()
    count: int | None = None
    kind: str | None = None


class NotJudged(msgspec.Struct, frozen=True, kw_only=True, tag="not_judged"):
    """The rule could not look, or saw too little to decide.

    Attributes:
        code, name: of the rule.
        missing: what was missing, in the reader's words.
        remedy: what would make it judgeable.
        subject: what could not be judged; empty when the whole rule could not.
        sites: places in the source that it is about; empty when none is known.
        count: how many descriptors it is about, None when not countable.
        kind: descriptor kind word of the report, None when not about one kind.
    """

    code: str
    name: str
    missing: str
    remedy: str
    subject: str = ""
    sites: tuple[Site, ...] = ()
    count: int | None = None
    kind: str | None = None


Verdict: TypeAlias = Finding | Cleared | NotJudged
