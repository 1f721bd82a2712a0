"""Every rule keeps its promises: a page, a stable name, and a positive, a negative, a boundary and a blind case."""

from __future__ import annotations

import importlib
import inspect
import re
from types import ModuleType

import pytest

from house.files import ROOT, SRC
from leadline.contracts import Rule, RuleInfo
from leadline.rules._index import RULES

TESTS = ROOT / "tests" / "unit"
PAGES = ROOT / "docs" / "reference" / "rules"
# The names of tests say which case they are; a boundary's name says both sides.
CASES = {
    "positive (found, fires, counts)": r"found|fires?_|_counts?\b|critical|high|listed|is_told|shown",
    "negative (cleared, healthy, none of its business)": r"cleared|healthy|never|is_no\w*_|do_not_count|fires?_.*_not(_|$)",
    "boundary (N_fire_and_M_do_not, exactly, just_below)": r"fires?_.*_not(_|$)|exactly|just_below|only_",
    "blind (not_judged)": r"not_judged",
}
CURES = re.compile(r"^(use|prefer|avoid|check|no|missing-use)-")


def module_of(code: str) -> ModuleType:
    """Return a rule's module."""
    return importlib.import_module(RULES[code])


@pytest.mark.parametrize("code", RULES)
def test_its_index_entry_leads_to_it(code: str) -> None:
    module = module_of(code)
    assert isinstance(module.INFO, RuleInfo)
    assert isinstance(module.RULE, Rule)
    assert module.RULE.info is module.INFO
    assert module.INFO.code == code
    assert RULES[code].rpartition(".")[2] == module.INFO.name.replace("-", "_")


@pytest.mark.parametrize("code", RULES)
def test_its_name_is_the_fault_and_not_the_cure(code: str) -> None:
    name = module_of(code).INFO.name
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    assert not CURES.match(name)
    assert re.fullmatch(r"[A-Z]{3}\d{3}", code)


@pytest.mark.parametrize("code", RULES)
def test_it_has_a_page(code: str) -> None:
    page = (PAGES / f"{code}.md").read_text()
    assert page.startswith(f"# {code} {module_of(code).INFO.name}\n")
    assert f"({code}.md)" in (PAGES / "README.md").read_text()


@pytest.mark.parametrize("code", RULES)
def test_it_is_tested_on_both_sides_at_the_boundary_and_blind(code: str) -> None:
    module = module_of(code)
    inside = inspect.getfile(module)[len(str(SRC)) + 1 :].rpartition("/")[0]
    tests = TESTS / inside / f"test_{RULES[code].rpartition('.')[2]}.py"
    names = re.findall(r"^def (test_\w+)", tests.read_text(), re.MULTILINE)
    for case, pattern in CASES.items():
        assert any(re.search(pattern, name) for name in names), f"no {case} among {names}"


def test_every_rule_is_in_the_index() -> None:
    rules = {
        ".".join(path.relative_to(SRC.parent).with_suffix("").parts)
        for path in (SRC / "rules").rglob("*.py")
        if re.search(r"^RULE = ", path.read_text(), re.MULTILINE)
    }
    assert rules == set(RULES.values())


def test_names_are_used_once() -> None:
    names = [module_of(code).INFO.name for code in RULES]
    assert len(set(names)) == len(names)
