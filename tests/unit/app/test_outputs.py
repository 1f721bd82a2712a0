"""Where a case goes: streams, files and the exit status."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from leadline.app.case import Case
from leadline.app.cases import read_case
from leadline.app.diagnose import Diagnosis
from leadline.app.outputs import OutputOptions, deliver, has_gaps, is_alarming
from leadline.evidence import Evidence
from leadline.evidence.kinds import KINDS
from leadline.model import Gap, GapReason, Severity, UsageError
from report_samples import sample_cleared, sample_evidence, sample_findings, sample_not_judged

QUIET = Diagnosis((), sample_cleared(), ())
LOUD = Diagnosis(sample_findings(), sample_cleared(), sample_not_judged())
FILES = ("case", "html", "pprof", "flame", "sarif", "junit")


def case_of(diagnosis: Diagnosis = LOUD, evidence: Evidence | None = None) -> Case:
    return Case(
        evidence=sample_evidence() if evidence is None else evidence, diagnosis=diagnosis, subject="4711"
    )


def without_gaps() -> Evidence:
    kept, full = Evidence(), sample_evidence()
    for name in full.observed():
        if name != "gap":
            for record in full.all(KINDS[name]):
                kept.put(record)
    return kept


def status(case_of_it: Case, /, *, exit_zero: bool = False, fail_on_gap: bool = False, **options: Any) -> int:
    return deliver(case_of_it, OutputOptions(**options), exit_zero=exit_zero, fail_on_gap=fail_on_gap)


def with_severity(severity: Severity) -> Diagnosis:
    return Diagnosis((msgspec.structs.replace(sample_findings()[0], severity=severity),), (), ())


# -- exit status ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", [s for s in Severity if s is not Severity.INFO])
def test_a_finding_above_info_is_status_1(capsys: pytest.CaptureFixture[str], severity: Severity) -> None:
    assert is_alarming(case_of(with_severity(severity)))
    assert status(case_of(with_severity(severity))) == 1


def test_information_is_no_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(case_of(with_severity(Severity.INFO))) == 0


def test_nothing_found_is_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(case_of(QUIET)) == 0


def test_exit_zero_is_0_whatever_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(case_of(LOUD), exit_zero=True) == 0
    assert status(case_of(LOUD), exit_zero=True, fail_on_gap=True) == 0


def test_gaps_fail_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with_gap, whole = case_of(QUIET), case_of(QUIET, without_gaps())
    assert (has_gaps(with_gap), has_gaps(whole)) == (True, False)
    assert status(with_gap) == 0
    assert status(with_gap, fail_on_gap=True) == 1
    assert status(whole, fail_on_gap=True) == 0


def test_what_no_rule_could_judge_is_a_gap(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged = Diagnosis((), (), sample_not_judged())
    assert status(case_of(unjudged, without_gaps()), fail_on_gap=True) == 1
    failed_rule = Diagnosis((), (), (), (Gap(what="FDL101", reason=GapReason.MALFORMED),))
    assert status(case_of(failed_rule, without_gaps()), fail_on_gap=True) == 1


# -- streams -------------------------------------------------------------------------------------------------------------


def test_the_report_is_text_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    status(case_of())
    printed = capsys.readouterr()
    assert "main.fetchQuote" in printed.out
    assert printed.err == ""


def test_json_is_one_document_on_stdout_and_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    status(case_of(), json=True)
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert [finding["code"] for finding in document["findings"]]
    assert printed.err == ""


def test_under_exec_text_goes_to_stderr_and_json_still_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    status(case_of(), text_to_stderr=True)
    printed = capsys.readouterr()
    assert "main.fetchQuote" in printed.err
    assert printed.out == ""
    status(case_of(), text_to_stderr=True, json=True)
    printed = capsys.readouterr()
    assert json.loads(printed.out)["findings"]
    assert printed.err == ""


def test_workflow_annotations_follow_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    status(case_of(), github=True)
    out = capsys.readouterr().out
    assert out.index("main.fetchQuote") < out.index("::error")


def test_verbose_shows_what_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    status(case_of())
    brief = capsys.readouterr().out
    status(case_of(), verbose=True)
    full = capsys.readouterr().out
    reason = sample_cleared()[0].reason.split()[0]
    assert len(full) > len(brief)
    assert reason in full


def test_text_for_a_file_has_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    status(case_of())
    assert "\x1b" not in capsys.readouterr().out


# -- files ---------------------------------------------------------------------------------------------------------------


def test_every_file_that_was_asked_for_is_written_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths: dict[str, Any] = {name: tmp_path / f"out.{name}" for name in FILES}
    status(case_of(), **paths)
    said = capsys.readouterr().err
    for path in paths.values():
        assert f"wrote {path}" in said
    assert f"leadline replay {paths['case']}" in said
    assert read_case(paths["case"]).observed() == sample_evidence().observed()
    assert paths["html"].read_text().lower().startswith("<!doctype html>")
    assert paths["pprof"].read_bytes()[:2] == b"\x1f\x8b"
    assert json.loads(paths["sarif"].read_bytes())["version"] == "2.1.0"
    assert ET.fromstring(paths["junit"].read_bytes()).tag in {"testsuites", "testsuite"}
    assert b"main.fetchQuote" in paths["flame"].read_bytes()


def test_a_flame_graph_is_a_picture_when_its_name_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status(case_of(), flame=tmp_path / "leak.svg")
    status(case_of(), flame=tmp_path / "leak.folded")
    assert ET.fromstring((tmp_path / "leak.svg").read_bytes()).tag.endswith("svg")
    folded = (tmp_path / "leak.folded").read_text().splitlines()
    assert folded
    assert all(line.rsplit(" ", 1)[1].isdigit() for line in folded)


@pytest.mark.parametrize("name", FILES)
def test_an_existing_file_is_refused_before_and_after_the_watch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "kept"
    path.write_text("mine")
    options = OutputOptions(**{name: path})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="exists") as before:
        options.check()
    assert "--force" in before.value.remedy
    with pytest.raises(UsageError, match="exists"):
        deliver(case_of(), options, exit_zero=False, fail_on_gap=False)
    assert path.read_text() == "mine"
    forced = dataclasses.replace(options, force=True)
    forced.check()
    deliver(case_of(), forced, exit_zero=False, fail_on_gap=False)
    assert path.read_bytes() != b"mine"


def test_a_missing_folder_is_refused_before_the_watch(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        OutputOptions(html=tmp_path / "no" / "report.html").check()


def test_without_files_nothing_is_checked_or_written(tmp_path: Path) -> None:
    assert OutputOptions().files() == []
    OutputOptions().check()
