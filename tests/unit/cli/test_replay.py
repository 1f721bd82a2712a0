"""``leadline replay`` judges a case file again and says the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from house.command import call
from leadline.app.cases import write_case
from report_samples import sample_evidence


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Return a case file with the sample service."""
    path = tmp_path / "sample.leadline"
    write_case(path, sample_evidence())
    return path


def test_the_same_case_gives_the_same_report(capsys: pytest.CaptureFixture[str], case: Path) -> None:
    first, second = (call(capsys, "replay", case, "--json") for _ in range(2))
    assert first == second
    report = json.loads(first.out)
    assert report["schema_version"] == 1
    severe = [finding for finding in report["findings"] if finding["severity"] != "info"]
    assert first.status == (1 if severe else 0)


def test_exit_zero_keeps_the_report(capsys: pytest.CaptureFixture[str], case: Path) -> None:
    plain, zero = call(capsys, "replay", case), call(capsys, "replay", case, "--exit-zero")
    assert zero.status == 0
    assert zero.out == plain.out != ""


def test_a_damaged_or_missing_case_is_exit_2(
    capsys: pytest.CaptureFixture[str], case: Path, tmp_path: Path
) -> None:
    case.write_bytes(case.read_bytes()[:-100])
    for path in (case, tmp_path / "none.leadline"):
        ran = call(capsys, "replay", path)
        assert ran.status == 2
        assert path.name in ran.err
        assert ran.out == ""
