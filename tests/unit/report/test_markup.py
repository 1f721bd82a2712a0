from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from leadline.report.markup import Safe, tag, text


def test_children_and_attributes_are_escaped() -> None:
    assert (
        tag("p", "<b>", ["&", None, (tag("i", "x"),)], title="\"'<")
        == '<p title="&quot;&#x27;&lt;">&lt;b&gt;&amp;<i>x</i></p>'
    )


def test_attribute_names_and_values() -> None:
    assert tag("input", type="search", hidden=True, class_="a", data_x=1.5, value=None, checked=False) == (
        '<input type="search" hidden class="a" data-x="1.5">'
    )
    assert tag("meta", name="n") == '<meta name="n">'


def test_only_markup_made_here_is_safe() -> None:
    assert text(str(tag("b", "<")), Safe("<i>")) == "&lt;b&gt;&amp;lt;&lt;/b&gt;<i>"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


@given(st.text(min_size=1), st.text())
def test_any_text_comes_back_as_text(child: str, attribute: str) -> None:
    reader = _Reader()
    reader.feed(tag("p", child, title=attribute))
    reader.close()
    assert reader.seen[0] == ("p", [("title", attribute)])
    assert "".join(str(part) for part in reader.seen[1:]) == child
