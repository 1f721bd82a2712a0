from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from leadline import __version__
from leadline.evidence import Evidence
from leadline.report.html import render_html
from leadline.report.model import make_view
from report_samples import SampleVerdicts, sample_evidence, sample_verdicts

VOID = {"meta", "input", "br", "hr"}


class _Reader(HTMLParser):
    """Checks that elements nest, and gathers what could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def page(*, hostile: bool = False) -> str:
    return render_html(make_view(sample_evidence(hostile=hostile), sample_verdicts(hostile=hostile)))


def test_the_same_evidence_gives_the_same_page() -> None:
    assert page() == page()


def test_the_policy_allows_the_two_blocks_by_digest_and_nothing_else() -> None:
    text = page()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    wanted = policy[1].replace("&#x27;", "'")
    for element in ("style", "script"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in wanted
    assert wanted.startswith("default-src 'none';")
    assert "unsafe" not in wanted


def test_nothing_in_the_page_loads_or_runs_anything_else() -> None:
    for hostile in (False, True):
        reader = read(page(hostile=hostile))
        assert reader.tags.count("script") == reader.tags.count("style") == 1
        assert not {"link", "img", "iframe", "object", "embed", "base", "form", "a:href"} & set(reader.tags)
        names = {name for name, _ in reader.attributes}
        assert not {name for name in names if name.startswith("on")}
        assert not {"src", "style", "xlink:href", "action"} & names
        assert all(value.startswith("#") for name, value in reader.attributes if name == "href")


def test_names_are_escaped_and_without_control_characters() -> None:
    text = page(hostile=True)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;/style&gt;" in text
    assert all(character == "\n" or character.isprintable() for character in text)


def test_sections_appear_when_there_is_something_to_show() -> None:
    full = re.findall(r'<section id="(\w+)"', page())
    assert full == ["findings", "timeline", "birthplaces", "descriptors", "sockets", "healthy", "unseen"]
    empty = render_html(make_view(Evidence(), SampleVerdicts()))
    assert re.findall(r'<section id="(\w+)"', empty) == ["findings"]
    read(empty)


def test_what_stands_between_backticks_is_code() -> None:
    assert "<code>defer resp.Body.Close()</code> right after" in page()


def test_the_page_names_its_maker() -> None:
    assert f'<meta name="generator" content="leadline {__version__}">' in page()


def test_a_page_about_thousands_of_sockets_stays_small() -> None:
    text = render_html(make_view(sample_evidence(sockets=18_000), sample_verdicts()))
    assert len(text) < 2 << 20
    assert "16,028 of 18,028 are left out here" in text
