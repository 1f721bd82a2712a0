"""Parts of pages of text that several reports have: labelled entries and stacks."""

from __future__ import annotations

from leadline.report.layout import Page, shown_width
from leadline.report.view import FrameGroup

__all__ = ["LABEL", "add_entry", "add_frames"]

LABEL = 9
"""Columns of a label."""


def add_entry(
    page: Page, label: str, text: str, *, indent: int, label_width: int = LABEL, style: str = ""
) -> None:
    """Add ``label  text`` with the text hanging.

    Args:
        page: to add to.
        label: what the text is.
        text: wrapped below itself.
        indent: columns before the label.
        label_width: columns of the label.
        style: of the text.
    """
    page.text(
        text,
        indent=indent + label_width,
        first=((" " * indent, ""), (f"{label:<{label_width}}", "dim")),
        style=style,
    )


def add_frames(page: Page, group: FrameGroup, *, label: str, verbose: bool, indent: int = 2) -> None:
    """Add the frames of one group, one per line, or their number and packages where they are folded.

    Args:
        page: to add to.
        group: frames of one sort.
        label: left of the first line.
        verbose: fold nothing, and show whole paths.
        indent: columns before the label.
    """
    if group.is_folded and not verbose:
        count = len(group.frames)
        packages = (
            f" ({', '.join(group.packages[:3])}{', ...' if len(group.packages) > 3 else ''})"
            if group.packages
            else ""
        )
        add_entry(
            page,
            label,
            f"... {count} library {'frame' if count == 1 else 'frames'}{packages}",
            indent=indent,
            style="dim",
        )
        return
    for number, frame in enumerate(group.frames):
        style = "cyan" if group.is_own else "dim"
        first = label if number == 0 else ""
        place = (frame.path if verbose else frame.place) + (
            " (inlined)" if verbose and frame.is_inlined else ""
        )
        room = page.width - indent - LABEL - shown_width(frame.function) - shown_width(place)
        if room >= 2 and place:
            add_entry(page, first, f"{frame.function}  {place}", indent=indent, style=style)
        else:
            add_entry(page, first, frame.function, indent=indent, style=style)
            if place:
                page.text(place, indent=indent + 2 + LABEL, style=style)
