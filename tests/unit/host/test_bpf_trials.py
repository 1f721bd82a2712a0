"""Finding types in BTF, which tells a kernel's names to programs."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.host.bpf_trials import find_btf_ids
from leadline.model import Malformed

NAMES = b"\0int\0task\0btf_trace_sys_exit\0bpf_iter_task_file\0"
INT, STRUCT, TYPEDEF, FUNC = 1, 4, 8, 12


def kind(name: bytes, number: int, members: int = 0, following: int = 0) -> bytes:
    at = NAMES.index(b"\0" + name + b"\0") + 1
    return struct.pack("<III", at, number << 24 | members, 0) + bytes(following)


def btf(*types: bytes) -> bytes:
    area = b"".join(types)
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(area), len(area), len(NAMES)) + area + NAMES


BLOB = btf(
    kind(b"int", INT, following=4),
    kind(b"task", STRUCT, 2, following=24),
    kind(b"btf_trace_sys_exit", FUNC),
    kind(b"btf_trace_sys_exit", TYPEDEF),
    kind(b"bpf_iter_task_file", FUNC),
)


def test_types_are_numbered_from_one_in_the_order_of_the_blob() -> None:
    assert find_btf_ids(BLOB, (("btf_trace_sys_exit", TYPEDEF), ("bpf_iter_task_file", FUNC))) == {
        "btf_trace_sys_exit": 4,
        "bpf_iter_task_file": 5,
    }


def test_what_is_not_there_is_left_out() -> None:
    assert find_btf_ids(BLOB, (("task", FUNC), ("never", FUNC), ("int", INT))) == {"int": 1}


@pytest.mark.parametrize("blob", [b"", b"\x9f\xeb", bytes(24), btf(struct.pack("<III", 1, 31 << 24, 0))])
def test_other_bytes_are_malformed(blob: bytes) -> None:
    with pytest.raises(Malformed):
        find_btf_ids(blob, (("int", INT),))


@given(
    st.binary(max_size=100)
    | st.builds(lambda at, raw: BLOB[:at] + raw + BLOB[at:], st.integers(0, 150), st.binary(max_size=9))
)
def test_any_bytes_give_a_value_or_malformed(blob: bytes) -> None:
    try:
        found = find_btf_ids(blob, (("int", INT), ("bpf_iter_task_file", FUNC)))
    except Malformed:
        return
    assert all(number > 0 for number in found.values())


@pytest.mark.skipif(not Path("/sys/kernel/btf/vmlinux").exists(), reason="this kernel has no BTF")
def test_this_kernels_types_are_found() -> None:
    found = find_btf_ids(
        Path("/sys/kernel/btf/vmlinux").read_bytes(),
        (("btf_trace_sys_exit", TYPEDEF), ("bpf_iter_task_file", FUNC)),
    )
    assert len(found) == 2
