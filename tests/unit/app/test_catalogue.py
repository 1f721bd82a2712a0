"""What there is, as lists and pages."""

from __future__ import annotations

import json

import pytest

from leadline.app.catalogue import catalogue, rule_page
from leadline.app.probes import PROBES
from leadline.export._index import EXPORTERS
from leadline.model import UsageError
from leadline.rules._index import RULES


@pytest.mark.parametrize("name", ["FDL101", "fdl101", "leaking-dialed-connections"])
def test_a_rule_is_found_by_code_in_any_case_and_by_name(name: str) -> None:
    page = rule_page(name)
    assert page.startswith(rule_page("FDL101").partition("\n")[0])
    assert "(FDL101, " in page.partition("\n")[0]


@pytest.mark.parametrize("code", RULES)
def test_each_page_answers_what_a_reader_asks(code: str) -> None:
    page = rule_page(code)
    for heading in (
        "What it finds:",
        "Why it matters:",
        "How it decides:",
        "When it is wrong:",
        "What to do:",
    ):
        assert heading in page
    assert page.endswith("\n")


@pytest.mark.parametrize("name", ["FDL999", "", "leaking", "rules"])
def test_an_unknown_rule_is_an_error_with_a_remedy(name: str) -> None:
    with pytest.raises(UsageError, match="there is no rule") as error:
        rule_page(name)
    assert error.value.remedy == "leadline list rules"


@pytest.mark.parametrize(
    ("what", "count"), [("rules", len(RULES)), ("probes", len(PROBES)), ("exporters", len(EXPORTERS))]
)
def test_text_and_json_list_the_same(what: str, count: int) -> None:
    document = json.loads(catalogue(what, as_json=True))
    lines = catalogue(what, as_json=False).splitlines()
    assert document["schema_version"] == 1
    assert len(document[what]) == len(lines) == count
    for row, line in zip(document[what], lines, strict=True):
        assert all(str(value) in line for value in row.values())
        assert all(str(value) for value in row.values()), row


def test_columns_line_up() -> None:
    lines = catalogue("rules", as_json=False).splitlines()
    rows = json.loads(catalogue("rules", as_json=True))["rules"]
    assert len({line.index(row["finds"]) for line, row in zip(lines, rows, strict=True)}) == 1


def test_another_list_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="no list of plugins") as error:
        catalogue("plugins", as_json=False)
    assert "rules, probes or exporters" in error.value.remedy
