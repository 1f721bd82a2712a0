from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.model import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("main.fetch /src/größe 漢字 🙂", "main.fetch /src/größe 漢字 🙂"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("a\u202eb\u2066c\u200bd\ufeff", "a\\u202eb\\u2066c\\u200bd\\ufeff"),
        ("line\r\nnext\ttab\u2028x", "line\\r\\nnext\\ttab\\u2028x"),
        ("raw\udcff\ud800", "raw\\xff\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_not_printable_becomes_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_printable_utf8_and_stays_so(text: str) -> None:
    once = printable(text)
    assert once.isprintable()
    assert once.encode().decode() == once
    assert printable(once) == once
