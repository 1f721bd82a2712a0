"""ELF files: segments, sections, relocations and notes; damaged files give Malformed or an empty answer."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_samples import SectionSample, make_elf
from leadline.formats.elfimage import ElfImage
from leadline.model import Malformed


def note(owner: bytes, kind: int, payload: bytes) -> bytes:
    padded = owner + b"\0" * (-len(owner) % 4)
    return (
        struct.pack("<III", len(owner), len(payload), kind) + padded + payload + b"\0" * (-len(payload) % 4)
    )


SAMPLE = make_elf(
    [
        SectionSample(".text", b"\x90" * 64, 0x401000),
        SectionSample(".data", struct.pack("<QQ", 7, 9), 0x500000),
        SectionSample(".bss", b"\0" * 32, 0x600000, kind=8),
        SectionSample(".rela.dyn", struct.pack("<6Q", 0x500008, 8, 0x401010, 0x500000, 6, 1), 0x700000),
        SectionSample(".note.go.buildid", note(b"Go\0\0", 4, b"abc/def")),
        SectionSample(".note.gnu.build-id", note(b"GNU\0", 3, b"\x01\xff")),
    ]
)


def test_addresses_and_offsets_are_turned_into_each_other() -> None:
    image = ElfImage(SAMPLE)
    offset = image.vaddr_to_offset(0x401010)
    assert offset is not None
    assert SAMPLE[offset : offset + 2] == b"\x90\x90"
    assert image.offset_to_vaddr(offset) == 0x401010
    assert image.vaddr_to_offset(0x401000 + 64) is None
    assert image.vaddr_to_offset(0x400FFF) is None
    assert image.offset_to_vaddr(len(SAMPLE) + 1) is None


def test_memory_without_bytes_in_the_file_is_not_read() -> None:
    image = ElfImage(SAMPLE)
    assert image.at_vaddr(0x600000, 8) is None
    assert image.section(".bss") is None
    assert bytes(image.at_vaddr(0x500000, 16) or b"") == struct.pack("<QQ", 7, 9)
    assert image.at_vaddr(0x500000, -1) is None


def test_a_relative_relocation_wins_over_the_bytes_and_others_do_not() -> None:
    image = ElfImage(SAMPLE)
    assert image.pointer_at(0x500008) == 0x401010
    assert image.pointer_at(0x500000) == 7
    assert image.pointer_at(0x900000) is None
    assert image.pointer_at(1 << 64) is None


def test_the_gnu_build_id_comes_before_the_go_build_id() -> None:
    assert ElfImage(SAMPLE).build_id == "01ff"
    only_go = make_elf([SectionSample(".note.go.buildid", note(b"Go\0\0", 4, b"abc/def"))])
    assert ElfImage(only_go).build_id == "abc/def"
    assert ElfImage(make_elf([])).build_id is None


def test_sections_are_optional() -> None:
    raw = make_elf([SectionSample(".text", b"\x90", 0x401000)], with_section_headers=False)
    image = ElfImage(raw)
    assert image.sections == ()
    assert image.machine == "x86_64"
    assert image.vaddr_to_offset(0x401000) is not None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x7fELF",
        b"MZ" + bytes(100),
        b"\x7fELF\x02\x02" + bytes(60),
        b"\x7fELF\x03\x01" + bytes(60),
        SAMPLE[:60],
    ],
    ids=["empty", "magic only", "not elf", "big endian", "class 3", "cut header"],
)
def test_what_is_not_little_endian_elf_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        ElfImage(raw)


def test_program_headers_outside_the_file_are_malformed() -> None:
    with pytest.raises(Malformed, match="program header"):
        ElfImage(SAMPLE[:100])


def test_a_32_bit_file_is_read() -> None:
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    head = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8048000, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, 0x8048000, 0, 84, 84, 5, 4096)
    image = ElfImage(ident + head + segment)
    assert (image.pointer_size, image.machine, image.offset_to_vaddr(4)) == (4, "i386", 0x8048004)


def ask_everything(image: ElfImage) -> None:
    for section in image.sections:
        image.section(section.name)
        image.section_bytes(section)
    for segment in image.segments:
        image.vaddr_to_offset(segment.vaddr)
        image.pointer_at(segment.vaddr)
    assert image.build_id is None or isinstance(image.build_id, str)
    image.offset_to_vaddr(64)


@given(st.binary(max_size=400))
def test_any_bytes_give_an_image_or_malformed(raw: bytes) -> None:
    for data in (raw, b"\x7fELF\x02\x01" + raw, b"\x7fELF\x01\x01" + raw):
        try:
            image = ElfImage(data)
        except Malformed:
            continue
        ask_everything(image)


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_any_damage_gives_an_image_or_malformed(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(SAMPLE)
    for at, byte in changes:
        raw[at] = byte
    try:
        image = ElfImage(bytes(raw))
    except Malformed:
        return
    ask_everything(image)
