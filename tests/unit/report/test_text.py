from __future__ import annotations

import re

import msgspec
import pytest

from house.golden import Golden
from leadline.evidence import Evidence
from leadline.model import Cleared, Gap, GapReason, NotJudged
from leadline.report.layout import shown_width
from leadline.report.model import make_view
from leadline.report.text import render_text
from report_samples import SampleVerdicts, sample_cleared, sample_evidence, sample_findings, sample_verdicts

ESC = "\x1b"


def text(
    verdicts: SampleVerdicts,
    *,
    width: int = 80,
    color: bool = False,
    verbose: bool = False,
    hostile: bool = False,
) -> str:
    view = make_view(sample_evidence(hostile=hostile), verdicts)
    return render_text(view, width=width, color=color, verbose=verbose)


def test_golden(golden: Golden) -> None:
    golden.check("report/sample.txt", text(sample_verdicts()))


def test_golden_verbose_and_narrow(golden: Golden) -> None:
    golden.check("report/sample-verbose-60.txt", text(sample_verdicts(), width=60, verbose=True))


def test_golden_hostile(golden: Golden) -> None:
    golden.check("report/sample-hostile.txt", text(sample_verdicts(hostile=True), hostile=True))


def test_golden_nothing_found(golden: Golden) -> None:
    golden.check(
        "report/sample-healthy.txt",
        render_text(make_view(sample_evidence(leaking=False), SampleVerdicts((), sample_cleared()))),
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, verbose: bool) -> None:
    for hostile in (False, True):
        shown = text(sample_verdicts(hostile=hostile), width=width, verbose=verbose, hostile=hostile)
        assert max(shown_width(line) for line in shown.splitlines()) <= width


def test_colours_change_no_word() -> None:
    colored = text(sample_verdicts(hostile=True), color=True, hostile=True)
    assert f"{ESC}[1;31mHIGH{ESC}[0m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == text(sample_verdicts(hostile=True), hostile=True)


def test_nothing_from_the_target_controls_the_terminal() -> None:
    for verbose in (False, True):
        shown = text(sample_verdicts(hostile=True), hostile=True, verbose=verbose)
        assert all(character == "\n" or character.isprintable() for character in shown)


def test_markup_of_the_colour_library_is_text() -> None:
    finding = msgspec.structs.replace(
        sample_findings()[0], title="[red]not red[/red] :smile: [link=x]y[/link]"
    )
    assert "[red]not red[/red] :smile: [link=x]y[/link]" in text(SampleVerdicts((finding,)), color=True)


def test_the_most_severe_comes_first() -> None:
    shown = text(sample_verdicts())
    assert shown.index("HIGH  FDL101") < shown.index("MEDIUM  FDL301")


def test_long_lists_are_cut_and_say_so() -> None:
    many = tuple(
        Cleared(code="FDL101", name="n", subject=f"place {number}", reason="r", pattern="churning")
        for number in range(30)
    )
    unjudged = tuple(
        NotJudged(code="FDL101", name="n", missing=f"thing {number}", remedy="") for number in range(30)
    )
    shown = text(SampleVerdicts((), many, unjudged))
    assert "and 22 more (-v lists them)" in shown
    assert "and 18 more (-v lists them)" in shown
    assert "place 29" in text(SampleVerdicts((), many, unjudged), verbose=True)


def test_a_consequence_names_its_cause() -> None:
    finding = msgspec.structs.replace(sample_findings()[0], explained_by="FDL101")
    said = text(SampleVerdicts((finding,)))
    assert "a consequence of FDL101" in said
    assert "verify" not in said, "the cause says what to do"
    assert "a consequence of FDL101" in text(SampleVerdicts((finding,)), verbose=True)
    assert "verify" in text(SampleVerdicts((finding,)), verbose=True)


def test_faults_of_rules_are_shown() -> None:
    gap = Gap(
        what="the verdict of rule FDL101",
        reason=GapReason.MALFORMED,
        detail="line one\nline two",
        remedy="report it",
    )
    view = make_view(Evidence(), SampleVerdicts(gaps=(gap,)))
    assert "line two" not in render_text(view)
    assert "line two" in render_text(view, verbose=True)


def test_no_evidence_at_all_is_said_plainly() -> None:
    assert render_text(make_view(Evidence(), SampleVerdicts())) == "leadline: no process\n\nNo findings.\n"
