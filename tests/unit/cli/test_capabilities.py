"""``leadline capabilities`` says what this host allows, and what is to do about the rest."""

from __future__ import annotations

import json

import pytest

from house.command import call


def test_each_feature_is_there_or_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "capabilities", "--json")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    assert document["schema_version"] == 1
    assert document["kernel"]
    assert len(document["features"]) >= 5
    for feature in document["features"]:
        assert feature["name"]
        assert feature["status"]
        assert feature["adds"], "what it would add"


def test_the_text_names_every_feature(capsys: pytest.CaptureFixture[str]) -> None:
    features = json.loads(call(capsys, "capabilities", "--json").out)["features"]
    text = call(capsys, "capabilities").out
    for feature in features:
        assert feature["name"] in text
