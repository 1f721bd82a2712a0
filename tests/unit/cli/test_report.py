"""``leadline report`` writes a case in the forms that were asked for."""

from __future__ import annotations

import gzip
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


def test_every_form_is_written(capsys: pytest.CaptureFixture[str], case: Path, tmp_path: Path) -> None:
    forms = {
        "--html": "a.html",
        "--pprof": "a.pb.gz",
        "--flame": "a.svg",
        "--sarif": "a.sarif",
        "--junit": "a.xml",
    }
    arguments = [part for option, name in forms.items() for part in (option, tmp_path / name)]
    ran = call(capsys, "report", case, *arguments)
    assert ran.status == 0, ran.err
    assert all(name in ran.err for name in forms.values())
    assert "<html" in (tmp_path / "a.html").read_text()[:300]
    assert gzip.decompress((tmp_path / "a.pb.gz").read_bytes())
    assert (tmp_path / "a.svg").read_text().rstrip().endswith("</svg>")
    assert json.loads((tmp_path / "a.sarif").read_text())["version"] == "2.1.0"
    assert "<testsuite" in (tmp_path / "a.xml").read_text()


def test_another_name_gives_folded_stacks(
    capsys: pytest.CaptureFixture[str], case: Path, tmp_path: Path
) -> None:
    assert call(capsys, "report", case, "--flame", tmp_path / "a.folded").status == 0
    for line in (tmp_path / "a.folded").read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        assert stack
        assert int(count) > 0


def test_without_a_form_it_says_which_there_are(capsys: pytest.CaptureFixture[str], case: Path) -> None:
    ran = call(capsys, "report", case)
    assert ran.status == 2
    assert "--html FILE" in ran.err


def test_existing_files_need_force(capsys: pytest.CaptureFixture[str], case: Path, tmp_path: Path) -> None:
    kept = tmp_path / "a.html"
    kept.write_text("mine")
    assert call(capsys, "report", case, "--html", kept).status == 2
    assert kept.read_text() == "mine"
    assert call(capsys, "report", case, "--html", kept, "--force").status == 0
    assert kept.read_text() != "mine"
