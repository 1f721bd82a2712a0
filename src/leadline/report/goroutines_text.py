"""Goroutines as text: groups, descriptors, and the comparison of two dumps."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from leadline.report.goroutines import (
    DescriptorRow,
    GoroutinesView,
    GroupChange,
    GroupRow,
    GroupsDiff,
    most_frequent,
)
from leadline.report.layout import MIN_WIDTH, Page, Span
from leadline.report.parts import LABEL, add_entry, add_frames
from leadline.report.text import add_finding
from leadline.report.view import FrameView, ReportView

__all__ = ["render_descriptors", "render_dump", "render_goroutines"]

INDENT = 9
MAX_CREATORS = 3
MAX_LABELS = 4
MAX_FRAMES = 8
_STATE_STYLES = {"running": "bold green", "runnable": "bold green", "": "bold"}
_FOR_EVER = "never goes on: the garbage collector found nothing that could wake it"


def render_goroutines(
    view: GoroutinesView, *, width: int = 80, color: bool = False, limit: int = 0, verbose: bool = False
) -> str:
    """Return goroutines by state and stack, the largest group first.

    Args:
        view: from :func:`leadline.report.goroutines.make_goroutines_view`.
        width: columns of the terminal.
        color: with terminal colours.
        limit: groups to show; 0 for all.
        verbose: whole stacks and paths.
    """
    page = Page(max(width, MIN_WIDTH))
    _add_head(page, view)
    _add_groups(page, view.groups, limit=limit, verbose=verbose)
    _add_gaps(page, view)
    return page.render(color=color)


def _add_head(page: Page, view: GoroutinesView) -> None:
    """Add title, facts and summary."""
    page.line(("leadline: ", "dim"), (view.title, "bold"))
    for label, value in view.facts:
        add_entry(page, label, value, indent=2, label_width=13)
    page.blank()
    page.text(view.summary, style="bold")


def _add_groups(page: Page, groups: tuple[GroupRow, ...], *, limit: int, verbose: bool) -> None:
    """Add groups, and how many are not shown."""
    shown = groups[:limit] if limit else groups
    for row in shown:
        page.blank()
        _group(page, row, verbose=verbose)
    rest = groups[len(shown) :]
    if rest:
        page.blank()
        count = sum(row.count for row in rest)
        page.text(
            f"and {len(rest):,} more {'group' if len(rest) == 1 else 'groups'} with {count:,}"
            f" {'goroutine' if count == 1 else 'goroutines'} (-n 0 shows all)",
            style="dim",
        )


def _add_gaps(page: Page, view: GoroutinesView) -> None:
    """Add what could not be seen."""
    if not view.gaps:
        return
    page.blank()
    page.line(("not seen", "bold yellow"))
    for what, why, remedy in view.gaps:
        page.text(f"{what}: {why}", indent=4, first=(("  - ", "dim"),))
        if remedy:
            page.text(remedy, indent=7, first=(("    ", ""), ("-> ", "dim")))


def _group(page: Page, row: GroupRow, *, verbose: bool) -> None:
    _title(page, row, (f"{row.count:>7,}  ", "bold"))
    if row.leaked:
        page.text(_FOR_EVER, indent=INDENT, style="bold red")
    _entries(page, row, verbose=verbose)


def _title(page: Page, row: GroupRow, *first: Span) -> None:
    style = "bold red" if row.leaked else _STATE_STYLES.get(row.state, "bold yellow")
    head = (*first, (row.state, style), ("  " if row.state else "", ""))
    if row.state:
        page.text(row.meaning, indent=INDENT, first=head, style="dim")
    else:  # a dump that only counts
        page.text(f"{row.function}  {row.place}".rstrip(), indent=INDENT, first=head, style="bold cyan")


def _entries(page: Page, row: GroupRow, *, verbose: bool) -> None:
    style = "bold cyan" if row.role == "app" else "bold"
    if row.function and row.state:
        place = row.path if verbose else row.place
        add_entry(page, "at", f"{row.function}  {place}".rstrip(), indent=INDENT, style=style)
    elif row.state:
        why = "no stack: it is on a CPU" if row.state == "running" else "no stack was read"
        add_entry(page, "at", why, indent=INDENT, style="dim")
    if sum(len(group.frames) for group in row.frames) > 1:
        _stack(page, row, verbose=verbose)
    if row.creators:
        add_entry(page, "started", most_frequent(row.creators, MAX_CREATORS), indent=INDENT)
    if row.waited:
        add_entry(page, "waits", row.waited, indent=INDENT)
    if row.moves:
        add_entry(page, "between", row.moves, indent=INDENT)
    if row.fds:
        add_entry(page, "fd" if row.fd_count == 1 else "fds", _numbers(row.fds, row.fd_count), indent=INDENT)
    if row.labels:
        add_entry(page, "labels", most_frequent(row.labels, MAX_LABELS), indent=INDENT)
    notes = [
        f"{count:,} {words}"
        for count, words in (
            (row.locked, "locked to a thread"),
            (row.unstable, "with a stack that did not hold still"),
        )
        if count
    ]
    if notes:
        add_entry(page, "note", ", ".join(notes), indent=INDENT)
    if row.ids and (verbose or row.count <= len(row.ids)):
        add_entry(
            page, "id" if row.count == 1 else "ids", _numbers(row.ids, row.count), indent=INDENT, style="dim"
        )


def _stack(page: Page, row: GroupRow, *, verbose: bool) -> None:
    """Add the frames; unless ``verbose``, recursion once and of a long stack only the beginning."""
    room = MAX_FRAMES
    for number, group in enumerate(row.frames):
        frames = group.frames
        if not (verbose or group.is_folded):
            frames = _once(frames)[:room]
            room -= len(frames)
        if frames:
            shown = replace(group, frames=frames)
            add_frames(page, shown, label="stack" if number == 0 else "", verbose=verbose, indent=INDENT)
        if room <= 0:
            break
    if room <= 0:
        page.text("... and more frames (-v lists them)", indent=INDENT + LABEL, style="dim")
    elif row.is_cut:
        page.text("... frames are missing here", indent=INDENT + LABEL, style="dim")


def _once(frames: tuple[FrameView, ...]) -> tuple[FrameView, ...]:
    """Return frames with recursion into the same line said once."""
    found = []
    for _, group in groupby(frames, key=lambda frame: (frame.function, frame.path)):
        run = tuple(group)
        frame, count = run[0], len(run)
        found.append(
            frame if count == 1 else replace(frame, place=f"{frame.place} ({count:,} times)".lstrip())
        )
    return tuple(found)


def _numbers(shown: tuple[int, ...], count: int) -> str:
    text = ", ".join(str(number) for number in shown)
    return f"{text} and {count - len(shown):,} more" if count > len(shown) else text


def render_descriptors(
    view: GoroutinesView, *, width: int = 80, color: bool = False, limit: int = 0, verbose: bool = False
) -> str:
    """Return the descriptors that the Go runtime knows, each with the goroutines that wait on it.

    Args:
        view: from :func:`leadline.report.goroutines.make_goroutines_view`.
        width: columns of the terminal.
        color: with terminal colours.
        limit: descriptors to show; 0 for all.
        verbose: also where nobody waits, one line each (else they are counted).
    """
    page = Page(max(width, MIN_WIDTH))
    _add_head(page, view)
    page.blank()
    waited = [row for row in view.descriptors if row.waits or row.notes]
    rows = list(view.descriptors) if verbose else waited
    page.text(
        f"{len(view.descriptors):,} {'descriptor' if len(view.descriptors) == 1 else 'descriptors'} known to Go's runtime,"
        f" {sum(bool(row.waits) for row in view.descriptors):,} with a goroutine waiting on it."
    )
    shown = rows[:limit] if limit else rows
    for row in shown:
        page.blank()
        _descriptor(page, row)
    hidden = len(view.descriptors) - len(shown)
    if hidden:
        page.blank()
        words = "-n 0 shows all" if len(rows) > len(shown) else "nobody waits on them; -v lists them"
        page.text(f"and {hidden:,} more ({words})", style="dim")
    _add_gaps(page, view)
    return page.render(color=color)


def _descriptor(page: Page, row: DescriptorRow) -> None:
    state = f"  {row.state}" if row.state else ""
    page.text(f"{row.what or 'unknown'}{state}", indent=8, first=((f"{row.fd:>6}  ", "bold"),), style="bold")
    if row.doing:
        page.text(row.doing, indent=8, style="magenta")
    for wait in row.waits:
        page.text(
            " ".join(
                part
                for part in (
                    f"goroutine {wait.goid}",
                    f"[{wait.state}]" if wait.state else "",
                    wait.waited,
                    f"({wait.deadline})" if wait.deadline else "",
                )
                if part
            ),
            indent=17,
            first=((" " * 8, ""), (f"{wait.how:<9}", "dim")),
        )
        if wait.function:
            page.text(f"{wait.function}  {wait.place}".rstrip(), indent=17, style="cyan")
    for note in row.notes:
        page.text(note, indent=8, style="yellow")
    if not row.waits:
        page.text("nobody waits on it", indent=8, style="dim")


def _add_diff(page: Page, diff: GroupsDiff, *, older: str, newer: str, limit: int, verbose: bool) -> None:
    """Add the comparison of two dumps."""
    page.text(f"{older}: {diff.before:,} {_goroutines(diff.before)}", indent=8, first=(("before  ", "dim"),))
    page.text(f"{newer}: {diff.after:,} {_goroutines(diff.after)}", indent=8, first=(("after   ", "dim"),))
    page.blank()
    growth = diff.after - diff.before
    words = [f"{growth:+,} {_goroutines(abs(growth))}" if growth else "As many goroutines as before"]
    if diff.is_same_process:
        words.append(
            f"{diff.new:,} new, {diff.gone:,} gone, {diff.still:,} in the same place, {diff.moved:,} elsewhere"
        )
    page.text(": ".join(words) + ".", style="bold")
    if diff.note:
        page.text(diff.note, indent=6, first=(("note: ", "yellow"),))
    telling = [one for one in diff.groups if one.growth or (one.still and diff.is_same_process)]
    shown = telling[:limit] if limit else telling
    for one in shown:
        page.blank()
        _change(page, one, diff, verbose=verbose)
    hidden = len(diff.groups) - len(shown)
    if hidden:
        page.blank()
        ending = " (-n 0 shows all)" if len(telling) > len(shown) else " that did not change"
        page.text(f"and {hidden:,} more {'group' if hidden == 1 else 'groups'}{ending}", style="dim")


def _goroutines(count: int) -> str:
    return "goroutine" if count == 1 else "goroutines"


def _change(page: Page, one: GroupChange, diff: GroupsDiff, *, verbose: bool) -> None:
    style = "bold red" if one.growth > 0 else "bold green" if one.growth < 0 else "bold"
    _title(page, one.row, (f"{f'{one.growth:+,}' if one.growth else '=':>7}  ", style))
    parts = [f"{one.before:,} before, {one.after:,} after"]
    if diff.is_same_process:
        if one.before:
            parts.append(f"{one.still:,} the same in the same place" if one.still else "none of them stayed")
        if one.new:
            parts.append(f"{one.new:,} new")
    add_entry(page, "count", "; ".join(parts), indent=INDENT)
    _entries(page, one.row, verbose=verbose)


def render_dump(
    view: GoroutinesView,
    report: ReportView,
    *,
    diff: GroupsDiff | None = None,
    older: str = "",
    full: str = "",
    width: int = 80,
    color: bool = False,
    limit: int = 0,
    verbose: bool = False,
) -> str:
    """Return the report on a dump: what it is, the findings, then the comparison or the groups.

    Args:
        view: of the dump.
        report: of the same evidence, for the findings.
        diff: comparison with an older dump; it replaces the groups.
        older: name of that dump.
        full: text of every goroutine, which replaces the groups.
        width: columns of the terminal.
        color: with terminal colours.
        limit: groups to show; 0 for all.
        verbose: whole stacks and paths, and rules that need more than a dump.
    """
    page = Page(max(width, MIN_WIDTH))
    _add_head(page, view)
    for finding in report.findings:
        page.blank()
        add_finding(page, finding, verbose=verbose)
    if diff is not None:
        page.blank()
        _add_diff(page, diff, older=older, newer=view.title, limit=limit, verbose=verbose)
    elif not full:
        if report.findings:
            page.blank()
            page.line(("goroutines by state and stack", "bold"))
        _add_groups(page, view.groups, limit=limit, verbose=verbose)
    _add_gaps(page, view)
    text = page.render(color=color)
    return f"{text}\n{full}" if full else text
