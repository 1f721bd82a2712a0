"""Lines of styled text, wrapped by words with a hanging indent, as plain text or with colours."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import dataclass, field

__all__ = ["Page", "Span", "shown_width"]

Span = tuple[str, str]
"""(text, style); style is "" or a style that rich knows, such as ``bold red``."""

MIN_WIDTH = 40


def shown_width(text: str) -> int:
    """Return how many columns a terminal uses for the text."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


@dataclass(slots=True)
class Page:
    """Collects lines not longer than ``width`` columns."""

    width: int
    lines: list[tuple[Span, ...]] = field(default_factory=list)

    def blank(self) -> None:
        """Add an empty line, never two in a row and none at the top."""
        if self.lines and self.lines[-1]:
            self.lines.append(())

    def line(self, *spans: Span) -> None:
        """Add one line as it is, cut with ``...`` where it is too long."""
        room = self.width
        kept: list[Span] = []
        for text, style in spans:
            columns = shown_width(text)
            if columns > room:
                kept.append((_cut(text, room), style))
                break
            kept.append((text, style))
            room -= columns
        self.lines.append(tuple(kept))

    def text(self, text: str, *, indent: int = 0, first: tuple[Span, ...] = (), style: str = "") -> None:
        """Add wrapped text.

        Args:
            text: words; its own line breaks are kept.
            indent: columns before each line.
            first: spans in place of the indent on the first line, padded to it (or longer).
            style: of the words.
        """
        lead = shown_width("".join(part for part, _ in first))
        head = (*first, (" " * (indent - lead), "")) if lead < indent else first
        used = max(lead, indent)
        for paragraph in text.split("\n"):
            for row in _wrap(paragraph, self.width, first=used, rest=indent):
                self.lines.append((*head, (row, style)))
                head, used = ((" " * indent, ""),), indent

    def rows(self) -> list[tuple[Span, ...]]:
        """Return the lines without empty ones at the end."""
        rows = list(self.lines)
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def render(self, *, color: bool) -> str:
        """Return the text; with ``color`` it holds terminal escapes (only leadline's own)."""
        rows = self.rows()
        if color:
            return _colored(rows)
        return "".join("".join(text for text, _ in spans).rstrip() + "\n" for spans in rows)


def _colored(rows: list[tuple[Span, ...]]) -> str:
    from rich.console import Console  # noqa: PLC0415  not needed for plain text, and slow to import
    from rich.text import Text  # noqa: PLC0415

    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        width=10_000,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as capture:
        for spans in rows:
            line = Text.assemble(*((text, style) for text, style in spans))
            line.rstrip()
            console.print(line, soft_wrap=True)
    return capture.get()


def _cut(text: str, room: int) -> str:
    if room <= 3:
        return "..."[: max(room, 0)]
    kept = ""
    for character in text:
        if shown_width(kept) + _columns(character) > room - 3:
            break
        kept += character
    return kept + "..."


def _wrap(paragraph: str, width: int, *, first: int, rest: int) -> list[str]:
    """Return the rows of a paragraph; words longer than a row are broken."""
    rows: list[str] = []
    row, room = "", max(width - first, 8)
    for word in paragraph.split(" "):
        candidate = f"{row} {word}" if row else word
        if shown_width(candidate) <= room:
            row = candidate
            continue
        if row:
            rows.append(row)
            room = max(width - rest, 8)
        row = word
        while shown_width(row) > room:
            piece = _fitting(row, room)
            rows.append(piece)
            row = row[len(piece) :]
            room = max(width - rest, 8)
    rows.append(row)
    return rows


def _fitting(word: str, room: int) -> str:
    """Return the longest beginning of a word that fits, broken after a slash or dot when one is near."""
    end = 0
    used = 0
    for character in word:
        used += _columns(character)
        if used > room:
            break
        end += 1
    end = max(end, 1)
    for signs in ("/", ".,:"):
        mark = max(word.rfind(sign, 0, end) for sign in signs)
        if mark + 1 >= end // 2:
            return word[: mark + 1]
    return word[:end]
