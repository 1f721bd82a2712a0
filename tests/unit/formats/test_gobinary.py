"""Go binaries of all shapes: sections or none, position-independent or not, old and new places of the runtime's data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_samples import TEXT, GoFunctionSample, InlinedSample, SectionSample, go_elf, make_elf
from leadline.formats.elfimage import ElfImage
from leadline.formats.gobinary import GoBinary, go_minor, open_go_binary
from leadline.model import Malformed

FUNCTIONS = [
    GoFunctionSample("runtime.main", 32, files=[(32, 1)], lines=[(32, 147)]),
    GoFunctionSample(
        "main.main",
        32,
        files=[(32, 0)],
        lines=[(8, 10), (24, 4), (32, 11)],
        inline=[(8, -1), (24, 0), (32, -1)],
        calls=[InlinedSample("main.open", 4)],
    ),
]
FILES = ["/home/me/demo/main.go", "/usr/lib/go/src/runtime/proc.go"]
INLINED = [("main.open", 4), ("main.main", 10)]


def open_sample(**options: object) -> GoBinary:
    binary = open_go_binary(ElfImage(go_elf(FUNCTIONS, FILES, **options)))  # type: ignore[arg-type]
    assert binary is not None
    return binary


def lines_at(binary: GoBinary, address: int) -> list[tuple[str, int | None]]:
    return [(frame.function, frame.line) for frame in binary.table.frames_at(address)]


@pytest.mark.parametrize("with_section_headers", [True, False], ids=["sections", "no sections"])
@pytest.mark.parametrize("is_pie", [True, False], ids=["pie", "fixed"])
@pytest.mark.parametrize(
    ("version", "magic", "word"),
    [
        ("go1.18.10", 0xFFFFFFF0, 38),
        ("go1.19.13", 0xFFFFFFF0, 38),
        ("go1.20.14", 0xFFFFFFF1, 40),
        ("go1.26.8", 0xFFFFFFF1, 40),
        ("go1.27.3", 0xFFFFFFF1, 43),
    ],
)
def test_inlined_calls_are_found_in_each_shape(
    version: str, magic: int, word: int, is_pie: bool, with_section_headers: bool
) -> None:
    binary = open_sample(
        version=version,
        magic=magic,
        gofunc_word=word,
        is_pie=is_pie,
        with_section_headers=with_section_headers,
    )
    assert binary.table.text == TEXT
    assert lines_at(binary, TEXT + 32 + 10) == INLINED
    assert binary.function_offset("main.main") == binary.image.vaddr_to_offset(TEXT + 32)
    assert binary.goroot == "/usr/lib/go"


def test_an_unknown_release_is_used_where_its_data_prove_themselves() -> None:
    assert lines_at(open_sample(version="go1.29.0", gofunc_word=43), TEXT + 42) == INLINED
    moved = open_sample(version="go1.29.0", gofunc_word=46)
    assert not moved.table.has_inlining
    assert lines_at(moved, TEXT + 42) == [("main.main", 4)]


def test_a_header_without_text_start_falls_back_to_the_section() -> None:
    for table_text in (0, TEXT):
        binary = open_sample(with_moduledata=False, table_text=table_text)
        assert binary.moduledata is None
        assert binary.table.text == TEXT
        assert lines_at(binary, TEXT + 32) == [("main.main", 10)]


def test_damaged_build_info_does_not_hide_the_table() -> None:
    binary = open_sample(version="")
    assert binary.build_info is None
    assert lines_at(binary, TEXT + 42) == INLINED


def test_goroot_is_empty_when_trimmed_and_none_without_runtime() -> None:
    trimmed = open_go_binary(ElfImage(go_elf(FUNCTIONS, ["demo/main.go", "runtime/proc.go"])))
    assert trimmed is not None
    assert trimmed.goroot == ""
    other = open_go_binary(ElfImage(go_elf(FUNCTIONS[1:], FILES)))
    assert other is not None
    assert other.goroot is None


def test_a_binary_of_another_language_is_none() -> None:
    plain = make_elf([SectionSample(".text", b"\x90" * 64, TEXT)])
    assert open_go_binary(ElfImage(plain)) is None
    decoy = b"\xf1\xff\xff\xff\0\0\1\x08" + bytes(200)
    assert (
        open_go_binary(ElfImage(make_elf([SectionSample(".data", decoy, TEXT)], with_section_headers=False)))
        is None
    )


def test_arm64_steps_and_relocations_are_understood() -> None:
    functions = [GoFunctionSample("main.main", 64, files=[(64, 0)], lines=[(32, 5), (64, 6)])]
    binary = open_go_binary(ElfImage(go_elf(functions, FILES, machine=183, is_pie=True)))
    assert binary is not None
    assert binary.image.machine == "aarch64"
    assert [lines_at(binary, TEXT + offset) for offset in (0, 31, 32)] == [
        [("main.main", line)] for line in (5, 5, 6)
    ]


def test_minor_releases_are_read_from_versions_only() -> None:
    texts = [
        "go1.18",
        "go1.21.13",
        "go1.27rc1",
        "go1.25.5 X:loopvar",
        "go1.24.11-custom",
        "devel go1.28",
        "go2.1",
        "",
        "go1.9999",
    ]
    assert [go_minor(text) for text in texts] == [18, 21, 27, 25, 24, None, None, None, None]


SAMPLE = go_elf(FUNCTIONS, FILES)


@given(
    st.lists(st.tuples(st.integers(64, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=24),
    st.booleans(),
)
def test_any_damage_gives_a_binary_none_or_malformed(changes: list[tuple[int, int]], cut: bool) -> None:
    raw = bytearray(SAMPLE)
    for at, byte in changes:
        raw[at] = byte
    try:
        binary = open_go_binary(ElfImage(bytes(raw[: changes[0][0]] if cut else raw)))
        if binary is not None:
            binary.function_offset("main.main")
            lines_at(binary, TEXT + 42)
            assert binary.goroot is None or isinstance(binary.goroot, str)
    except Malformed:
        return
