from __future__ import annotations

import doctest
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.evidence.kinds import DescriptorKind
from leadline.model import Unsupported
from leadline.probes.trace_descriptors import surface

BLOBS = Path(surface.__file__).parent


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_codes_are_those_of_the_built_object(arch: str) -> None:
    enums = json.loads((BLOBS / f"descriptors.{arch}.json").read_text())["enums"]
    assert enums["how"] == {f"HOW_{name}": code for name, code in surface.HOW_CODES.items()}
    assert enums["what"] == {f"WHAT_{name}": code for name, code in surface.WHAT_CODES.items()}


def test_histogram_has_as_many_buckets_as_the_built_object() -> None:
    fields = json.loads((BLOBS / "descriptors.x86_64.json").read_text())["structs"]["site"]["fields"]
    assert ["lifetimes", 96, f"<u4*{surface.HIST_BUCKETS}"] in fields


def test_examples_hold() -> None:
    assert doctest.testmod(surface).failed == 0


def test_buckets_follow_each_other_without_gap() -> None:
    bounds = [surface.lifetime_bounds_ns(bucket) for bucket in range(surface.HIST_BUCKETS)]
    assert bounds[0][0] == 0
    assert all(left[1] == right[0] for left, right in pairwise(bounds))
    assert bounds[-1][1] > 10 * 365 * 86400 * 10**9


@pytest.mark.parametrize(
    ("family", "form", "protocol", "kind"),
    [
        (2, 1, 0, DescriptorKind.TCP),
        (10, 1, 6, DescriptorKind.TCP),
        (10, 2, 17, DescriptorKind.UDP),
        (2, 3, 1, DescriptorKind.SOCKET),  # raw ICMP
        (1, 5, 0, DescriptorKind.UNIX),
        (16, 3, 15, DescriptorKind.NETLINK),
        (17, 3, 0, DescriptorKind.PACKET),
        (40, 1, 0, DescriptorKind.SOCKET),  # vsock
    ],
)
def test_sockets_are_told_by_family_type_and_protocol(
    family: int, form: int, protocol: int, kind: DescriptorKind
) -> None:
    assert surface.kind_of(1 | family << 8 | form << 16 | protocol << 24) is kind


@given(st.integers(0, 2**32 - 1))
def test_any_code_has_a_kind(code: int) -> None:
    assert isinstance(surface.kind_of(code), DescriptorKind)


def test_tables_name_each_call_once_and_no_other() -> None:
    tables = surface.syscall_tables()
    numbers = surface.calls()
    assert len(set(numbers.values())) == len(numbers)
    assert {number for number, way in enumerate(tables["how"]) if way} == set(numbers.values())
    assert tables["how"][numbers["close"]] == surface.HOW_CODES["CLOSE"]
    assert {surface.syscall_name(number) for number in numbers.values()} == set(numbers)
    assert surface.syscall_name(499) == "syscall_499"


def test_each_architecture_has_a_table_and_others_are_refused() -> None:
    assert surface.calls("aarch64")["openat"] == 56
    assert "open" not in surface.calls("aarch64")
    with pytest.raises(Unsupported):
        surface.calls("s390x")


def test_owners_are_goroutines_or_threads() -> None:
    assert surface.owner_goid(7) == 7
    assert surface.owner_goid(surface.THREAD_OWNER | 7) is None
    assert surface.owner_goid(0) is None
