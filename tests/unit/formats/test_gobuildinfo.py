"""Build information of Go binaries in both layouts."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_samples import SectionSample, go_elf, make_elf, uvarint
from leadline.formats.elfimage import ElfImage
from leadline.formats.gobuildinfo import GoModule, parse_go_build_info, parse_module_text
from leadline.model import Malformed

TEXT = (
    "path\texample.com/shop/cmd/api\n"
    "mod\texample.com/shop\tv1.2.3\th1:abc=\n"
    "dep\tgithub.com/lib/pq\tv1.10.9\th1:def=\n"
    "dep\tgithub.com/old/thing\tv0.1.0\n"
    "=>\tgithub.com/new/thing\tv0.2.0\th1:ghi=\n"
    "dep\texample.com/beside\t(devel)\n"
    "build\t-buildmode=exe\n"
    "build\t-ldflags=\"-s -w -X 'main.v=a b'\"\n"
    'build\t"odd key"=`back\\quote`\n'
    "build\tvcs.modified=true\n"
    "later\tsomething new\n"
)
MAGIC = b"\xff Go buildinf:"


def inline_binary(version: str, text: str, **options: object) -> ElfImage:
    return ElfImage(go_elf([], [], version=version, module_text=text, **options))  # type: ignore[arg-type]


def test_modules_replacements_and_settings_are_read() -> None:
    info = parse_go_build_info(inline_binary("go1.26.8", TEXT))
    assert info is not None
    assert (info.go_version, info.path) == ("go1.26.8", "example.com/shop/cmd/api")
    assert info.main == GoModule("example.com/shop", "v1.2.3", "h1:abc=")
    assert info.deps == (
        GoModule("github.com/lib/pq", "v1.10.9", "h1:def="),
        GoModule("github.com/old/thing", "v0.1.0", "", GoModule("github.com/new/thing", "v0.2.0", "h1:ghi=")),
        GoModule("example.com/beside", "(devel)"),
    )
    assert info.settings == {
        "-buildmode": "exe",
        "-ldflags": "-s -w -X 'main.v=a b'",
        "odd key": "back\\quote",
        "vcs.modified": "true",
    }


def test_only_modules_without_version_and_replacement_are_of_the_workspace() -> None:
    info = parse_module_text("go1.26.8", TEXT)
    assert [module.is_in_workspace for module in info.deps] == [False, False, True]


def test_a_replaced_main_module_keeps_its_replacement() -> None:
    info = parse_module_text("go1.22.0", "mod\ta\tv1\t\n=>\tb\tv2\t\n=>\tc\tv3\t\n")
    assert info.main == GoModule("a", "v1", "", GoModule("b", "v2"))


def test_it_is_found_without_section_headers_and_in_pie() -> None:
    for options in ({"with_section_headers": False}, {"is_pie": True}):
        info = parse_go_build_info(inline_binary("go1.18", TEXT, **options))
        assert info is not None
        assert info.go_version == "go1.18"


def test_a_build_without_modules_has_a_version_only() -> None:
    info = parse_go_build_info(inline_binary("go1.26.8", ""))
    assert info is not None
    assert (info.go_version, info.path, info.main, info.deps, info.settings) == ("go1.26.8", "", None, (), {})


def test_the_layout_before_1_18_points_to_its_strings() -> None:
    base = 0x600000
    text = "0" * 16 + "path\told\nmod\told\t(devel)\t\n" + "1" * 16
    strings = b"go1.17.13" + text.encode()
    header = MAGIC + bytes([8, 0]) + struct.pack("<QQ", base + 32, base + 48)
    go_strings = struct.pack("<QQQQ", base + 64, 9, base + 73, len(text))
    raw = make_elf([SectionSample(".go.buildinfo", header + go_strings + strings, base)])
    info = parse_go_build_info(ElfImage(raw))
    assert info is not None
    assert (info.go_version, info.path) == ("go1.17.13", "old")


def test_a_binary_of_another_language_has_none() -> None:
    assert parse_go_build_info(ElfImage(make_elf([SectionSample(".data", b"x" * 64, 0x5000)]))) is None


@pytest.mark.parametrize(
    "tail",
    [
        bytes([8, 2]),
        bytes([8, 2]) + bytes(16) + b"\xff" * 10,
        bytes([8, 2]) + bytes(16) + uvarint(1 << 30),
        bytes([8, 2]) + bytes(16) + b"\0\0",
        bytes([5, 0]) + bytes(16),
        bytes([8, 1]) + bytes(16),
        bytes([8, 0]) + bytes(16),
    ],
    ids=[
        "cut",
        "endless length",
        "length too large",
        "no version",
        "pointer size",
        "big endian",
        "null pointers",
    ],
)
def test_a_damaged_header_is_malformed(tail: bytes) -> None:
    with pytest.raises(Malformed):
        parse_go_build_info(
            ElfImage(
                make_elf([SectionSample(".go.buildinfo", MAGIC + tail, 0x5000)], with_section_headers=False)
            )
        )


def test_the_magic_counts_only_where_the_linker_aligns_it() -> None:
    raw = make_elf([SectionSample(".go.buildinfo", b"12345678" + MAGIC + bytes([8, 2]) + bytes(40), 0x5000)])
    assert parse_go_build_info(ElfImage(raw)) is None


@given(st.binary(max_size=200))
def test_any_bytes_behind_the_magic_give_a_value_or_malformed(tail: bytes) -> None:
    image = ElfImage(make_elf([SectionSample(".go.buildinfo", MAGIC + tail, 0x5000)]))
    try:
        info = parse_go_build_info(image)
    except Malformed:
        return
    assert info is not None
    assert info.go_version


@given(st.text(alphabet='pathmoddepbuild\t\n=>"`\\ x', max_size=200))
def test_any_module_text_gives_a_value(text: str) -> None:
    assert parse_module_text("go1.26.8", text).go_version == "go1.26.8"
