"""A recorded case is judged as the live one was, and two are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.app.cases import write_case
from leadline.app.diagnose import diagnose
from leadline.app.replay import diff_cases, replay_case
from leadline.evidence.redaction import redacted
from leadline.model import UsageError
from report_samples import sample_evidence


def test_a_replayed_case_has_the_verdicts_of_its_evidence(tmp_path: Path) -> None:
    path = tmp_path / "sample.leadline"
    write_case(path, sample_evidence())
    replayed = replay_case(path)
    assert replayed.subject == "sample.leadline"
    assert replayed.diagnosis == diagnose(redacted(sample_evidence()))
    assert replayed.diagnosis == replay_case(path).diagnosis


def test_a_case_compared_with_itself_has_nothing_new(tmp_path: Path) -> None:
    path = tmp_path / "sample.leadline"
    write_case(path, sample_evidence())
    text, leaks_remain = diff_cases(path, path, as_json=False)
    findings = [finding.code for finding in replay_case(path).diagnosis.findings]
    assert leaks_remain == any(code.startswith("FDL1") for code in findings)
    assert text.endswith("\n")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.leadline"):
        replay_case(tmp_path / "none.leadline")
