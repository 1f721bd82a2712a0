"""proc/PID/limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.proclimits import Limit, parse_limits
from leadline.model import Malformed

TEXT = (
    b"Limit                     Soft Limit           Hard Limit           Units     \n"
    b"Max cpu time              unlimited            unlimited            seconds   \n"
    b"Max stack size            8388608              unlimited            bytes     \n"
    b"Max open files            1024                 524288               files     \n"
    b"Max nice priority         0                    0                              \n"
)


def test_limits_are_found_by_the_kernels_names() -> None:
    limits = parse_limits(TEXT)
    assert limits["Max open files"] == Limit(1024, 524288, "files")
    assert limits["Max stack size"] == Limit(8388608, None, "bytes")
    assert limits["Max cpu time"] == Limit(None, None, "seconds")
    assert limits["Max nice priority"] == Limit(0, 0, "")


def test_the_largest_value_is_a_number_not_unlimited() -> None:
    text = TEXT.replace(b"1024  ", str(2**64 - 1).encode())
    assert parse_limits(text)["Max open files"].soft == 2**64 - 1


@pytest.mark.parametrize(
    "text",
    [b"", TEXT[80:], TEXT.replace(b"524288", b"many"), TEXT.replace(b"1024  ", b"99999999999999999999")],
)
def test_other_text_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_limits(text)


@given(
    st.binary(max_size=300)
    | st.builds(lambda a, b: TEXT[:a] + b + TEXT[a:], st.integers(0, 420), st.binary(max_size=9))
)
def test_any_bytes_give_a_value_or_malformed(text: bytes) -> None:
    try:
        value = all(isinstance(limit, Limit) for limit in parse_limits(text).values())
    except Malformed:
        return
    assert value
