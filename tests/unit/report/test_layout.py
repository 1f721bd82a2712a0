from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadline.report.layout import Page, shown_width


def lines(page: Page) -> list[str]:
    return page.render(color=False).splitlines()


def test_words_wrap_with_a_hanging_indent() -> None:
    page = Page(20)
    page.text("one two three four five", indent=4, first=(("ab", ""),))
    assert lines(page) == ["ab  one two three", "    four five"]


def test_line_breaks_of_the_text_are_kept() -> None:
    page = Page(20)
    page.text("one\ntwo", indent=2)
    assert lines(page) == ["  one", "  two"]


def test_long_words_break_after_a_slash() -> None:
    page = Page(20)
    page.text("/usr/local/go/src/net/http/transport.go", indent=2)
    assert lines(page) == ["  /usr/local/go/src/", "  net/http/", "  transport.go"]


def test_wide_characters_count_twice_and_combining_ones_not() -> None:
    assert [shown_width(text) for text in ("abc", "漢字", "e\u0301")] == [3, 4, 1]
    page = Page(20)
    page.line(("漢" * 20, ""))
    assert shown_width(lines(page)[0]) <= 20
    assert lines(page)[0].endswith("...")


def test_empty_lines_never_pile_up() -> None:
    page = Page(20)
    page.blank()
    page.line(("a", ""))
    page.blank()
    page.blank()
    page.line(("b", ""))
    page.blank()
    assert page.render(color=False) == "a\n\nb\n"
    assert Page(20).render(color=False) == ""


@given(
    st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=200),
    st.integers(20, 100),
    st.integers(0, 8),
)
def test_any_text_fits_and_loses_only_spaces(text: str, width: int, indent: int) -> None:
    page = Page(width)
    page.text(text, indent=indent)
    assert all(shown_width(line) <= width for line in lines(page))
    assert "".join(lines(page)).replace(" ", "") == text.replace(" ", "")
