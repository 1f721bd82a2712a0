"""A case goes to the terminal and to files, and the exit status says what was found."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from leadline.app.case import Case
from leadline.app.diagnose import Diagnosis
from leadline.app.outputs import OutputOptions, deliver, write_files
from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor
from leadline.model import Finding, Gap, GapReason, NotJudged, Severity, UsageError
from report_samples import sample_cleared, sample_evidence, sample_findings

BLIND = NotJudged(code="FDL101", name="n", missing="stacks", remedy="root")


def case(*findings: Finding, not_judged: tuple[NotJudged, ...] = (), gaps: tuple[Gap, ...] = ()) -> Case:
    evidence = Evidence()
    evidence.put_all(Descriptor, ())
    for gap in gaps:
        evidence.gap(gap)
    diagnosis = Diagnosis(findings=findings, cleared=sample_cleared(), not_judged=not_judged)
    return Case(evidence=evidence, diagnosis=diagnosis, subject="4711")


def status(subject: Case, *, exit_zero: bool = False, fail_on_gap: bool = False) -> int:
    return deliver(subject, OutputOptions(json=True), exit_zero=exit_zero, fail_on_gap=fail_on_gap)


@pytest.mark.usefixtures("capsys")
@pytest.mark.parametrize(
    ("severity", "expected"),
    [(Severity.CRITICAL, 1), (Severity.MEDIUM, 1), (Severity.LOW, 1), (Severity.INFO, 0)],
)
def test_only_findings_above_info_change_the_exit_status(severity: Severity, expected: int) -> None:
    finding = msgspec.structs.replace(sample_findings()[0], severity=severity)
    assert status(case(finding)) == expected
    assert status(case(finding), exit_zero=True) == 0


@pytest.mark.usefixtures("capsys")
@pytest.mark.parametrize(
    "blind",
    [case(not_judged=(BLIND,)), case(gaps=(Gap(what="stacks", reason=GapReason.NOT_PERMITTED),))],
    ids=["not judged", "gap"],
)
def test_blindness_fails_only_when_asked(blind: Case) -> None:
    assert status(blind) == 0
    assert status(blind, fail_on_gap=True) == 1
    assert status(case(), fail_on_gap=True) == 0


def test_a_target_of_which_nothing_was_seen_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    blind = Case(Evidence(), case().diagnosis, "4711")
    assert status(blind, exit_zero=True) == 2
    assert "could not be seen" in capsys.readouterr().err


def test_the_report_goes_to_stdout_and_notes_to_stderr(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = OutputOptions(case=tmp_path / "a.leadline", html=tmp_path / "a.html")
    deliver(
        Case(sample_evidence(), case(*sample_findings()).diagnosis, "x"),
        options,
        exit_zero=True,
        fail_on_gap=False,
    )
    printed = capsys.readouterr()
    assert sample_findings()[0].code in printed.out
    assert f"wrote {tmp_path / 'a.html'}" in printed.err
    assert f"leadline replay {tmp_path / 'a.leadline'}" in printed.err
    assert "wrote" not in printed.out


def test_a_commands_own_output_keeps_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(case(*sample_findings()), OutputOptions(text_to_stderr=True), exit_zero=True, fail_on_gap=False)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sample_findings()[0].code in printed.err


def test_annotations_come_after_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(case(*sample_findings()), OutputOptions(github=True), exit_zero=True, fail_on_gap=False)
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("::")


def test_text_is_plain_when_it_is_not_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(case(*sample_findings()), OutputOptions(), exit_zero=True, fail_on_gap=False)
    assert "\x1b" not in capsys.readouterr().out


def test_existing_files_are_refused_before_and_kept_after(tmp_path: Path) -> None:
    kept = tmp_path / "a.html"
    kept.write_text("mine")
    for write in (OutputOptions(html=kept).check, lambda: write_files(case(), OutputOptions(html=kept))):
        with pytest.raises(UsageError, match=r"a\.html"):
            write()
    assert kept.read_text() == "mine"
