"""The table of ``leadline capabilities``: what this host and these rights allow, and what each missing one would add."""

from __future__ import annotations

from collections.abc import Iterable

from leadline.model import printable
from leadline.report.layout import MIN_WIDTH, Page

__all__ = ["render_capabilities"]

NAME_WIDTH = 24


def render_capabilities(
    rows: Iterable[tuple[str, str, str, str]], *, width: int = 80, color: bool = False
) -> str:
    """Return one entry per feature, in the order given, and a count at the end.

    Args:
        rows: (name, status, what it adds, remedy); status is ``yes``, or why not.
        width: columns of the terminal.
        color: with terminal colours.
    """
    page = Page(max(width, MIN_WIDTH))
    missing = total = 0
    for name, status, adds, remedy in rows:
        is_allowed = status == "yes"
        total += 1
        missing += not is_allowed
        word = ("yes  ", "bold green") if is_allowed else ("no   ", "bold red")
        head = (word, (f"{printable(name):<{NAME_WIDTH}} ", "" if is_allowed else "bold"))
        page.text(printable(adds), indent=NAME_WIDTH + 6, first=head, style="dim" if is_allowed else "")
        if not is_allowed:
            page.text(printable(status), indent=12, first=(("     why    ", "dim"),))
            if remedy:
                page.text(printable(remedy), indent=12, first=(("     do     ", "dim"),))
    page.blank()
    page.text(
        f"{total - missing} of {total} available."
        + (" leadline does less without the others, and says so." if missing else "")
    )
    return page.render(color=color)
