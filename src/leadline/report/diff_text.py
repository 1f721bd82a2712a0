"""The comparison of two cases as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from leadline import __version__
from leadline.model import format_duration
from leadline.report.diff_view import CaseView, DiffView, Outcome, PlaceRow, Side
from leadline.report.layout import MIN_WIDTH, Page

__all__ = ["render_diff", "render_diff_json"]

MAX_LISTED = 10
_STYLES = {
    Outcome.NEW_LEAK: "bold red",
    Outcome.STILL_LEAKING: "bold red",
    Outcome.NOT_COMPARABLE: "bold yellow",
    Outcome.FIXED: "bold green",
    Outcome.UNCHANGED: "green",
}


def render_diff(view: DiffView, *, width: int = 80, color: bool = False, verbose: bool = False) -> str:
    """Return the comparison: leaks and what became of them in full, the rest counted (listed when ``verbose``)."""
    page = Page(max(width, MIN_WIDTH))
    for label, case in (("before", view.before), ("after", view.after)):
        page.text(_case(case), indent=8, first=((f"{label:<8}", "dim"),))
    page.blank()
    page.text(_summary(view), style="bold")
    for note in view.notes:
        page.text(note, indent=6, first=(("note: ", "yellow"),))
    telling = [row for row in view.rows if _is_telling(row)]
    for row in telling:
        page.blank()
        _row(page, row)
    quiet = [row for row in view.rows if not _is_telling(row)]
    if quiet:
        page.blank()
        _quiet(page, quiet, verbose=verbose)
    changed = [row for row in view.others if row.before or row.after]
    if changed:
        page.blank()
        page.line(("other findings", "bold"))
        for other in changed:
            word = "gone" if not other.after else "new" if not other.before else "remains"
            page.text(
                f"{other.name}: {word} ({other.before} before, {other.after} after)",
                indent=10,
                first=((f"  {other.code}  ", ""),),
            )
    return page.render(color=color)


def render_diff_json(view: DiffView) -> str:
    """Return the comparison as one JSON document."""
    document = {
        "schema_version": 1,
        "leadline": __version__,
        "leaks_remain": view.leaks_remain,
        "unproven": view.is_unproven,
        "before": asdict(view.before),
        "after": asdict(view.after),
        "notes": list(view.notes),
        "birthplaces": [asdict(row) for row in view.rows],
        "other_findings": [asdict(row) for row in view.others],
    }
    return json.dumps(document, indent=2) + "\n"


def _is_telling(row: PlaceRow) -> bool:
    leaked = row.before is not None and row.before.is_leaking
    return leaked or (row.after is not None and row.after.is_leaking)


def _case(case: CaseView) -> str:
    parts = [case.title, f"{format_duration(case.duration_ns)} by {case.mode}"]
    parts.append(f"{case.births:,} acquired ({_per_s(case.births_per_s)})")
    if case.alive is not None:
        parts.append(f"{case.alive:,} open at the end")
    if case.version:
        parts.append(f"version {case.version}")
    return ", ".join(parts)


def _summary(view: DiffView) -> str:
    counts = {
        outcome: sum(row.outcome is outcome for row in view.rows if _is_telling(row)) for outcome in Outcome
    }
    words = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
    if view.leaks_remain:
        return f"A leak remains: {words}."
    if view.is_unproven:
        return f"Not proven: {words}."
    return f"No leak remains: {words}." if words else "No leak before, none after."


def _row(page: Page, row: PlaceRow) -> None:
    side = row.after or row.before
    line = f":{side.line}" if side is not None and side.line is not None else ""
    place = f" ({row.file}{line})" if row.file else ""
    page.text(
        f"{row.kind} {row.role} at {row.function}{place}",
        indent=4,
        first=((f"{row.outcome.value.upper()}  ", _STYLES[row.outcome]),),
    )
    page.text(_side(row.before), indent=12, first=(("  before  ", "dim"), ("  ", "")))
    page.text(_side(row.after), indent=12, first=(("  after   ", "dim"), ("  ", "")))
    page.text(row.why, indent=12, first=(("  why     ", "dim"), ("  ", "")))


def _side(side: Side | None) -> str:
    if side is None:
        return "nothing acquired here"
    leak = f", growing by {_per_s(side.leak_per_s)}" if side.leak_per_s else ""
    births = f"{side.births:,} births ({_per_s(side.births_per_s)})"
    return f"{side.verdict}: {births}, {side.deaths:,} deaths, {side.alive:,} alive{leak}"


def _quiet(page: Page, rows: list[PlaceRow], *, verbose: bool) -> None:
    for outcome in Outcome:
        members = [row for row in rows if row.outcome is outcome]
        if not members:
            continue
        page.line(
            (
                f"{len(members):,} {'birthplace' if len(members) == 1 else 'birthplaces'} {outcome.value}",
                _STYLES[outcome],
            )
        )
        shown = members if verbose else members[:MAX_LISTED] if outcome is Outcome.NOT_COMPARABLE else []
        for row in shown:
            page.text(
                f"{row.kind} {row.role} at {row.function}: {row.why}", indent=4, first=(("  - ", "dim"),)
            )
        if len(members) > len(shown) and shown:
            page.text(f"and {len(members) - len(shown):,} more", indent=4)


def _per_s(rate: float) -> str:
    if rate >= 10 or rate == 0:
        return f"{rate:,.0f}/s"
    if rate >= 0.1:
        return f"{rate:.1f}/s"
    return f"{rate * 60:.2g}/min"
