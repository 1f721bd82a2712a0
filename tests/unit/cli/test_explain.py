"""``leadline explain`` prints a rule's page by its code or name."""

from __future__ import annotations

import pytest

from house.command import call
from leadline.rules._index import RULES


@pytest.mark.parametrize("code", RULES)
def test_every_rule_can_be_explained(capsys: pytest.CaptureFixture[str], code: str) -> None:
    ran = call(capsys, "explain", code.lower())
    assert ran.status == 0
    assert f"({code}, " in ran.out
    for heading in ("What it finds", "How it decides", "When it is wrong", "What to do"):
        assert heading in ran.out


def test_a_name_is_as_good_as_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    by_code = call(capsys, "explain", "FDL101")
    name = by_code.out.splitlines()[0].split("FDL101, ")[1].split(")")[0]
    assert call(capsys, "explain", name) == by_code


def test_an_unknown_code_says_where_the_codes_are(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "explain", "FDL999")
    assert ran.status == 2
    assert "leadline list rules" in ran.err
