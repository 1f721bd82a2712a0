"""Words of leak verdicts: rates, doubts, and one verdict per birthplace."""

from __future__ import annotations

import pytest

from evidence_builders import Scene, steady
from judging import finding, verdicts
from leadline.model import Cleared, Finding, NotJudged
from leadline.rules.fdl.leaking_files import RULE


@pytest.mark.parametrize(
    ("count", "window_s", "words"),
    [
        (300, 12.0, "25 more each second"),
        (24, 12.0, "1.9 more each second"),
        (20, 60.0, "19 more each minute"),
        (8, 600.0, "42 more each hour"),
    ],
)
def test_rates_in_words(count: int, window_s: float, words: str) -> None:
    scene = Scene(window_s=window_s)
    scene.place("file", "opened").all(steady(count, 0.0, window_s))
    assert finding(RULE, scene).title.endswith(words)


def test_each_birthplace_has_its_verdict() -> None:
    scene = Scene(window_s=12.0)
    scene.place("file", "opened", line=1).all(steady(23, 0.2, 11.7))
    scene.place("file", "opened", line=2).all([5.0, 6.0])
    scene.place("file", "opened", line=3).live(1.0, 2.0)
    scene.place("pipe", "created", line=4).live(1.0)
    found = verdicts(RULE, scene)
    assert [type(verdict) for verdict in found] == [Finding, Cleared, NotJudged]
    assert isinstance(found[2], NotJudged)
    assert found[2].subject == "2 files opened at main.work (main.go:2)"


def test_doubts_are_told() -> None:
    scene = Scene(window_s=16.0)
    scene.place("file", "opened").all(steady(23, 0.2, 11.7))
    doubts = [doubt.says for doubt in finding(RULE, scene).against]
    assert doubts[0].startswith("Nothing acquired here was closed in the window")
    assert doubts[1] == "None came in the last 4.8 s."


def test_every_reference_leads_to_evidence() -> None:
    scene = Scene(window_s=12.0)
    scene.place("file", "opened").all(steady(23, 0.2, 11.7))
    assert {because.evidence for because in finding(RULE, scene).because} == {"birthplace:1"}
