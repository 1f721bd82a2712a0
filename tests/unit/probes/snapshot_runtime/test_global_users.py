"""References of machine code to variables; the bytes are what Go's assembler and GNU as make of the instructions named."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.probes.snapshot_runtime.global_users import amd64_references, arm64_references

AT = 0x401000
VARIABLE = 0x7F0010
LOW, HIGH = 0x7F0000, 0x7F1000


def amd64(before: str, after: str) -> bytes:
    """Return an instruction that refers to the variable: opcode and ModRM, displacement, immediate bytes."""
    head, tail = bytes.fromhex(before), bytes.fromhex(after)
    end = AT + len(head) + 4 + len(tail)
    return head + struct.pack("<i", VARIABLE - end) + tail


@pytest.mark.parametrize(
    ("what", "before", "after"),
    [
        ("mov rax, [v]", "488b05", ""),
        ("lea rcx, [v]", "488d0d", ""),
        ("cmp dword [v], 0", "833d", "00"),
        ("cmp byte [v], 1", "803d", "01"),
        ("mov dword [v], 5", "c705", "05000000"),
        ("mov qword [v], 5", "48c705", "05000000"),
        ("mov word [v], 5", "66c705", "0500"),
        ("test byte [v], 1", "f605", "01"),
        ("test dword [v], 1", "f705", "01000000"),
        ("neg dword [v]", "f71d", ""),
        ("shl dword [v], 2", "c125", "02"),
        ("imul eax, [v], 1000", "6905", "e8030000"),
        ("lock xadd [v], eax", "f00fc105", ""),
        ("lock cmpxchg [v], rcx", "f0480fb10d", ""),
        ("movzx eax, byte [v]", "0fb605", ""),
        ("bt dword [v], 3", "0fba25", "03"),
        ("movups xmm0, [v]", "0f1005", ""),
        ("call [v]", "ff15", ""),
    ],
)
def test_each_form_of_instruction_leads_to_the_variable(what: str, before: str, after: str) -> None:
    code = amd64(before, after) + bytes(16)
    _, targets = amd64_references(code, AT, LOW, HIGH)
    assert VARIABLE in targets.tolist(), what
    places, _ = amd64_references(code, AT, VARIABLE, VARIABLE + 1)
    assert AT <= int(places[0]) < AT + len(before) // 2


def test_what_lies_outside_is_left_out() -> None:
    code = amd64("488b05", "") + bytes(16)
    assert amd64_references(code, AT, VARIABLE + 8, HIGH)[1].tolist() == []
    assert amd64_references(code, AT, LOW, VARIABLE)[1].tolist() == []


def arm64(low_bits: int, second: int) -> bytes:
    """Return ADRP x0 to the variable's page and a second instruction with the offset in the page."""
    pages = (VARIABLE >> 12) - (AT >> 12)
    first = 0x90000000 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
    return struct.pack("<II", first, second | low_bits << 10)


@pytest.mark.parametrize(
    ("what", "second", "shift"),
    [
        ("add x0, x0, #:lo12:v", 0x91000000, 0),
        ("ldr x1, [x0, #:lo12:v]", 0xF9400001, 3),
        ("str x1, [x0, #:lo12:v]", 0xF9000001, 3),
        ("ldr w1, [x0, #:lo12:v]", 0xB9400001, 2),
        ("ldrb w1, [x0, #:lo12:v]", 0x39400001, 0),
        ("ldr q1, [x0, #:lo12:v]", 0x3DC00001, 4),
    ],
)
def test_pairs_of_arm64_lead_to_the_variable(what: str, second: int, shift: int) -> None:
    code = arm64((VARIABLE & 0xFFF) >> shift, second) + bytes(8)
    places, targets = arm64_references(code, AT, LOW, HIGH)
    assert (places.tolist(), targets.tolist()) == ([AT], [VARIABLE]), what


def test_adrp_backwards_and_of_another_register() -> None:
    back = struct.pack("<II", 0x90000000 | 0x7FFFF << 5 | 3 << 29, 0x91000000)
    assert arm64_references(back, AT, 0, 1 << 48)[1].tolist() == [(AT & ~0xFFF) - 0x1000]
    other = struct.pack("<II", 0x90000000, 0x91000020)
    assert arm64_references(other, AT, 0, 1 << 48)[1].tolist() == []


@given(st.binary(max_size=200))
def test_any_bytes_give_references_or_none(code: bytes) -> None:
    for search in (amd64_references, arm64_references):
        places, targets = search(code, AT, 0, 1 << 40)
        assert len(places) == len(targets)
        assert all(AT <= place < AT + len(code) for place in places.tolist())
