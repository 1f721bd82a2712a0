"""Objects found among the words of stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from leadline.probes.snapshot_runtime.stackwords import Object, find_objects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Look, Words
    from leadline.probes.snapshot_runtime.sites import Sites

FIRST = 0xC000_0000
JUNK = 0x1234_5679  # not aligned


class Goroutines:
    """Goroutines with one common stack, whose frame in question is all of it."""

    def __init__(self, *rows: list[int]) -> None:
        self.rows = [np.array(row, np.uint64) for row in rows]
        self.stack_of = np.zeros(len(rows), np.int64)

    def words(self, i: int) -> NDArray[np.uint64]:
        return self.rows[i]

    def extent(self, i: int, wanted: object) -> tuple[int, int]:
        assert wanted is not None
        return 0, len(self.rows[i])


class Check:
    """Objects lie at FIRST, FIRST + 64 ...; their value is their number. Counts how many addresses it was asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked = 0

    def __call__(self, addresses: Words) -> NDArray[np.int64]:
        self.asked += len(addresses)
        places = addresses.astype(np.int64) - FIRST
        good = (places >= 0) & (places % 64 == 0) & (places < 64 * self.count)
        return np.where(good, places // 64, -1)


def _find(goroutines: Goroutines, check: Check, **options: object) -> dict[int, Object]:
    indices = np.arange(len(goroutines.rows), dtype=np.int64)
    look, sites = cast("Look", goroutines), cast("Sites", goroutines)
    return find_objects(look, sites, indices, lambda _: True, check, **options)  # type: ignore[arg-type]


def _object(number: int) -> int:
    return FIRST + 64 * number


def test_each_goroutine_has_its_object_and_few_words_are_asked_for() -> None:
    many = 1_000
    goroutines = Goroutines(*([JUNK, 0, 8 * n + 4096, _object(n), 1, 2] for n in range(many)))
    check = Check(many)
    found = _find(goroutines, check)
    assert found == {n: Object(_object(n), n) for n in range(many)}
    assert check.asked < many + 50


def test_a_stale_word_beside_the_object_makes_it_unknown() -> None:
    assert _find(Goroutines([_object(1), _object(2)]), Check(9)) == {}


def test_the_object_that_is_named_more_often_is_it() -> None:
    assert _find(Goroutines([_object(1), _object(2), _object(2)]), Check(9)) == {0: Object(_object(2), 2)}


def test_what_is_expected_decides_between_two() -> None:
    found = _find(Goroutines([_object(1), _object(2)]), Check(9), expected={0: 1})
    assert found == {0: Object(_object(1), 1)}


def test_an_object_of_another_value_than_expected_is_not_it() -> None:
    assert _find(Goroutines([_object(1), JUNK]), Check(9), expected={0: 2}) == {}


@pytest.mark.parametrize(("unique", "count"), [(True, 0), (False, 2)])
def test_an_object_of_two_goroutines_counts_only_where_it_may(unique: bool, count: int) -> None:
    assert len(_find(Goroutines([_object(1)], [_object(1)]), Check(9), unique=unique)) == count


def test_goroutines_without_stack_or_object_are_left_out() -> None:
    goroutines = Goroutines([JUNK, 4095, 1 << 60], [], [_object(3)])
    assert _find(goroutines, Check(9)) == {2: Object(_object(3), 3)}


def test_the_object_may_lie_elsewhere_in_some() -> None:
    rows = [[_object(n), JUNK] if n != 50 else [JUNK, _object(n)] for n in range(100)]
    assert len(_find(Goroutines(*rows), Check(100))) == 100
