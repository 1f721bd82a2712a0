"""HTML and SVG built from values, so that nothing unescaped can get in."""

from __future__ import annotations

import html
from collections.abc import Iterable

__all__ = ["Child", "Safe", "tag", "text"]

_VOID = frozenset({"meta", "input", "br", "hr"})


class Safe(str):
    """Markup that was built here; every other string is escaped when it becomes a child or an attribute."""

    __slots__ = ()


Child = str | Safe | Iterable["Child"] | None
"""What may stand inside an element: text, markup, several of them, or nothing."""


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Safe:
    """Return an element.

    Args:
        name: of the element.
        children: text (escaped), markup, sequences of them; None is left out.
        attributes: ``class_`` becomes ``class``, other underscores hyphens; True gives a bare attribute, None and False none.

    >>> tag("p", "a < b", tag("br"), class_="x", title='say "hi"')
    '<p class="x" title="say &quot;hi&quot;">a &lt; b<br></p>'
    """
    parts = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        parts.append(f" {label}" if value is True else f' {label}="{html.escape(_value(value))}"')
    start = f"<{name}{''.join(parts)}>"
    return Safe(start if name in _VOID else f"{start}{text(*children)}</{name}>")


def text(*children: Child) -> Safe:
    """Return the children as markup, one after the other."""
    return Safe("".join(_child(child) for child in children))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Safe):
        return child
    if isinstance(child, str):
        return html.escape(child, quote=False)
    return text(*child)


def _value(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
