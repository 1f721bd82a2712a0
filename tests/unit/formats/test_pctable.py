"""Go's value tables: both ways of decoding agree with each other and with what was encoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_samples import pc_table, uvarint
from leadline.formats import pctable
from leadline.formats.pctable import PcTable, parse_pc_table
from leadline.model import Malformed

RANGES = st.lists(
    st.tuples(st.integers(1, 100_000), st.integers(-1, 2**30)).map(lambda pair: (pair[0], pair[1])),
    min_size=1,
    max_size=120,
)


def ranges_of(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (end, value) with rising ends and values that change, as the linker writes."""
    found: list[tuple[int, int]] = []
    end, last = 0, None
    for size, value in steps:
        end += 4 * size
        if value == last:
            found[-1] = (end, value)
        else:
            found.append((end, value))
        last = value
    return found


@given(RANGES, st.sampled_from([1, 4]), st.integers(1, 50))
def test_a_table_gives_back_what_was_encoded(steps: list[tuple[int, int]], quantum: int, start: int) -> None:
    ranges = ranges_of(steps)
    raw = b"\0" * start + pc_table(ranges, quantum) + b"\x02\x04"
    table = parse_pc_table(memoryview(raw), start, quantum)
    begin = 0
    for end, value in ranges:
        assert table.value_at(begin) == value
        assert table.value_at(end - 1) == value
        begin = end
    assert table.value_at(begin) == -1
    assert table.highest() == max(value for _, value in ranges)


def test_a_first_delta_of_zero_does_not_end_the_table() -> None:
    table = parse_pc_table(memoryview(b"\0\x10\x04\x08\0"), 0, 1)  # -1 for 16 bytes, then 1 for 8
    assert [table.value_at(offset) for offset in (0, 15, 16, 23, 24)] == [-1, -1, 1, 1, -1]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x02", b"\x02\x04", b"\x02\0", b"\x80", b"\x80\x80\x80\x80\x80\x80\x01\x02\0"],
    ids=["empty", "no end", "no end after a pair", "ends in a value", "cut varint", "varint of 7 bytes"],
)
def test_a_damaged_table_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_pc_table(memoryview(raw), 0, 1)
    # The same in the middle of a table that is long enough for numpy.
    with pytest.raises(Malformed):
        parse_pc_table(memoryview(b"\x02\x01" * 200 + raw), 0, 1)


def test_a_start_outside_the_bytes_is_malformed() -> None:
    with pytest.raises(Malformed):
        parse_pc_table(memoryview(b"\x02\x04\0"), 9, 1)


@given(
    st.binary(min_size=1, max_size=600) | st.lists(st.sampled_from([1, 2, 0x80, 0xFF]), min_size=1).map(bytes)
)
def test_both_decoders_say_the_same_of_any_bytes(raw: bytes) -> None:
    body = raw.replace(b"\0", b"\x01")
    results: list[tuple[list[int], list[int]] | None] = []
    for decode in (pctable._parse_short, pctable._parse_long):
        try:
            table = decode(body, 1)
        except Malformed:
            results.append(None)
        else:
            results.append((list(table._ends), list(table._values)))
    assert results[0] == results[1]


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_give_a_table_or_malformed(raw: bytes, start: int) -> None:
    try:
        table = parse_pc_table(memoryview(raw), start, 1)
    except Malformed:
        return
    assert isinstance(table.value_at(0), int)


def test_long_numbers_are_read_in_full() -> None:
    raw = pc_table([(2**31, 2**30)])
    assert len(uvarint(2**31)) == 5
    assert parse_pc_table(memoryview(raw), 0, 1).value_at(2**31 - 1) == 2**30


def test_the_highest_value_is_told_with_the_place_where_it_first_holds() -> None:
    raw = pc_table([(5, 0), (6, 8), (40, 168), (60, 0), (90, 168)])
    assert parse_pc_table(memoryview(raw), 0, 1).first_highest() == (6, 168)
    assert parse_pc_table(memoryview(pc_table([(9, 3)])), 0, 1).first_highest() == (0, 3)
    assert PcTable([], []).first_highest() == (0, -1)
