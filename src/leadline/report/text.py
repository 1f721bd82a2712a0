"""The report for people, as text: most severe first, narrow enough for any terminal."""

from __future__ import annotations

from leadline.model import Severity
from leadline.report.census import CensusView
from leadline.report.layout import MIN_WIDTH, Page, Span
from leadline.report.parts import LABEL, add_entry, add_frames
from leadline.report.view import BecauseView, FindingView, ReportView, SiteView

__all__ = ["add_census", "add_finding", "render_text"]

MAX_CLEARED = 8
MAX_LISTED = 12
MAX_SITES = 2
_STYLES = {
    Severity.CRITICAL: "bold white on red",
    Severity.HIGH: "bold red",
    Severity.MEDIUM: "bold yellow",
    Severity.LOW: "bold blue",
    Severity.INFO: "bold cyan",
}


def render_text(view: ReportView, *, width: int = 80, color: bool = False, verbose: bool = False) -> str:
    """Return the report.

    Args:
        view: from :func:`leadline.report.model.make_view`.
        width: columns of the terminal; at least 40 are used.
        color: with terminal colours.
        verbose: whole stacks, all evidence references, all that is healthy, and the census.
    """
    page = Page(max(width, MIN_WIDTH))
    page.line(("leadline: ", "dim"), (view.title, "bold"))
    for label, value in view.facts:
        add_entry(page, label, value, indent=2, label_width=13)
    page.blank()
    page.text(view.summary, style="bold" if view.findings else "bold green")
    for finding in view.findings:
        page.blank()
        add_finding(page, finding, verbose=verbose)
    _cleared(page, view, verbose=verbose)
    _not_judged(page, view, verbose=verbose)
    _gaps(page, view, verbose=verbose)
    if verbose:
        page.blank()
        add_census(page, view.census)
    if view.cost:
        page.blank()
        page.text(f"leadline's own cost: {view.cost}", style="dim")
    return page.render(color=color)


def add_census(page: Page, census: CensusView) -> None:
    """Add the table of descriptors by kind, with limits and duplicates."""
    if not census.is_known:
        page.text("The descriptor table was not seen.")
        return
    page.line((f"{'kind':<12}{'count':>7}{'share':>8}  states of its sockets", "bold"))
    for row in census.kinds:
        head = f"{row.kind:<12}{row.count:>7,}{100 * row.share_ratio:>6.1f} %  "
        page.text(row.states, indent=len(head), first=((head, ""),))
    page.blank()
    for label, value in census.room:
        add_entry(page, label, value, indent=0, label_width=12)
    origins = ", ".join(f"{count:,} {origin}" for origin, count in census.origins)
    add_entry(page, "origin", origins, indent=0, label_width=12)
    if census.duplicate_count:
        page.blank()
        page.line((f"several descriptors for one open file ({census.duplicate_count:,})", "bold"))
        for text in census.duplicates:
            page.text(text, indent=4, first=(("  - ", "dim"),))
        if census.duplicate_count > len(census.duplicates):
            page.text(f"and {census.duplicate_count - len(census.duplicates):,} more", indent=2)


def add_finding(page: Page, finding: FindingView, *, verbose: bool) -> None:
    """Add one finding: title, places, why, evidence, remedy. A consequence of another one is told in short unless ``verbose``."""
    head = (finding.severity.value.upper(), _STYLES[finding.severity])
    page.text(
        finding.title, indent=4, first=(head, ("  ", ""), (finding.code, "bold"), ("  ", "")), style="bold"
    )
    if finding.explained_by and not verbose:
        words = f"a consequence of {finding.explained_by}, listed here too (-v shows its own evidence)"
        add_entry(page, "cause", words, indent=2)
        return
    sites = finding.sites if verbose else finding.sites[:MAX_SITES]
    for number, site in enumerate(sites):
        _site(
            page,
            site,
            label="at" if number == 0 else "and",
            with_stack=number == 0 or verbose,
            verbose=verbose,
        )
    add_entry(page, "why", finding.explanation, indent=2)
    _evidence(page, "because", finding.because, verbose=verbose)
    _evidence(page, "against", finding.against, verbose=verbose)
    add_entry(page, "do", finding.remedy, indent=2, style="bold")
    add_entry(page, "verify", finding.verify, indent=2)
    if finding.explained_by:
        add_entry(page, "cause", f"a consequence of {finding.explained_by}, listed here too", indent=2)
    related = f"; see also {', '.join(finding.related)}" if verbose and finding.related else ""
    add_entry(
        page,
        "sure",
        f"{finding.sure.removesuffix(' sure')} (leadline explain {finding.code}){related}",
        indent=2,
    )


def _site(page: Page, site: SiteView, *, label: str, with_stack: bool, verbose: bool) -> None:
    add_entry(page, label, site.function, indent=2, style="bold cyan" if label == "at" else "")
    where = f"{site.path}  ({site.role})" if site.path else f"({site.role})"
    page.text(where, indent=2 + LABEL, style="cyan" if label == "at" else "dim")
    for line in site.source:
        head = f"{'>' if line.is_hit else ' '} {line.number:>5} | "
        page.line((" " * (2 + LABEL), ""), (head, "dim"), (line.text, "bold" if line.is_hit else ""))
    if with_stack and sum(len(group.frames) for group in site.groups) > 1:
        for number, group in enumerate(site.groups):
            add_frames(page, group, label="stack" if number == 0 else "", verbose=verbose)


def _evidence(page: Page, label: str, items: tuple[BecauseView, ...], *, verbose: bool) -> None:
    for number, item in enumerate(items):
        reference = f" [{item.evidence}]" if verbose else ""
        head: tuple[Span, ...] = (
            ("  ", ""),
            (f"{label if number == 0 else '':<{LABEL}}", "dim"),
            (f"{item.layer:<9}", "magenta"),
        )
        page.text(f"{item.says}{reference}", indent=2 + LABEL + 9, first=head)


def _cleared(page: Page, view: ReportView, *, verbose: bool) -> None:
    if not view.cleared and not view.quiet_count:
        return
    page.blank()
    page.line(("healthy", "bold green"))
    shown = view.cleared if verbose else view.cleared[:MAX_CLEARED]
    for one in shown:
        page.text(
            f"{one.subject}: {one.reason}", indent=15, first=(("  ", ""), (f"{one.pattern:<12} ", "green"))
        )
    hidden = len(view.cleared) - len(shown)
    if hidden:
        page.text(f"and {hidden:,} more (-v lists them)", indent=2, style="dim")
    if view.quiet_count:
        rules = "rule" if view.quiet_count == 1 else "rules"
        page.text(
            f"{view.quiet_count} {rules} found nothing of {'its' if view.quiet_count == 1 else 'their'} kind",
            indent=2,
            style="dim",
        )


def _not_judged(page: Page, view: ReportView, *, verbose: bool) -> None:
    if not view.not_judged:
        return
    page.blank()
    page.line(("not judged", "bold yellow"))
    shown = view.not_judged if verbose else view.not_judged[:MAX_LISTED]
    for one in shown:
        subject = f"{one.subject}: " if one.subject else "missing: "
        codes = ", ".join(one.codes)
        page.text(f"{subject}{one.missing}", indent=4, first=(("  ", ""), (f"{codes}  ", "yellow")))
        _remedy(page, one.remedy)
    _more(page, len(view.not_judged) - len(shown))


def _gaps(page: Page, view: ReportView, *, verbose: bool) -> None:
    if not view.gaps:
        return
    page.blank()
    page.line(("not seen", "bold yellow"))
    shown = view.gaps if verbose else view.gaps[:MAX_LISTED]
    for gap in shown:
        detail = gap.detail if verbose else gap.detail.partition("\n")[0]
        page.text(
            f"{gap.what}: {gap.reason}{f' ({detail})' if detail else ''}", indent=4, first=(("  - ", "dim"),)
        )
        _remedy(page, gap.remedy)
    _more(page, len(view.gaps) - len(shown))


def _remedy(page: Page, remedy: str) -> None:
    if remedy:
        page.text(remedy, indent=7, first=(("    ", ""), ("-> ", "dim")))


def _more(page: Page, hidden: int) -> None:
    if hidden > 0:
        page.text(f"and {hidden:,} more (-v lists them)", indent=2, style="dim")
