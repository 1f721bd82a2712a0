"""``leadline diff`` ends with 1 when a leak remains, and says which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from house.command import call
from leadline.app.cases import write_case
from report_samples import sample_evidence


def test_a_case_against_itself_leaves_what_it_had(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    case = tmp_path / "sample.leadline"
    write_case(case, sample_evidence())
    leaks = [
        finding
        for finding in json.loads(call(capsys, "replay", case, "--json").out)["findings"]
        if finding["code"].startswith("FDL1")
    ]
    ran = call(capsys, "diff", case, case)
    assert ran.status == (1 if leaks else 0), ran.err
    assert ran.out
    document = json.loads(call(capsys, "diff", case, case, "--json").out)
    assert document["schema_version"] == 1


def test_a_missing_case_is_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ran = call(capsys, "diff", tmp_path / "a.leadline", tmp_path / "b.leadline")
    assert ran.status == 2
    assert "a.leadline" in ran.err
