"""The table of Go runtime offsets: exact releases, untested patch releases, unknown ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats import gobinary, gooffsets
from leadline.formats.gooffsets import lookup, supported_minors, wait_reasons
from leadline.model import Malformed

MACHINES = ("x86_64", "aarch64")
MOVING = {
    *("pollDesc.SIZE", "pollDesc.rd", "pollDesc.wd", "m.SIZE", "m.alllink", "m.lockedg"),
    *(f"http2ClientConn.{field}" for field in ("SIZE", "closing", "closed", "bw", "fr")),
    *(f"http2serverConn.{field}" for field in ("SIZE", "streams", "curClientStreams", "curHandlers")),
}


def test_all_supported_minors_are_there_for_both_machines() -> None:
    assert supported_minors() == tuple(range(18, 28))
    for minor in supported_minors():
        for machine in MACHINES:
            assert lookup(f"go1.{minor}", machine) is not None


# Read by hand from DWARF with gdb, independent of the generator.
@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            "go1.21.13",
            {
                "g.goid": 152,
                "g.parentGoid": 272,
                "g.gopc": 280,
                "g.SIZE": 408,
                "pollDesc.rd": 144,
                "gobuf.bp": 48,
            },
        ),
        (
            "go1.23.9",
            {
                "g.goid": 160,
                "g.parentGoid": 280,
                "g.gopc": 288,
                "g.SIZE": 432,
                "pollDesc.rd": 160,
                "gobuf.bp": 48,
            },
        ),
        ("go1.23.1", {"g.goid": 160, "pollDesc.rd": 152, "pollDesc.wd": 248}),
        (
            "go1.25.5",
            {
                "g.goid": 152,
                "g.parentGoid": 272,
                "g.gopc": 280,
                "g.SIZE": 440,
                "pollDesc.rd": 168,
                "gobuf.bp": 40,
            },
        ),
        (
            "go1.27.3",
            {"g.goid": 152, "g.parentGoid": 280, "moduledata.gofunc": 344, "moduledata.etypes": 312},
        ),
    ],
)
def test_offsets_of_tested_releases(version: str, expected: dict[str, int]) -> None:
    offsets = lookup(version, "x86_64")
    assert offsets is not None
    assert offsets.is_exact
    assert offsets.uncertain == frozenset()
    assert {field: offsets[field] for field in expected} == expected


def test_parent_goroutines_are_known_from_1_21_on() -> None:
    known = {}
    for minor in supported_minors():
        offsets = lookup(f"go1.{minor}.0", "x86_64")
        assert offsets is not None
        known[minor] = offsets["g.parentGoid"] is not None
    assert known == {minor: minor >= 21 for minor in range(18, 28)}


def test_a_field_that_the_release_lacks_is_none_and_need_says_so() -> None:
    old = lookup("go1.20.14", "x86_64")
    assert old is not None
    assert old["g.parentGoid"] is None
    assert old.need("g.goid") == 152
    for field in ("g.parentGoid", "g.neverThere"):
        with pytest.raises(KeyError):
            old.need(field)
    with pytest.raises(KeyError):
        old["g.neverThere"]


def test_an_untested_patch_release_lacks_the_fields_that_move() -> None:
    for version in ("go1.23.4", "go1.26.99", "go1.22.0"):
        offsets = lookup(version, "x86_64")
        assert offsets is not None
        assert not offsets.is_exact
        assert set(offsets.uncertain) == MOVING
        assert not MOVING & set(offsets)
        assert offsets.get("pollDesc.rd") is None
        assert offsets["g.goid"] is not None


def test_a_changed_build_of_a_tested_release_is_not_exact() -> None:
    for version in ("go1.26.8 X:synchashtriemap", "go1.26.8-custom"):
        offsets = lookup(version, "x86_64")
        assert offsets is not None
        assert not offsets.is_exact
        assert offsets.go_version == version


@pytest.mark.parametrize(
    "version", ["go1.17.13", "go1.28.0", "go1.99", "go2.0", "devel go1.27-abc", "", "1.26.8", "go1.260"]
)
def test_unknown_releases_are_refused(version: str) -> None:
    assert lookup(version, "x86_64") is None
    assert wait_reasons(version) is None


@pytest.mark.parametrize("machine", ["", "riscv64", "i686", "amd64"])
def test_unknown_machines_are_refused(machine: str) -> None:
    assert lookup("go1.26.8", machine) is None


def test_both_machines_have_the_same_fields_and_mostly_the_same_offsets() -> None:
    for version in ("go1.18.10", "go1.26.8"):
        first, second = (lookup(version, machine) for machine in MACHINES)
        assert first is not None
        assert second is not None
        assert list(first) == list(second)
        assert first["g.goid"] == second["g.goid"]


def test_the_function_table_reader_uses_the_numbers_of_the_table() -> None:
    """The reader has its own constants, by words; here they are compared with DWARF of each release."""
    for minor in supported_minors():
        offsets = lookup(f"go1.{minor}.0", "x86_64")
        assert offsets is not None
        assert offsets["moduledata.gofunc"] == 8 * gobinary._WORD_GOFUNC[minor]
        assert offsets["funcID.wrapper"] == gobinary._WRAPPER_ID[minor]
        assert offsets["moduledata.text"] == 8 * gobinary._WORD_TEXT
        assert offsets["moduledata.etext"] == 8 * gobinary._WORD_ETEXT
        assert offsets["moduledata.minpc"] == 8 * gobinary._WORD_MINPC
        assert offsets["moduledata.funcnametab"] == 8 * gobinary._WORD_NAMES


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("go1.18.10", {0: "", 2: "IO wait", 19: "sleep"}),
        ("go1.21.13", {9: "select", 14: "chan receive", 19: "sleep", 31: "stopping the world"}),
        ("go1.25.5", {20: "sleep", 25: "sync.WaitGroup.Wait", 46: "cleanup wait"}),
        ("go1.26.8", {14: "sleep", 18: "select", 19: "chan receive", 46: "cleanup wait"}),
        ("go1.27.3", {2: "IO wait", 25: "sync.WaitGroup.Wait", 46: "cleanup wait"}),
    ],
)
def test_wait_reasons_have_the_numbers_of_their_release(version: str, expected: dict[int, str]) -> None:
    reasons = wait_reasons(version)
    assert reasons is not None
    assert {number: reasons[number] for number in expected} == expected
    assert all(re.fullmatch(r"[\w .()/]*", text) for text in reasons)


def test_a_damaged_table_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gooffsets, "OFFSETS", "type.field 1.26.8/x86_64 1.26.8/aarch64\ng.goid 152\n")
    gooffsets._columns.cache_clear()
    with pytest.raises(Malformed):
        gooffsets._columns()
    monkeypatch.undo()
    gooffsets._columns.cache_clear()


@given(st.text(max_size=20).map(lambda tail: "go1.26" + tail), st.sampled_from(MACHINES))
def test_any_version_gives_offsets_or_none(version: str, machine: str) -> None:
    offsets = lookup(version, machine)
    assert offsets is None or offsets["g.goid"] == 152
