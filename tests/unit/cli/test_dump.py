"""``leadline dump`` as a user calls it."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from house.command import call

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"
PLAIN = DUMPS / "go1.27-debug2.txt"


def test_groups_are_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "dump", PLAIN)
    assert ran.status == 0
    assert "22 goroutines in 20 groups" in ran.out
    assert "main.(*session).read  main.go:20" in ran.out
    assert "not judged" not in ran.out


def test_stdin_is_read_compressed_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(PLAIN.read_bytes()))))
    ran = call(capsys, "dump", "-")
    assert ran.status == 0
    assert ran.out.startswith("leadline: stdin\n")


def test_json_has_groups_findings_and_the_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "dump", PLAIN, "--diff", DUMPS / "go1.27-leaks.txt", "--json")
    value = json.loads(ran.out)
    assert value["schema_version"] == 1
    assert sum(group["count"] for group in value["groups"]) == 22
    assert isinstance(value["findings"], list)
    assert value["diff"]["before"] == 21
    assert sum(group["after"] for group in value["diff"]["groups"]) == 22


def test_a_comparison_replaces_the_groups(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "dump", PLAIN, "--diff", PLAIN)
    assert "As many goroutines as before: 0 new, 0 gone, 22 in the same place, 0 elsewhere." in " ".join(
        ran.out.split()
    )


def test_full_and_text_list_each_goroutine(capsys: pytest.CaptureFixture[str]) -> None:
    full, text = call(capsys, "dump", PLAIN, "--full"), call(capsys, "dump", PLAIN, "--text")
    assert full.out.count("\ngoroutine ") == 22
    assert full.out.endswith(text.out)
    assert text.out.startswith("goroutine 1 [running]:\n")


def test_files_are_written_and_not_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    profile, case = tmp_path / "g.pb.gz", tmp_path / "g.leadline"
    ran = call(capsys, "dump", PLAIN, "--pprof", profile, "-o", case)
    assert ran.status == 0
    assert profile.read_bytes().startswith(b"\x1f\x8b")
    assert "22 goroutines" in call(capsys, "dump", PLAIN, "-o", case, "--force").out
    again = call(capsys, "dump", PLAIN, "--pprof", profile)
    assert (again.status, "--force" in again.err) == (2, True)


def test_a_case_of_a_dump_can_be_replayed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    case = tmp_path / "g.leadline"
    call(capsys, "dump", PLAIN, "-o", case)
    ran = call(capsys, "replay", case)
    assert "Traceback" not in ran.out + ran.err
    assert "not judged" in ran.out


@pytest.mark.parametrize("name", ["missing.txt", "go1.99"])
def test_what_is_no_dump_is_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    (tmp_path / "go1.99").write_text("nothing\n")
    ran = call(capsys, "dump", tmp_path / name)
    assert ran.status == 2
    assert ran.out == ""
    assert "do: " in ran.err


def test_gaps_fail_when_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cut = tmp_path / "cut.txt"
    cut.write_bytes(PLAIN.read_bytes()[:-100])
    assert call(capsys, "dump", cut).status == 0
    ran = call(capsys, "dump", cut, "--fail-on-gap")
    assert ran.status == 1
    assert "the file ends in the middle of goroutine" in ran.out
