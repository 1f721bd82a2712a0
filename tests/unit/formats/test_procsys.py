"""proc/sys files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.procsys import FileNr, parse_file_nr, parse_number
from leadline.model import Malformed


def test_file_nr_is_first_and_third_column() -> None:
    assert parse_file_nr(b"1817\t0\t9223372036854775807\n") == FileNr(1817, 2**63 - 1)


def test_numbers_may_be_negative() -> None:
    assert parse_number(b"-1\n", "perf_event_paranoid") == -1


@pytest.mark.parametrize("text", [b"", b"1 2", b"1 2 3 4", b"a b c", b"1 0 " + b"9" * 30])
def test_other_text_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_file_nr(text)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_malformed(text: bytes) -> None:
    for parse in (parse_file_nr, lambda raw: parse_number(raw, "x")):
        try:
            value = parse(text) is not None
        except Malformed:
            continue
        assert value
