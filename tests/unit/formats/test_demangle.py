"""Names of C++ and Rust functions; whatever no library understands stays as it is."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.demangle import demangle


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
        ("_RNvC6_123foo3bar", "123foo::bar"),
        ("_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int>>::push_back(int&&)"),
        ("_ZN3net4dialEv.part.0", "net::dial()"),
        ("_ZN3net4dialEv.cold", "net::dial()"),
        ("epoll_wait@@GLIBC_2.3.2", "epoll_wait"),
        ("main", "main"),
        ("", ""),
        ("@", "@"),
        ("_Z", "_Z"),
        ("_ZNotMangled", "_ZNotMangled"),
        ("_R", "_R"),
        ("_RNvWrong", "_RNvWrong"),
    ],
)
def test_names_are_readable_or_unchanged(mangled: str, name: str) -> None:
    assert demangle(mangled) == name


def test_names_longer_than_anybody_reads_are_not_tried() -> None:
    long_name = "_ZN" + "1a" * 4096 + "Ev"
    assert demangle(long_name) == long_name


def test_deep_nesting_is_not_followed_to_the_bottom() -> None:
    deep = "_Z1f" + "P" * 3000 + "i"
    assert demangle(deep)


def billion_laughs(depth: int) -> str:
    """Return a valid name in which each type is a pair of the type before: twice as long at each step."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "_Z1f4pairIiiE" + "".join(f"S_IS{digits[step]}_S{digits[step]}_E" for step in range(depth))


def test_names_that_stand_for_gigabytes_stay_mangled() -> None:
    assert demangle(billion_laughs(3)).count("pair") == 26
    assert demangle(billion_laughs(30)) == billion_laughs(30)


def test_counting_calls_leaves_no_trace() -> None:
    before = sys.getprofile()
    demangle("_ZN3net4dialEv.cold.7")
    demangle(billion_laughs(29))
    assert sys.getprofile() is before


@given(
    st.text(max_size=60),
    st.sampled_from(["", "_Z", "_ZN", "_R", "_RNv", "__Z", "_ZN4core17h0123456789abcdefE"]),
)
def test_any_name_gives_a_name(tail: str, head: str) -> None:
    name = head + tail
    assert isinstance(demangle(name), str)
    assert bool(demangle(name)) == bool(name)


@given(st.text(alphabet="NSt0123456789_EIRvijPKCabcslhZ", max_size=40))
def test_any_mangled_letters_give_a_name(tail: str) -> None:
    assert demangle("_Z" + tail)
    assert demangle("_R" + tail)
