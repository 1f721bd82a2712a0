"""FDL501: closes that fail, told apart by what they mean."""

from __future__ import annotations

import pytest

from evidence_builders import PID, Scene
from judging import cleared, finding, is_silent_without, verdicts
from leadline.evidence.kinds import CloseFailure
from leadline.model import Severity, SiteFrame
from leadline.rules.fdl.failing_close import RULE

SITE = SiteFrame(function="main.readAll", file="/src/app/main.go", line=37, role="app")


def failed(verdict: str, error: str = "EBADF", count: int = 1, number: int = 1) -> CloseFailure:
    return CloseFailure(
        id=number, pid=PID, error=error, count=count, fds=(7, 8), verdict=verdict, stack=None, site=SITE
    )


@pytest.mark.parametrize(
    ("verdict", "error", "severity"),
    [
        ("double", "EBADF", Severity.MEDIUM),
        ("never-open", "EBADF", Severity.INFO),
        ("error", "EIO", Severity.MEDIUM),
        ("error", "EDQUOT", Severity.MEDIUM),
        ("error", "EINTR", Severity.LOW),
    ],
)
def test_severity_by_meaning(verdict: str, error: str, severity: Severity) -> None:
    scene = Scene()
    scene.more.append(failed(verdict, error))
    found = finding(RULE, scene)
    assert found.severity is severity
    assert found.title.startswith(f"1 close failed with {error} at main.readAll (main.go:37): ")
    assert [(site.line, site.role) for site in found.sites] == [(37, "closed")]


def test_one_fires_and_none_does_not() -> None:
    scene = Scene()
    assert cleared(RULE, scene).count == 0
    scene.more.append(failed("double", count=0))
    assert cleared(RULE, scene).count == 0
    scene.more.append(failed("double", count=23, number=2))
    assert finding(RULE, scene).count == 23


def test_those_that_hit_somebody_else_are_left_to_the_other_rule() -> None:
    scene = Scene()
    scene.more.append(failed("somebody-elses"))
    assert "FDL502" in cleared(RULE, scene).reason


def test_kinds_of_failure_are_separate_findings() -> None:
    scene = Scene()
    scene.more += [failed("double"), failed("error", "EIO", number=2), failed("double", count=4, number=3)]
    found = verdicts(RULE, scene)
    assert sorted(verdict.count or 0 for verdict in found) == [1, 5]


def test_not_judged_without_closes_being_watched() -> None:
    assert is_silent_without(RULE)


@pytest.mark.parametrize(("kinds", "word"), [(["file"], "file"), (["file", "tcp"], None), ([], None)])
def test_the_kind_is_what_the_closing_function_acquires(kinds: list[str], word: str | None) -> None:
    scene = Scene()
    for kind in kinds:
        scene.place(kind, "opened", function="main.readAll").live(1.0, 2.0)
    scene.more.append(failed("double"))
    assert finding(RULE, scene).kind == word
