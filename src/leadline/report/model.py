"""Evidence and verdicts made into the view model, for all faces at once.

Faces (text, page, terminal) lay the view out and nothing else: no thresholds, no sorting, no joins of their own.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter

from leadline import __version__
from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, Goroutine, GoRuntime, ProcessInfo, SelfCost, Window
from leadline.evidence.queries import birthplaces, headroom, open_counts, stacks, target, whole_stack
from leadline.model import (
    Because,
    Cleared,
    Finding,
    Gap,
    NotJudged,
    Severity,
    Site,
    SiteFrame,
    format_bytes,
    format_duration,
    printable,
)
from leadline.report.census import census_view
from leadline.report.connections import connection_table
from leadline.report.frames import frame_groups, place_text
from leadline.report.goroutines import shown_groups
from leadline.report.retention import retention_views
from leadline.report.series import place_series, timeline_view
from leadline.report.sockets import socket_table
from leadline.report.view import (
    BecauseView,
    ClearedView,
    FindingView,
    GapView,
    NotJudgedView,
    PlaceView,
    ReportView,
    SiteView,
    SourceLine,
)

__all__ = ["make_view"]

_MODES = {
    "bpf": "births and deaths traced by BPF",
    "snapshots": "snapshots only: births and deaths were not traced",
    "single": "one look",
}
_ENDINGS = {
    "interrupt": "ended by Ctrl-C",
    "sure": "ended early: all was decided",
    "target-gone": "the target ended",
}
_ROLES = {
    "acquired": "acquired here",
    "caller": "asked for it here",
    "created-by": "goroutine started here",
    "closed": "closed here",
    "parked": "waits here",
    "dialed": "dialed here by an earlier request",
    "panicked": "panicked here",
}


def make_view(evidence: Evidence, verdicts: Verdicts) -> ReportView:
    """Return the view of a diagnosis."""
    process = target(evidence)
    findings = tuple(_finding(one) for one in sorted(verdicts.findings, key=lambda one: one.severity.rank))
    not_judged = _not_judged(verdicts.not_judged)
    gaps = tuple(_gap(gap) for gap in (*evidence.all(Gap), *verdicts.gaps))
    blamed = _blamed(verdicts.findings)
    window = evidence.first(Window)
    quiet = [one for one in verdicts.cleared if one.pattern == "none"]
    return ReportView(
        title="no process" if process is None else f"{printable(process.comm)} (pid {process.pid})",
        facts=_facts(evidence, process),
        summary=_summary(findings, not_judged),
        findings=findings,
        cleared=_all_cleared(verdicts.cleared),
        quiet_count=len(quiet),
        not_judged=not_judged,
        gaps=gaps,
        census=census_view(evidence),
        places=_places(evidence, blamed),
        timeline=timeline_view(evidence, blamed),
        sockets=socket_table(evidence, frozenset(blamed), None if process is None else process.pid),
        connections=connection_table(evidence),
        retention=retention_views(evidence),
        goroutines=shown_groups(evidence),
        cost=_cost(evidence.first(SelfCost)),
        version=__version__,
        begin_utc="" if window is None else _utc(window.begin_unix_ns),
    )


def _blamed(findings: tuple[Finding, ...]) -> tuple[int, ...]:
    """Return the birthplaces that findings above info cite, most severe first."""
    ordered = sorted(findings, key=lambda one: one.severity.rank)
    references = [
        because.evidence for one in ordered if one.severity is not Severity.INFO for because in one.because
    ]
    numbers = [
        reference.removeprefix("birthplace:")
        for reference in references
        if reference.startswith("birthplace:")
    ]
    return tuple(dict.fromkeys(int(number) for number in numbers if number.isdecimal()))


def _utc(unix_ns: int) -> str:
    """Return a wall-clock time such as ``2026-09-21 14:13:20 UTC``; "" when it is out of range."""
    try:
        return dt.datetime.fromtimestamp(unix_ns // 1_000_000_000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def _facts(evidence: Evidence, process: ProcessInfo | None) -> tuple[tuple[str, str], ...]:
    facts = []
    if process is not None:
        build = " ".join(
            word
            for word in (process.go_version or "", process.main_module or process.main_package or "")
            if word
        )
        facts += [("program", printable(build)), ("command", printable(process.cmdline or process.exe))]
        facts.append(("container", printable(process.container_id or "")))
        listening = ", ".join(str(port) for port in sorted({one.port for one in process.listeners}))
        facts.append(("listening", f"port {listening}" if listening else ""))
        room = headroom(evidence, process, open_counts(evidence))
        if room.open_count is not None:
            share = "" if room.used_ratio is None else f" ({100 * room.used_ratio:.1f} %)"
            limit = "" if room.soft is None else f" of {room.soft:,}{share}"
            facts.append(("descriptors", f"{room.open_count:,} open{limit}"))
    window = evidence.first(Window)
    if window is not None:
        ending = f"; {_ENDINGS[window.ended_by]}" if window.ended_by in _ENDINGS else ""
        length = "" if window.mode == "single" else f"{format_duration(window.duration_ns)}, "
        facts.append(("watched", f"{length}{_MODES.get(window.mode, window.mode)}{ending}"))
    facts.append(("goroutines", _goroutines(evidence)))
    children = len(evidence.all(ProcessInfo)) - 1
    if children > 0:
        facts.append(("children", f"{children:,} watched, too"))
    return tuple((label, value) for label, value in facts if value)


def _goroutines(evidence: Evidence) -> str:
    """Return how many goroutines there are and how they changed; "" when they were not read."""
    runtime = evidence.first(GoRuntime)
    if runtime is None:
        return ""
    words = f"{runtime.goroutines:,}"
    if runtime.first_goroutines is not None:
        change = runtime.goroutines - runtime.first_goroutines
        parked = sum(one.moved is False for one in evidence.all(Goroutine))
        words += f" ({change:+,} since the first look; {parked:,} have not run in between)"
    unread = runtime.running + runtime.unstable
    return f"{words}; {unread:,} were too busy to read" if unread else words


def _summary(findings: tuple[FindingView, ...], not_judged: tuple[NotJudgedView, ...]) -> str:
    rules = len({code for one in not_judged for code in one.codes})
    blind = f"; {rules} {'rule' if rules == 1 else 'rules'} could not judge" if rules else ""
    if not findings:
        return f"No findings{blind}."
    counts = Counter(finding.severity for finding in findings)
    words = ", ".join(f"{counts[severity]} {severity.value}" for severity in Severity if counts[severity])
    return f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'}: {words}{blind}."


def _finding(finding: Finding) -> FindingView:
    facts = []
    if finding.kind is not None:
        facts.append(("kind", finding.kind))
    if finding.count is not None:
        facts.append(("count", f"{finding.count:,}"))
    if finding.rate_per_s:
        facts.append(("growth", _rate(finding.rate_per_s)))
    sure = f"{100 * finding.confidence:.0f} % sure"
    return FindingView(
        code=finding.code,
        name=finding.name,
        severity=finding.severity,
        title=printable(finding.title),
        sure=sure,
        facts=(*facts, ("confidence", sure), ("layer", finding.layer.value)),
        sites=tuple(_site(site) for site in finding.sites),
        explanation=_lines(finding.explanation),
        because=tuple(_because(because) for because in finding.because),
        against=tuple(_because(against) for against in finding.against),
        remedy=_lines(finding.remedy),
        verify=_lines(finding.verify),
        explained_by=finding.explained_by or "",
        related=finding.related,
    )


def _rate(rate_per_s: float) -> str:
    if abs(rate_per_s) >= 1:
        return f"{rate_per_s:+.1f} per second"
    if abs(rate_per_s) * 60 >= 1:
        return f"{rate_per_s * 60:+.1f} per minute"
    return f"{rate_per_s * 3600:+.1f} per hour"


def _site(site: Site) -> SiteView:
    return SiteView(
        role=_ROLES.get(site.role, printable(site.role)),
        function=printable(site.function),
        path=place_text(site.file, site.line),
        groups=frame_groups(site.stack),
        source=tuple(
            SourceLine(number, printable(text.expandtabs(4)), number == site.line)
            for number, text in site.source
        ),
    )


def _because(because: Because) -> BecauseView:
    return BecauseView(because.layer.value, printable(because.says), printable(because.evidence))


def _lines(text: str) -> str:
    """Return text of rules with its own line breaks kept and everything else made printable."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _all_cleared(verdicts: tuple[Cleared, ...]) -> tuple[ClearedView, ...]:
    """Return what is healthy; what several rules say in the same words is shown once."""
    views: dict[tuple[str, str, str], ClearedView] = {}
    for one in verdicts:
        if one.pattern != "none":
            view = _cleared(one)
            views.setdefault((view.pattern, view.subject, view.reason), view)
    return tuple(views.values())


def _cleared(cleared: Cleared) -> ClearedView:
    return ClearedView(
        cleared.code, cleared.pattern or "healthy", printable(cleared.subject), printable(cleared.reason)
    )


def _not_judged(verdicts: tuple[NotJudged, ...]) -> tuple[NotJudgedView, ...]:
    """Return what could not be judged, rules that lack the same thing together."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in verdicts:
        codes = groups.setdefault((printable(one.subject), _lines(one.missing), _lines(one.remedy)), [])
        if one.code not in codes:
            codes.append(one.code)
    return tuple(NotJudgedView(tuple(codes), *key) for key, codes in groups.items())


def _gap(gap: Gap) -> GapView:
    lost = "" if gap.lost_count is None else f"{gap.lost_count:,} lost"
    detail = "; ".join(part for part in (lost, _lines(gap.detail)) if part)
    return GapView(printable(gap.what), gap.reason.value, detail, _lines(gap.remedy))


def _places(evidence: Evidence, blamed: tuple[int, ...]) -> tuple[PlaceView, ...]:
    known = stacks(evidence)
    window = evidence.first(Window)
    begin_ns = 0 if window is None else window.begin_mono_ns
    ordered = sorted(birthplaces(evidence), key=lambda place: place.id not in blamed)
    return tuple(
        _place_view(place, whole_stack(place, known), begin_ns, is_blamed=place.id in blamed)
        for place in ordered
    )


def _place_view(
    place: Birthplace, frames: tuple[SiteFrame, ...], begin_ns: int, *, is_blamed: bool
) -> PlaceView:
    site = place.site or (frames[0] if frames else None)
    return PlaceView(
        id=place.id,
        kind=place.kind.value,
        how=f"{place.role} ({place.syscall})",
        function="unknown place" if site is None else printable(site.function),
        place="" if site is None else place_text(site.file, site.line, whole=False),
        births=place.births,
        deaths=place.deaths,
        alive=place.alive,
        oldest=format_duration(place.ages_ns[-1]) if place.ages_ns else "",
        peers=tuple(f"{printable(peer)} ({count:,})" for peer, count in place.peers),
        groups=frame_groups(frames),
        series=place_series(place, begin_ns),
        is_blamed=is_blamed,
    )


def _cost(cost: SelfCost | None) -> str:
    if cost is None:
        return ""
    share = f" ({100 * cost.cpu_ns / cost.window_ns:.1f} % of one core)" if cost.window_ns else ""
    parts = [f"{format_duration(cost.cpu_ns)} CPU{share}", f"{format_bytes(cost.rss_bytes)} memory"]
    if cost.bpf_ns is not None:
        runs = "" if cost.bpf_runs is None else f" in {cost.bpf_runs:,} runs"
        parts.append(f"{format_duration(cost.bpf_ns)} in BPF{runs}")
    if cost.uprobe_note:
        parts.append(f"uprobes {printable(cost.uprobe_note)}")
    parts.append(f"{cost.lost_events:,} events lost")
    return ", ".join(parts)
