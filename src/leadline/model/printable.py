"""Text from a target, made harmless for terminals, editors and pages."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""Return the text with every character that is not printable written as an escape.

    Control characters (terminal escapes among them), bidirectional overrides, zero-width characters, line separators, bytes that
    are not UTF-8 (as surrogates) and unassigned code points become visible; all letters, symbols and plain spaces stay.

    >>> print(printable("evil\x1b[2Jname"), printable("a\u202eb"), printable("raw\udcff"))
    evil\x1b[2Jname a\u202eb raw\xff
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
