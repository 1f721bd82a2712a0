"""The table of ``leadline conns``: one line per connection, as many columns as the terminal holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from leadline.model import format_duration
from leadline.report.connections import ACTIVITIES, ConnectionRow
from leadline.report.layout import MIN_WIDTH, Page, shown_width

__all__ = ["render_connections"]

GAP = 2
MAX_COLUMN = 60
_SHORT = {"body-held": "with a body neither read nor closed", "no-goroutine": "that no goroutine waits on"}
_STYLES = {"body-held": "bold red", "no-goroutine": "yellow", "blocked": "yellow"}


def _fd(row: ConnectionRow) -> str:
    return str(row.fd)


def _age(row: ConnectionRow) -> str:
    return "older" if row.age_ns is None else format_duration(row.age_ns)


def _since(row: ConnectionRow) -> str:
    return "" if row.since_ns is None else format_duration(row.since_ns)


def _goid(row: ConnectionRow) -> str:
    return "" if row.goid is None else str(row.goid)


# Title, what it shows, rank of importance (those of low rank go first when the terminal is narrow), right-aligned or not.
_COLUMNS: tuple[tuple[str, Callable[[ConnectionRow], str], int, bool], ...] = (
    ("fd", _fd, 0, True),
    ("peer", lambda row: row.peer or row.local, 1, False),
    ("state", lambda row: row.state or row.kind, 2, False),
    ("doing", lambda row: row.doing, 3, False),
    ("since", _since, 7, True),
    ("host", lambda row: row.host, 6, False),
    ("goroutine", _goid, 5, True),
    ("where", lambda row: row.site, 4, False),
    ("request", lambda row: row.request, 9, False),
    ("deadline", lambda row: row.deadline, 9, False),
    ("acquired at", lambda row: row.acquired, 8, False),
    ("age", _age, 10, True),
    ("protocol", lambda row: row.protocol, 11, False),
    ("reachable from", lambda row: row.reached, 8, False),
    ("held by", lambda row: row.held_by, 9, False),
)


def render_connections(
    rows: Sequence[ConnectionRow],
    *,
    width: int = 80,
    color: bool = False,
    limit: int | None = None,
    notes: Sequence[str] = (),
    is_seen: bool = True,
) -> str:
    """Return the table, a summary by activity, and what could not be seen.

    Args:
        rows: in the order in which they are shown.
        width: columns of the terminal; columns that do not fit are left out, the least important first.
        color: with terminal colours.
        limit: rows to show at most; None for all.
        notes: what could not be seen and why, one sentence each.
        is_seen: whether the list of descriptors could be read; without it nothing is known of connections.
    """
    page = Page(max(width, MIN_WIDTH))
    shown = rows[:limit]
    if shown:
        _table(page, shown)
    if len(rows) > len(shown):
        page.text(f"and {len(rows) - len(shown):,} more (-n {len(rows)} shows them)", style="dim")
    page.blank()
    page.text(
        _summary(rows) if rows or is_seen else "The connections of the process could not be seen.",
        style="bold",
    )
    for note in notes:
        page.text(note, indent=4, first=(("  - ", "yellow"),), style="yellow")
    return page.render(color=color)


def _summary(rows: Sequence[ConnectionRow]) -> str:
    head = f"{len(rows):,} {'connection' if len(rows) == 1 else 'connections'}"
    counts = Counter(row.activity for row in rows if row.activity)
    words = ", ".join(
        f"{count:,} {_SHORT.get(activity) or ACTIVITIES.get(activity, activity)}"
        for activity, count in counts.most_common()
    )
    return f"{head}: {words}." if words else f"{head}."


def _table(page: Page, rows: Sequence[ConnectionRow]) -> None:
    texts = [[show(row) for _, show, _, _ in _COLUMNS] for row in rows]
    if all(row.age_ns is None for row in rows):  # one look knows no ages
        texts = [
            ["" if title == "age" else cell for (title, *_), cell in zip(_COLUMNS, cells, strict=True)]
            for cells in texts
        ]
    widths = [
        0
        if not any(row[at] for row in texts)
        else min(max(len(title), *(shown_width(row[at]) for row in texts)), MAX_COLUMN)
        for at, (title, _, _, _) in enumerate(_COLUMNS)
    ]
    kept = _fitting(widths, page.width)
    page.line((_line([title for title, _, _, _ in _COLUMNS], widths, kept), "bold"))
    for row, cells in zip(rows, texts, strict=True):
        page.line((_line(cells, widths, kept), _STYLES.get(row.activity, "")))


def _fitting(widths: list[int], room: int) -> list[int]:
    """Return the columns that fit, in the order of the table; the last important one may be cut by the line's end."""
    kept: list[int] = []
    for at in sorted(range(len(widths)), key=lambda at: _COLUMNS[at][2]):
        if not widths[at]:
            continue
        if sum(widths[one] + GAP for one in kept) + widths[at] > room and _COLUMNS[at][2] > 3:
            continue
        kept.append(at)
    return sorted(kept)


def _line(cells: Sequence[str], widths: list[int], kept: list[int]) -> str:
    parts = []
    for at in kept:
        text = cells[at] if shown_width(cells[at]) <= widths[at] else cells[at][: widths[at] - 3] + "..."
        padding = " " * (widths[at] - shown_width(text))
        parts.append(padding + text if _COLUMNS[at][3] else text + padding)
    return (" " * GAP).join(parts).rstrip()
