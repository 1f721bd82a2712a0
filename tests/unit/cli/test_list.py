"""``leadline list`` shows what there is."""

from __future__ import annotations

import json

import pytest

from house.command import call


@pytest.mark.parametrize(
    ("what", "one"), [("rules", "FDL101"), ("probes", "trace_descriptors"), ("exporters", "pprof")]
)
def test_each_list_has_what_it_should(capsys: pytest.CaptureFixture[str], what: str, one: str) -> None:
    text, document = call(capsys, "list", what), call(capsys, "list", what, "--json")
    assert text.status == document.status == 0
    assert one in text.out
    rows = json.loads(document.out)[what]
    assert len(rows) == len(text.out.splitlines())
    assert all(all(row.values()) for row in rows)


def test_another_word_names_the_lists(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "list", "things")
    assert ran.status == 2
    assert "rules, probes or exporters" in ran.err
