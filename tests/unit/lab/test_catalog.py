"""Tests of the catalog: what it says and what the Go sources say are the same thing."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from leadline.evidence.kinds import DescriptorKind
from leadline.lab.catalog import PROGRAMS, PROGRAMS_DIR, find, source, wants
from leadline.lab.program import LabProgram, OtherEnd
from leadline.model import UsageError

SHARED = {"internal", "third_party"}
ROLES = {"acquired", "caller", "created-by", "closed", "parked", "victim", "failed", "refused"}
WITHOUT_A_LINE = {"near-limit"}  # nothing is wrong with any line of it: the limit is too low

every_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.name)


def test_each_folder_is_in_the_catalog_and_each_entry_has_a_folder() -> None:
    folders = {path.name for path in PROGRAMS_DIR.iterdir() if path.is_dir()} - SHARED
    assert {program.source_folder for program in PROGRAMS.values()} == folders


@every_program
def test_an_entry_says_either_what_must_be_found_or_why_it_is_healthy(program: LabProgram) -> None:
    assert bool(program.expects) != bool(program.healthy)
    assert all(re.fullmatch(r"[A-Z]{3}\d{3}", code) for code in program.expects + program.also)
    assert not set(program.expects) & set(program.also)
    assert program.story
    assert not program.story.endswith(".")
    assert program.kind in {None, *(kind.report_word for kind in DescriptorKind)}
    assert (program.count is None) <= (program.kind is None or not program.is_healthy), "a bound needs a kind"
    assert 10 <= program.trace_s <= 90


@every_program
def test_a_fault_has_its_guilty_line_marked_and_a_healthy_program_has_none(program: LabProgram) -> None:
    found = wants(program.name)
    assert bool(found) == (not program.is_healthy and program.name not in WITHOUT_A_LINE)
    assert {want.role for want in found} <= ROLES
    for want in found:
        text = (PROGRAMS_DIR / want.file).read_text().splitlines()
        assert "// want: " in text[want.line - 1]
        assert text[want.line - 1].index("//") > 5, "the marker stands behind code, not alone"
        last_word = want.function.rpartition(".")[2]
        heads = [line for line in text[: want.line] if line.startswith("func ")]
        assert re.search(rf"\b{last_word}\(", heads[-1])


@every_program
def test_the_second_process_is_the_one_that_the_source_has(program: LabProgram) -> None:
    text = source(program.name)[0].read_text()
    has = {end for end in OtherEnd if re.search(rf"\b{end.value.title()}: ", text)}
    assert has == ({program.other_end} if program.other_end is not OtherEnd.NONE else set())


@every_program
def test_the_source_begins_with_its_story_and_makes_no_connection_off_this_machine(
    program: LabProgram,
) -> None:
    for path in source(program.name):
        text = path.read_text()
        assert re.match(r"(//go:build [\w.]+\n\n)?// \w+", text)
        assert not re.search(r"https?://(?!\"|127\.0\.0\.1|%s)", text), "only addresses of the rig"
        assert not re.search(r"\b(?!127\.0\.0\.1)\d+\.\d+\.\d+\.\d+\b", text)
        assert len(text.splitlines()) <= 120


def test_wants_name_functions_as_go_prints_them() -> None:
    assert {(want.role, want.function) for want in wants("own-dialer-leak")} == {
        ("acquired", "main.dialMeasured"),
        ("caller", "main.ping"),
    }
    (want,) = wants("http-do-leak")
    assert want.function == "lab/http-do-leak/pricing.(*Client).Quote"
    assert want.file == "http-do-leak/pricing/pricing.go"
    assert [want.role for want in wants("emfile")] == ["acquired", "refused"], "one line may have two roles"


def test_a_variant_shares_the_source_of_its_folder() -> None:
    assert source("websockets-arriving") == source("idle-websockets")


def test_an_unknown_name_is_refused_with_a_remedy() -> None:
    with pytest.raises(UsageError, match="no lab program is called 'nonsense'") as caught:
        find("nonsense")
    assert "lab list" in caught.value.remedy


@pytest.mark.slow
def test_the_go_sources_are_formatted() -> None:
    gofmt = shutil.which("gofmt") or shutil.which("gofmt", path="/usr/local/go/bin")
    if gofmt is None:
        pytest.skip("gofmt is not installed; remedy: install Go")
    said = subprocess.run([gofmt, "-l", PROGRAMS_DIR], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == ""


def test_leaks_that_one_can_count_can_go_on_without_an_end_too() -> None:
    counted = {program.name for program in PROGRAMS.values() if not program.is_healthy and program.count}
    assert {name for name in counted if not find(name).endless} == {
        "silent-clients",
        "silent-tls",
        "mute-clients",
        "dripping-clients",
        "half-body-clients",
    }


@every_program
def test_goroutines_are_counted_where_a_line_says_that_they_are_stuck(program: LabProgram) -> None:
    assert bool(program.goroutines) == any(want.role == "parked" for want in wants(program.name))
