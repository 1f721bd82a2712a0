"""Goroutines as people read them: goldens of whole outputs, and nothing wider than the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from goroutine_samples import sample_goroutines
from house.golden import Golden
from leadline.app.diagnose import diagnose
from leadline.app.dump import dump_evidence
from leadline.evidence import Evidence
from leadline.formats.godump import parse_dumps
from leadline.report.goroutines import diff_goroutines, make_goroutines_view
from leadline.report.goroutines_text import render_descriptors, render_dump, render_goroutines
from leadline.report.model import make_view

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"


def dumped(name: str) -> Evidence:
    return dump_evidence(parse_dumps((DUMPS / name).read_bytes()))


def test_groups_of_a_live_process(golden: Golden) -> None:
    golden.check("report/goroutines.txt", render_goroutines(make_goroutines_view(sample_goroutines())))


def test_descriptors_of_a_live_process(golden: Golden) -> None:
    text = render_descriptors(make_goroutines_view(sample_goroutines()), limit=3)
    golden.check("report/goroutines-by-fd.txt", text)


def test_a_dump(golden: Golden) -> None:
    evidence = dumped("go1.27-leaks.txt")
    view = make_goroutines_view(evidence, "go1.27-leaks.txt")
    text = render_dump(view, make_view(Evidence(), diagnose(Evidence(), rules=())), limit=6)
    golden.check("report/dump.txt", text)


def test_a_comparison(golden: Golden) -> None:
    older, newer = dumped("go1.24-throw.txt"), dumped("go1.27-leaks.txt")
    text = render_dump(
        make_goroutines_view(newer, "new.txt"),
        make_view(Evidence(), diagnose(Evidence(), rules=())),
        diff=diff_goroutines(older, newer),
        older="old.txt",
        limit=4,
    )
    golden.check("report/dump-diff.txt", text)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    view = make_goroutines_view(sample_goroutines())
    for text in (render_goroutines(view, width=width), render_descriptors(view, width=width, verbose=True)):
        assert max(len(line) for line in text.splitlines()) <= width


def test_recursion_is_said_once_and_long_stacks_are_cut() -> None:
    view = make_goroutines_view(sample_goroutines())
    text = render_goroutines(view)
    assert "main.walk  server.go:11 (60 times)" in text
    assert "frames are missing here" in text
    assert render_goroutines(view, verbose=True).count("main.walk") > 50


def test_a_limit_says_how_much_is_left_out() -> None:
    text = render_goroutines(make_goroutines_view(sample_goroutines()), limit=1)
    assert "and 4 more groups with 4 goroutines (-n 0 shows all)" in text


def test_colours_only_when_asked() -> None:
    view = make_goroutines_view(sample_goroutines())
    assert "\x1b[" in render_goroutines(view, color=True)
    assert "\x1b" not in render_goroutines(view)


def test_full_text_stands_below_the_head() -> None:
    view = make_goroutines_view(sample_goroutines())
    text = render_dump(view, make_view(Evidence(), diagnose(Evidence(), rules=())), full="goroutine 1 [x]:\n")
    assert text.endswith("\n\ngoroutine 1 [x]:\n")
    assert "main.walk" not in text
