"""A report on a lab program is right when it finds what was planted, there, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from leadline import lab
from leadline.app.lab_check import judge_report

PROGRAM = lab.find("http-body-leak")
(WANT,) = lab.wants("http-body-leak")


def finding(**changes: Any) -> dict[str, Any]:
    site = {"function": WANT.function, "file": f"/src/{WANT.file}", "line": WANT.line}
    return {"code": "FDL101", "severity": "high", "title": "t", "kind": "tcp", "sites": [site], **changes}


def problems(*findings: dict[str, Any], name: str = "http-body-leak") -> tuple[str, ...]:
    return judge_report(lab.find(name), {"findings": list(findings)}).problems


def test_the_planted_line_is_right() -> None:
    result = judge_report(PROGRAM, {"findings": [finding()]})
    assert result.is_right
    assert result.codes == ("FDL101",)


def test_the_caller_may_come_second_but_not_third() -> None:
    other = {"function": "net/http.x", "file": "transport.go", "line": 1}
    (right,) = finding()["sites"]
    assert problems(finding(sites=[other, right])) == ()
    assert "named net/http.x" in problems(finding(sites=[other, other, right]))[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sites": []}, "no place"),
        (
            {"sites": [{"function": "main.other", "file": f"/src/{WANT.file}", "line": WANT.line}]},
            "main.other",
        ),
        (
            {"sites": [{"function": WANT.function, "file": f"/src/{WANT.file}", "line": WANT.line + 1}]},
            "but planted was",
        ),
        ({"kind": "file"}, "kind file, not tcp"),
        ({"code": "FDL103"}, "FDL101 was not found"),
    ],
)
def test_anything_else_is_a_problem(changes: dict[str, Any], says: str) -> None:
    assert any(says in problem for problem in problems(finding(**changes)))


def test_silence_is_right_for_a_healthy_program_and_wrong_for_a_leaking_one() -> None:
    assert problems(name="keepalive-pool") == ()
    assert problems() == ("FDL101 was not found",)


def test_a_false_alarm_counts_unless_it_is_mere_information() -> None:
    assert "false alarm" in problems(finding(), name="keepalive-pool")[0]
    assert problems(finding(severity="info"), name="keepalive-pool") == ()
