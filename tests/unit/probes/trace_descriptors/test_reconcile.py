from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leadline.contracts.bpf import Rows
from leadline.probes.trace_descriptors.reconcile import Seen, compare, with_lives

TABLE = np.dtype([("fd", "<u4"), ("file", "<u8"), ("kind", "<u4")])
LIVES = np.dtype(
    [
        ("fd", "<u4"),
        ("file", "<u8"),
        ("kind", "<u4"),
        ("born_ns", "<u8"),
        ("site", "<u8"),
        ("owner", "<u8"),
        ("nr", "<u4"),
        ("tid", "<u4"),
    ]
)


def table(*rows: tuple[int, int]) -> Rows:
    return np.array([(fd, file, 7) for fd, file in rows], TABLE)


def lives(*rows: tuple[int, int], kind: int = 16) -> Rows:
    return np.array([(fd, file, kind, 100 + fd, 9, 5, 41, 77) for fd, file in rows], LIVES)


def test_same_number_and_file_belong_together() -> None:
    found = compare(table((3, 30), (5, 50)), lives((5, 50), (3, 30)))
    assert found.life_of.tolist() == [1, 0]
    assert not found.stale
    assert not found.unknown


def test_a_life_without_a_row_is_stale_and_a_row_without_a_life_unknown() -> None:
    found = compare(table((3, 30)), lives((4, 40)))
    assert found.stale == {(4, 104)}
    assert found.unknown == {(3, 30)}


def test_a_number_whose_file_is_another_one_is_both() -> None:
    found = compare(table((3, 31)), lives((3, 30)))
    assert found.stale == {(3, 103)}
    assert found.unknown == {(3, 31)}
    assert found.life_of.tolist() == [-1]


def test_empty_sides() -> None:
    assert compare(table(), lives()).life_of.tolist() == []
    assert compare(table((1, 2)), lives()).unknown == {(1, 2)}
    assert compare(table(), lives((1, 2))).stale == {(1, 101)}


def test_rows_get_what_the_stream_knows() -> None:
    rows, believed = table((3, 30), (4, 40)), lives((4, 40))
    joined = with_lives(rows, believed, compare(rows, believed).life_of)
    assert joined["origin"].tolist() == [Seen.TRANSIENT, Seen.TRACED]
    assert joined[["born_ns", "site", "owner", "nr", "birth_tid", "seen_since_ns"]][1].item() == (
        104,
        9,
        5,
        41,
        77,
        104,
    )
    assert joined[["born_ns", "site", "owner", "nr", "birth_tid", "seen_since_ns"]][0].item() == (0,) * 6


def test_only_the_maker_tells_anonymous_inodes_apart_and_only_the_file_sockets() -> None:
    rows = table((3, 30))
    for kind, expected in ((17, 17), (1, 7)):
        believed = lives((3, 30), kind=kind)
        assert with_lives(rows, believed, compare(rows, believed).life_of)["kind"].tolist() == [expected]


PAIRS = st.dictionaries(st.integers(0, 50), st.integers(1, 5), max_size=30)


@given(PAIRS, PAIRS)
def test_comparison_is_what_sets_say(there: dict[int, int], believed: dict[int, int]) -> None:
    found = compare(table(*there.items()), lives(*believed.items()))
    assert found.unknown == there.items() - believed.items()
    assert {fd for fd, _ in found.stale} == {fd for fd, _ in believed.items() - there.items()}
    assert (found.life_of >= 0).sum() == len(there.items() & believed.items())
