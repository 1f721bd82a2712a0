"""The page in a real browser: nothing complains, nothing is loaded, what the target calls things stays text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import chromium
from leadline.report.html import render_html
from leadline.report.model import make_view
from leadline.report.sockets import MAX_ROWS
from report_samples import HOSTILE, LEAK_COUNT, SampleVerdicts, sample_evidence, sample_verdicts

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def page() -> Iterator[chromium.Page]:
    if chromium.executable() is None:
        pytest.skip("chromium is not installed; remedy: apt-get install chromium")
    with chromium.opened() as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_complains(page: chromium.Page) -> Iterator[None]:
    page.complaints.clear()
    page.requests.clear()
    yield
    page.evaluate("1")  # what was said until now has arrived
    assert page.complaints == []
    assert all(address.startswith("file:///") for address in page.requests)


def show(page: chromium.Page, folder: Path, text: str) -> None:
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    page.go(path)
    assert page.evaluate("document.documentElement.dataset.ready") == "yes"


def rows(page: chromium.Page, what: str = "") -> int:
    found = page.evaluate(f"document.querySelectorAll('#sockets-table tbody tr{what}').length")
    assert isinstance(found, int)
    return found


def test_the_page_works(page: chromium.Page, tmp_path: Path) -> None:
    show(page, tmp_path, render_html(make_view(sample_evidence(), sample_verdicts())))
    assert page.evaluate("document.title") == "quotes (pid 4711) - leadline"
    assert page.evaluate("document.querySelector('.finding h3').textContent").startswith(f"{LEAK_COUNT} TCP")
    assert page.evaluate("getComputedStyle(document.querySelector('.finding')).borderLeftWidth") == "5px"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") is True


def test_theme_can_be_switched(page: chromium.Page, tmp_path: Path) -> None:
    show(page, tmp_path, render_html(make_view(sample_evidence(), sample_verdicts())))
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.evaluate("document.getElementById('theme').click()")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.evaluate("document.getElementById('theme').click()")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_sockets_sort_and_filter(page: chromium.Page, tmp_path: Path) -> None:
    show(page, tmp_path, render_html(make_view(sample_evidence(), sample_verdicts())))
    assert rows(page) == LEAK_COUNT + 5
    field = "document.querySelector('input[data-filter]')"
    page.evaluate(f"{field}.value = 'CLOSE_wait 10.0.0.9'; {field}.dispatchEvent(new Event('input'))")
    assert rows(page, ":not([hidden])") == LEAK_COUNT
    assert (
        page.evaluate("document.getElementById('sockets-table-count').textContent")
        == f"{LEAK_COUNT} of {LEAK_COUNT + 5} match"
    )
    page.evaluate(f"{field}.value = ''; {field}.dispatchEvent(new Event('input'))")
    assert rows(page, ":not([hidden])") == LEAK_COUNT + 5
    first = "document.querySelector('#sockets-table tbody tr').cells[0].textContent"
    click = "document.querySelector('#sockets-table th button').click()"
    page.evaluate(click)
    assert page.evaluate(first) == "3"
    page.evaluate(click)
    assert page.evaluate(first) == "63"


def test_the_chart_tells_values_under_the_pointer(page: chromium.Page, tmp_path: Path) -> None:
    show(page, tmp_path, render_html(make_view(sample_evidence(), sample_verdicts())))
    move = (
        "(() => { const c = document.querySelector('svg.chart'), b = c.getBoundingClientRect();"
        " c.dispatchEvent(new PointerEvent('pointermove', {clientX: b.left + 1, clientY: b.top + 5}));"
        " return document.querySelector('.legend b').textContent; })()"
    )
    assert page.evaluate(move) == "0"
    leave = "document.querySelector('svg.chart').dispatchEvent(new PointerEvent('pointerleave'))"
    page.evaluate(leave)
    assert page.evaluate("document.querySelector('.legend b').textContent") == str(LEAK_COUNT)


def test_hostile_names_stay_text(page: chromium.Page, tmp_path: Path) -> None:
    evidence = sample_evidence(hostile=True, sockets=MAX_ROWS + 500)
    show(page, tmp_path, render_html(make_view(evidence, sample_verdicts(hostile=True))))
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.querySelectorAll('style').length") == 1
    shown = page.evaluate("document.querySelector('h1').textContent")
    assert "<script>alert(1)</script></style>\"'&" in shown
    assert "\\x1b[31m" in shown
    text = page.evaluate("document.body.textContent")
    assert not any(character in text for character in "\x1b\x07\u202e\u2066")
    assert HOSTILE not in text
    assert rows(page) == MAX_ROWS
    assert f"{500 + LEAK_COUNT + 5:,} of {MAX_ROWS + 500 + LEAK_COUNT + 5:,} are left out" in text


def test_an_empty_report_is_a_page_too(page: chromium.Page, tmp_path: Path) -> None:
    evidence = sample_evidence(leaking=False)
    show(page, tmp_path, render_html(make_view(evidence, SampleVerdicts())))
    assert (
        page.evaluate("document.querySelector('.calm h3').textContent")
        == "No leak and no other fault was found."
    )


def test_a_narrow_page_does_not_scroll_sideways(page: chromium.Page, tmp_path: Path) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=False)
    try:
        show(
            page,
            tmp_path,
            render_html(make_view(sample_evidence(hostile=True), sample_verdicts(hostile=True))),
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


def test_it_prints(page: chromium.Page, tmp_path: Path) -> None:
    show(page, tmp_path, render_html(make_view(sample_evidence(), sample_verdicts())))
    printed = page.call("Page.printToPDF", printBackground=True)["data"]
    assert printed.startswith("JVBERi0")  # %PDF-
    assert page.evaluate("document.querySelector('.finding .site details').open") is True
