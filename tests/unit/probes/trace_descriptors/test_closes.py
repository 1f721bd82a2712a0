"""Failing closes are told apart by what the kernel side remembers of the number's last life."""

from __future__ import annotations

import errno
import itertools
import json
from collections import Counter
from importlib.resources import files

import pytest

from leadline.probes.trace_descriptors.closes import MAX_FOREIGN, close_verdict, errno_name

BITS = {
    "FAILED_KNOWN": 1,
    "FAILED_BORN": 2,
    "FAILED_ALIVE": 4,
    "FAILED_CLOSER_OWNED": 8,
    "FAILED_CALLER_OWNED": 16,
    "FAILED_CALLER_CLOSED": 32,
    "FAILED_CLOSER_REPEATED": 64,
}
ALL_FLAGS = range(1 << len(BITS))


def flags(*names: str) -> int:
    return sum(BITS[f"FAILED_{name}"] for name in names)


def verdict(*names: str, foreign: float | None = None) -> str:
    return close_verdict(errno.EBADF, flags(*names), BITS, foreign_ratio=foreign)


def accused(foreign: float | None) -> set[int]:
    return {
        bits
        for bits in ALL_FLAGS
        if close_verdict(errno.EBADF, bits, BITS, foreign_ratio=foreign) == "somebody-elses"
    }


def test_a_number_that_was_never_seen_or_is_open_now_says_nothing_of_anybody() -> None:
    assert verdict() == "never-open"
    assert verdict("KNOWN", "BORN", "ALIVE", "CALLER_OWNED", "CLOSER_REPEATED", foreign=0.0) == "never-open"


def test_whoever_closes_what_they_closed_before_hits_nobody() -> None:
    assert verdict("KNOWN", "BORN", "CLOSER_OWNED", "CALLER_OWNED", "CALLER_CLOSED") == "double"
    assert verdict("KNOWN", "BORN", "CALLER_CLOSED", "CLOSER_REPEATED") == "double"


def test_a_maker_who_had_closed_it_has_nobody_to_blame() -> None:
    assert verdict("KNOWN", "BORN", "CLOSER_OWNED", "CLOSER_REPEATED", foreign=0.0) == "double"


def test_one_who_closed_the_number_twice_hit_the_second_owner() -> None:
    assert verdict("KNOWN", "BORN", "CALLER_OWNED", "CLOSER_REPEATED") == "somebody-elses"
    assert verdict("KNOWN", "BORN", "CLOSER_REPEATED") == "somebody-elses"


@pytest.mark.parametrize(
    ("foreign", "wanted"),
    [
        (None, "double"),
        (0.0, "somebody-elses"),
        (MAX_FOREIGN, "somebody-elses"),
        (MAX_FOREIGN + 0.001, "double"),
        (1.0, "double"),
    ],
)
def test_a_maker_finds_its_descriptor_gone_where_makers_close_for_themselves(
    foreign: float | None, wanted: str
) -> None:
    """Where another goroutine closes by custom, such as one that reads and one that writes, the loss proves nothing."""
    assert verdict("KNOWN", "BORN", "CALLER_OWNED", foreign=foreign) == wanted


def test_a_stranger_who_finds_it_gone_proves_nothing() -> None:
    assert verdict("KNOWN", "BORN", foreign=0.0) == "double"


def test_a_life_whose_birth_was_not_seen_has_no_known_owner() -> None:
    assert verdict("KNOWN", "CALLER_OWNED", "CLOSER_REPEATED", foreign=0.0) == "double"


def test_few_combinations_accuse_somebody_and_these_are_they() -> None:
    repeated = {
        flags("KNOWN", "BORN", "CLOSER_REPEATED"),
        flags("KNOWN", "BORN", "CLOSER_REPEATED", "CALLER_OWNED"),
    }
    assert accused(None) == accused(1.0) == repeated
    assert accused(0.0) == repeated | {flags("KNOWN", "BORN", "CALLER_OWNED")}


def test_every_combination_has_a_verdict_and_half_of_them_none_to_give() -> None:
    counts = Counter(close_verdict(errno.EBADF, bits, BITS, foreign_ratio=0.0) for bits in ALL_FLAGS)
    assert counts == {"never-open": 96, "double": 29, "somebody-elses": 3}


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EINTR, errno.EDQUOT, 0])
def test_another_error_than_ebadf_is_a_real_one_whatever_the_flags(error: int) -> None:
    assert {close_verdict(error, bits, BITS, foreign_ratio=0.0) for bits in ALL_FLAGS} == {"error"}


def test_the_bits_are_those_of_the_object_not_of_this_code() -> None:
    moved = {name: bit << 8 for name, bit in BITS.items()}
    for bits in ALL_FLAGS:
        assert close_verdict(errno.EBADF, bits << 8, moved) == close_verdict(errno.EBADF, bits, BITS)


def test_the_built_objects_have_the_bits_that_are_asked_for() -> None:
    for arch in ("x86_64", "aarch64"):
        description = files("leadline.probes.trace_descriptors").joinpath(f"descriptors.{arch}.json")
        enums = json.loads(description.read_text())["enums"]
        known = next(names for names in enums.values() if "FAILED_KNOWN" in names)
        assert known.keys() >= BITS.keys()
        assert all(
            (one & other) == 0 for one, other in itertools.combinations([known[name] for name in BITS], 2)
        )


@pytest.mark.parametrize(
    ("number", "name"), [(errno.EBADF, "EBADF"), (errno.EIO, "EIO"), (4095, "errno 4095")]
)
def test_errors_have_names_where_there_is_one(number: int, name: str) -> None:
    assert errno_name(number) == name
