"""Which goroutines have an address on their stack, among words that are mostly something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leadline.probes.snapshot_runtime.known_by import goroutines_with, stack_words

if TYPE_CHECKING:
    from leadline.probes.snapshot_runtime.looks import Look, Words

HERE, THERE = 0xC000_0100_00, 0xC000_0100_60


@dataclass
class Stacks:
    """Goroutines with these words on their stacks; one per stack."""

    rows: list[list[int]]

    @property
    def stack_of(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([number if row else -1 for number, row in enumerate(self.rows)], np.int64)

    @property
    def is_system(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.zeros(len(self.rows), np.bool_)

    def words(self, i: int) -> Words:
        return np.array(self.rows[i], np.uint64)


def look(*rows: list[int]) -> Look:
    return cast("Look", Stacks(list(rows)))


def addresses(*numbers: int) -> Words:
    return np.array(numbers, np.uint64)


def test_each_goroutine_that_has_the_address_is_told_once() -> None:
    words = stack_words(look([1, HERE, HERE], [], [THERE, 7], [HERE + 1, HERE]))
    assert goroutines_with(words, addresses(HERE, THERE)) == {HERE: (0, 3), THERE: (2,)}
    assert words.is_complete


def test_a_limit_takes_the_rarest_stacks_and_says_so() -> None:
    words = stack_words(look([HERE], [HERE], [HERE]), limit=2)
    assert goroutines_with(words, addresses(HERE)) == {HERE: (0, 1)}
    assert not words.is_complete


def test_nothing_is_found_where_there_are_no_stacks() -> None:
    assert goroutines_with(stack_words(look([], [])), addresses(HERE)) == {}
    assert goroutines_with(stack_words(look([HERE])), addresses()) == {}


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([HERE, THERE]), max_size=9), max_size=9),
)
def test_any_words_are_searched_like_a_plain_loop_would(rows: list[list[int]]) -> None:
    words = stack_words(look(*rows))
    expected = {
        wanted: tuple(i for i, row in enumerate(rows) if wanted in row)
        for wanted in (HERE, THERE)
        if any(wanted in row for row in rows)
    }
    assert goroutines_with(words, addresses(HERE, THERE)) == expected
    for word, owner, place in zip(words.words, words.owners, words.places, strict=True):
        assert rows[int(owner)][int(place)] == int(word)
