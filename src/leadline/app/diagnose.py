"""The engine: evidence in, verdicts out. Same evidence, same verdicts, byte for byte."""

from __future__ import annotations

import importlib
import traceback
import typing
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec

from leadline.evidence.kinds import (
    Birthplace,
    CgroupState,
    CloseFailure,
    Connection,
    Descriptor,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    HostInfo,
    NetCounter,
    PanicSite,
    Pool,
    ProcessInfo,
    Refusal,
    Retention,
    SelfCost,
    SocketState,
    Stack,
    TimelineSample,
    WaitObject,
    Window,
)
from leadline.model import Cleared, Finding, Gap, GapReason, NotJudged
from leadline.rules._causes import CONSEQUENCE_OF, LARGEST_LEADS, SAME_PLACE
from leadline.rules._index import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from leadline.contracts import Rule
    from leadline.evidence import Evidence

__all__ = ["Diagnosis", "decided", "diagnose"]

_AS_ROOT = "run as root, or with CAP_BPF and CAP_PERFMON; `leadline capabilities` tells what is missing"
_GOROUTINES = (
    "leave out --no-runtime, and run as root or with CAP_SYS_PTRACE on a program built with Go 1.21 or later"
)
_TELLING_ROLES = (frozenset({"acquired", "caller"}), frozenset({"parked"}))
_WORDS: dict[type[msgspec.Struct], tuple[str, str]] = {
    Window: ("the observed window", "collect the case with leadline"),
    Birthplace: (
        "where descriptors were acquired (births with stacks)",
        f"trace instead of taking one look; {_AS_ROOT}",
    ),
    Descriptor: (
        "the descriptor table",
        "run as the target's user or as root (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH)",
    ),
    SocketState: (
        "socket states",
        "run where the target's network namespace can be entered (CAP_SYS_ADMIN, CAP_SYS_PTRACE)",
    ),
    ProcessInfo: ("the process and its limits", "run as the target's user or as root"),
    TimelineSample: ("the number of descriptors over time", "trace for some seconds instead of one look"),
    CloseFailure: ("closes that failed", f"trace instead of taking one look; {_AS_ROOT}"),
    Refusal: ("calls that were refused a descriptor", f"trace instead of taking one look; {_AS_ROOT}"),
    NetCounter: ("the network counters of the target's namespace", "run as the target's user or as root"),
    CgroupState: ("the target's control group", "run where /sys/fs/cgroup is mounted"),
    HostInfo: ("what this host allows", "collect the case with leadline"),
    SelfCost: ("leadline's own cost and losses", "trace instead of taking one look"),
    Stack: ("stacks", f"trace instead of taking one look; {_AS_ROOT}"),
    GoRuntime: ("the Go runtime of the process", _GOROUTINES),
    Goroutine: ("goroutines", _GOROUTINES),
    DescriptorUse: ("which goroutine waits on which descriptor", _GOROUTINES),
    Connection: ("what the program does with each connection", _GOROUTINES),
    Pool: ("connection pools inside the program", _GOROUTINES),
    WaitObject: ("the channels and locks that goroutines wait for", _GOROUTINES),
    Retention: ("what keeps connections reachable", "search the heap with --retention"),
    PanicSite: ("panics that were recovered", f"trace instead of taking one look; {_AS_ROOT}"),
    Gap: ("what could not be seen", "collect the case with leadline"),
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All verdicts on one body of evidence.

    Attributes:
        findings: most severe first, then surest, then largest; a consequence carries its cause in ``explained_by`` and follows
            it, however severe it is.
        cleared, not_judged: in order of code, then as the evidence came.
        gaps: rules that failed; empty unless leadline itself has a fault.
    """

    findings: tuple[Finding, ...]
    cleared: tuple[Cleared, ...]
    not_judged: tuple[NotJudged, ...]
    gaps: tuple[Gap, ...] = ()


def diagnose(evidence: Evidence, rules: Sequence[Rule] | None = None) -> Diagnosis:
    """Return the verdicts of all rules, or of those given, on the evidence. Never raises for what a rule does."""
    findings: list[Finding] = []
    cleared: list[Cleared] = []
    not_judged: list[NotJudged] = []
    gaps: list[Gap] = []
    seen: dict[type[msgspec.Struct], tuple[Any, ...] | None] = {}
    for rule in _all_rules() if rules is None else rules:
        for verdict in _judge(rule, evidence, gaps, seen):
            if isinstance(verdict, Finding):
                findings.append(verdict)
            elif isinstance(verdict, Cleared):
                cleared.append(verdict)
            else:
                not_judged.append(verdict)
    return Diagnosis(_sorted(*_linked(findings)), tuple(cleared), tuple(not_judged), tuple(gaps))


def decided(evidence: Evidence) -> bool:
    """Return whether each visible birthplace is decided, so that watching longer would hardly change a verdict.

    False until 15 s have passed, and when births were not observed. May be called on interim evidence, without sockets.
    """
    from leadline.rules.fdl.decision import undecided  # noqa: PLC0415  only --until-sure needs it

    return undecided(evidence.get(Window), evidence.get(Birthplace), _interim(evidence)) == ()


def _interim(evidence: Evidence) -> dict[str, Any]:
    return {
        "descriptors": evidence.get(Descriptor),
        "sockets": evidence.get(SocketState),
        "stacks": evidence.get(Stack),
        "processes": evidence.get(ProcessInfo),
        "timeline": evidence.get(TimelineSample),
    }


@cache
def _all_rules() -> tuple[Rule, ...]:
    return tuple(importlib.import_module(path).RULE for path in RULES.values())


def _kinds_of(needs: type[Any]) -> tuple[tuple[str, type[msgspec.Struct], bool], ...]:
    """Return (field, kind, required) for each need; the kind is the element of its tuple type."""
    hints = get_type_hints(needs)
    found = []
    for field in fields(needs):
        hint = hints[field.name]
        options = [hint] if typing.get_origin(hint) is tuple else list(get_args(hint))
        kind = next(get_args(option)[0] for option in options if typing.get_origin(option) is tuple)
        found.append((field.name, kind, field.default is MISSING and field.default_factory is MISSING))
    return tuple(found)


def _judge(
    rule: Rule,
    evidence: Evidence,
    gaps: list[Gap],
    known: dict[type[msgspec.Struct], tuple[Any, ...] | None],
) -> Iterable[Finding | Cleared | NotJudged]:
    """Return a rule's verdicts, or one NotJudged when a need is missing or the rule fails.

    All rules get the very same records (``known``), so that what they join need be joined once only.
    """
    info = rule.info
    seen: dict[str, Any] = {}
    for name, kind, required in _kinds_of(rule.needs):
        if kind not in known:
            known[kind] = evidence.get(kind)
        records = known[kind]
        if records is None and required:
            missing, remedy = _WORDS[kind]
            return [NotJudged(code=info.code, name=info.name, missing=missing, remedy=remedy)]
        seen[name] = records
    try:
        return list(rule.judge(rule.needs(**seen)))
    except Exception as error:  # noqa: BLE001  the fence: one rule's fault must not hide what the others see
        trace = "".join(traceback.format_exception(error)).strip()
        remedy = "please report this with the case file: it is a fault of leadline"
        gaps.append(
            Gap(
                what=f"the verdict of rule {info.code} ({info.name})",
                reason=GapReason.MALFORMED,
                detail=trace,
                remedy=remedy,
            )
        )
        missing = f"the rule failed: {type(error).__name__}: {error}"
        return [NotJudged(code=info.code, name=info.name, missing=missing, remedy=remedy)]


def _linked(findings: list[Finding]) -> tuple[list[Finding], list[int | None]]:
    """Return the findings with ``explained_by`` set where another one is the cause, and for each the index of its cause."""
    candidates = [_candidates(finding, findings) for finding in findings]
    linked: list[Finding] = []
    found: list[int | None] = []
    for finding, own in zip(findings, candidates, strict=True):
        cause = own[0] if own else None
        if finding.code in LARGEST_LEADS:
            roots = [index for index in own if not set(own) & set(candidates[index])]
            cause = max(roots, key=lambda index: findings[index].count or 0, default=cause)
        if cause is not None and finding.explained_by is None:
            linked.append(msgspec.structs.replace(finding, explained_by=findings[cause].code))
            found.append(cause)
        else:
            linked.append(finding)
            found.append(None)
    return linked, found


def _candidates(finding: Finding, findings: list[Finding]) -> list[int]:
    """Return the indices of the findings of the same process that may be the cause of one, likeliest first."""
    causes = CONSEQUENCE_OF.get(finding.code, ())
    found = [
        index
        for index, other in enumerate(findings)
        if other.code in causes
        and finding.pid in {None, other.pid}
        and (finding.code not in SAME_PLACE or _is_of_one_place(finding, other))
    ]
    return sorted(found, key=lambda index: (causes.index(findings[index].code), _rank(findings[index])))


def _is_of_one_place(finding: Finding, other: Finding) -> bool:
    """Return whether two findings name a place in common: one that made their descriptors, else one where goroutines wait.

    Where one of both names none, they may be of one place.
    """
    for roles in _TELLING_ROLES:
        mine, theirs = (
            {(site.function, site.file, site.line) for site in one.sites if site.role in roles}
            for one in (finding, other)
        )
        if mine and theirs:
            return not mine.isdisjoint(theirs)
    return True


def _rank(finding: Finding) -> tuple[int, float, int, str, str]:
    return (finding.severity.rank, -finding.confidence, -(finding.count or 0), finding.code, finding.title)


def _sorted(findings: list[Finding], causes: list[int | None]) -> tuple[Finding, ...]:
    """Return the findings most severe, surest, largest first; a cause ranks as high as the worst of its consequences."""
    ranks = [finding.severity.rank for finding in findings]
    for rank, first in zip(list(ranks), causes, strict=True):
        cause = first
        while cause is not None:
            ranks[cause] = min(ranks[cause], rank)
            cause = causes[cause]
    order = sorted(
        range(len(findings)),
        key=lambda index: (
            ranks[index],
            findings[index].explained_by is not None,
            _rank(findings[index]),
        ),
    )
    return tuple(findings[index] for index in order)
