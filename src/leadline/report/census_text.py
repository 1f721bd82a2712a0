"""The tables of ``leadline census``: one process by kind, or many processes."""

from __future__ import annotations

from collections.abc import Sequence

from leadline.model import printable
from leadline.report.census import CensusView, ProcessRow
from leadline.report.layout import MIN_WIDTH, Page
from leadline.report.text import add_census

__all__ = ["render_census", "render_processes"]

MAX_PROCESSES = 50


def render_census(title: str, census: CensusView, *, width: int = 80, color: bool = False) -> str:
    """Return the descriptors of one process: kinds, limits, origins, duplicates."""
    page = Page(max(width, MIN_WIDTH))
    page.line((printable(title), "bold"))
    page.blank()
    add_census(page, census)
    return page.render(color=color)


def render_processes(
    rows: Sequence[ProcessRow],
    *,
    width: int = 80,
    color: bool = False,
    verbose: bool = False,
    unread_count: int = 0,
) -> str:
    """Return many processes, one per line, in the order given; 50 of them unless ``verbose``.

    Args:
        rows: from :func:`leadline.report.census.process_rows`.
        width: columns of the terminal.
        color: with terminal colours.
        verbose: all processes.
        unread_count: processes whose descriptors could not be read; they are counted below the table.
    """
    page = Page(max(width, MIN_WIDTH))
    shown = rows if verbose else rows[:MAX_PROCESSES]
    page.line((f"{'pid':>8}  {'open':>8} {'limit':>9} {'used':>7}  {'program':<16} most of them", "bold"))
    for row in shown:
        limit = "" if row.soft is None else f"{row.soft:,}"
        style = "bold red" if row.is_near else ""
        head = f"{row.pid:>8}  {row.open_count:>8,} {limit:>9} {row.used:>7}  "
        page.line((head, style), (f"{row.comm:<16} ", "bold"), (row.kinds, ""))
    if len(rows) > len(shown):
        page.text(f"and {len(rows) - len(shown):,} more (-v lists them)", style="dim")
    total = sum(row.open_count for row in rows)
    page.blank()
    page.text(f"{len(rows):,} {'process' if len(rows) == 1 else 'processes'}, {total:,} descriptors")
    if unread_count:
        page.text(
            f"{unread_count:,} more could not be read: run as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
            style="yellow",
        )
    return page.render(color=color)
