"""proc/PID/stat."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.procstat import parse_stat
from leadline.model import Malformed

LINE = (
    b"8561 (cat) R 8552 8552 3031 0 -1 4194304 102 0 0 0 11 22 0 0 20 0 3 0 615447 3133440 384 18446744073709551615 "
    b"93950614433792 93950614453673 140726373524048 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 93950614469680 93950614471296 "
    b"93950620250112 140726373530306 140726373530326 140726373530326 140726373531627 0\n"
)


def test_fields_are_counted_from_the_end_of_the_name() -> None:
    stat = parse_stat(LINE)
    assert (stat.pid, stat.comm, stat.state, stat.parent_pid) == (8561, "cat", "R", 8552)
    assert (stat.user_ticks, stat.system_ticks, stat.threads) == (11, 22, 3)
    assert (stat.start_ticks, stat.rss_pages, stat.is_kernel_thread) == (615447, 384, False)


@pytest.mark.parametrize("name", [b"a b", b")", b") R 1 2", b"(", b"", b"\xff\xfe"])
def test_a_name_may_hold_anything(name: bytes) -> None:
    stat = parse_stat(LINE.replace(b"(cat)", b"(" + name + b")"))
    assert stat.comm.encode("utf-8", "surrogateescape") == name
    assert stat.start_ticks == 615447


def test_kernel_threads_are_told_by_their_flag() -> None:
    assert parse_stat(LINE.replace(b" 4194304 ", b" 69238880 ")).is_kernel_thread


@pytest.mark.parametrize("text", [b"", b"1 (x)", b"x" + LINE, LINE.replace(b"615447", b"soon"), LINE[:60]])
def test_other_text_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_stat(text)


@given(
    st.binary(max_size=200)
    | st.builds(lambda a, b: LINE[:a] + b + LINE[a:], st.integers(0, 300), st.binary(max_size=9))
)
def test_any_bytes_give_a_value_or_malformed(text: bytes) -> None:
    try:
        value = parse_stat(text).pid is not None
    except Malformed:
        return
    assert value
