"""``leadline lab`` lists its programs and shows their source."""

from __future__ import annotations

import json

import pytest

from house.command import call


def test_the_list_says_what_each_program_must_cause(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "lab", "list")
    assert ran.status == 0
    assert any(line.split()[:2] == ["http-body-leak", "FDL101,HTP101"] for line in ran.out.splitlines())
    assert any(line.split()[:2] == ["keepalive-pool", "healthy"] for line in ran.out.splitlines())
    programs = json.loads(call(capsys, "lab", "list", "--json").out)["programs"]
    assert len(programs) == len(ran.out.splitlines())


def test_the_source_is_that_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert "func refreshPrices(" in call(capsys, "lab", "source", "http-body-leak").out


@pytest.mark.parametrize("command", ["source", "run"])
def test_an_unknown_program_says_where_the_names_are(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    ran = call(capsys, "lab", command, "no-such-program")
    assert ran.status == 2
    assert "leadline lab list" in ran.err


def test_the_demo_refuses_an_existing_report_before_it_builds(
    capsys: pytest.CaptureFixture[str], tmp_path: pytest.TempPathFactory
) -> None:
    ran = call(capsys, "lab", "demo", "-d", "12", "--html", tmp_path)
    assert ran.status == 2
