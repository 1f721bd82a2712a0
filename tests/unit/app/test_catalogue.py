"""The catalogue lists what there is, from the things themselves."""

from __future__ import annotations

import json

import pytest

from leadline.app.catalogue import catalogue, rule_page
from leadline.app.probes import PROBES
from leadline.export._index import EXPORTERS
from leadline.model import UsageError
from leadline.rules._index import RULES

LISTS = {
    "rules": set(RULES),
    "probes": {path.rpartition(".")[2] for path in PROBES},
    "exporters": set(EXPORTERS),
}


@pytest.mark.parametrize(("what", "expected"), LISTS.items())
def test_each_thing_is_listed_once_with_a_sentence(what: str, expected: set[str]) -> None:
    rows = json.loads(catalogue(what, as_json=True))[what]
    names = [row.get("code", row["name"]) for row in rows]
    assert sorted(names) == sorted(expected)
    for row in rows:
        assert list(row.values())[-1].rstrip(".)").strip()


def test_text_and_json_carry_the_same_rows() -> None:
    rows = json.loads(catalogue("rules", as_json=True))["rules"]
    lines = catalogue("rules", as_json=False).splitlines()
    assert [line.split()[0] for line in lines] == [row["code"] for row in rows]


def test_a_page_is_found_by_code_in_any_case_and_by_name() -> None:
    page = rule_page("FDL103")
    assert page == rule_page("fdl103") == rule_page("leaking-files")
    assert page.endswith("\n")


def test_an_unknown_list_and_an_unknown_rule_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="nothing") as caught:
        catalogue("nothing", as_json=False)
    assert "leadline list" in caught.value.remedy
    with pytest.raises(UsageError, match="FDL000") as caught:
        rule_page("FDL000")
    assert caught.value.remedy == "leadline list rules"
