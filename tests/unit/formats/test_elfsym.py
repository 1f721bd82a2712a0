"""Symbols of native code: bounds, aliases, stripped files with compressed debug data."""

from __future__ import annotations

import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_samples import SectionSample, make_elf, make_symbols
from leadline.formats.elfimage import ElfImage
from leadline.formats.elfsym import ElfSymbols, NativeSymbol
from leadline.model import Malformed

FUNC, OBJECT, NOTYPE, IFUNC = 2, 1, 0, 10
ROWS = [
    ("outer", 0x1000, 0x100, FUNC),
    ("alias_small", 0x1000, 0x10, FUNC),
    ("inner", 0x1040, 0x10, FUNC),
    ("without_size", 0x2000, 0, FUNC),
    ("fast_copy", 0x3000, 0x20, IFUNC),
    ("variable", 0x4000, 0x100, OBJECT),
    ("asm_label", 0x5000, 0, NOTYPE),
    ("asm_function", 0x6000, 0x8, NOTYPE),
]


def symbols_of(*parts: list[SectionSample]) -> ElfSymbols:
    text = SectionSample(".text", b"\x90" * 16, 0x1000)
    return ElfSymbols(ElfImage(make_elf([text, *(section for part in parts for section in part)])))


def name_at(symbols: ElfSymbols, address: int) -> str | None:
    found = symbols.at(address)
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0xFFF, None),
        (0x1000, "outer"),
        (0x103F, "outer"),
        (0x1040, "inner"),
        (0x104F, "inner"),
        (0x1050, "outer"),
        (0x10FF, "outer"),
        (0x1100, None),
        (0x2000, "without_size"),
        (0x2FFF, "without_size"),
        (0x3000, "fast_copy"),
        (0x3020, None),
        (0x4010, None),
        (0x5000, None),
        (0x6007, "asm_function"),
        (0x6008, None),
        (1 << 64, None),
    ],
)
def test_the_function_that_covers_an_address_is_named(address: int, name: str | None) -> None:
    assert name_at(symbols_of(make_symbols(ROWS)), address) == name


def test_functions_are_found_by_name() -> None:
    symbols = symbols_of(make_symbols(ROWS))
    assert symbols.find("inner") == NativeSymbol("inner", 0x1040, 0x10)
    assert symbols.find("inne") is None
    assert symbols.find("variable") is None
    assert len(symbols) == 6


def test_dynamic_symbols_help_where_the_table_was_stripped() -> None:
    symbols = symbols_of(make_symbols([("exported", 0x1000, 8, FUNC)], "dyn"))
    assert name_at(symbols, 0x1004) == "exported"
    both = symbols_of(
        make_symbols([("full", 0x1000, 8, FUNC)]), make_symbols([("exported", 0x2000, 8, FUNC)], "dyn")
    )
    assert (name_at(both, 0x1000), name_at(both, 0x2000)) == ("full", "exported")


def test_compressed_debug_data_name_hidden_functions() -> None:
    hidden = make_elf(
        [SectionSample(".text", b"\x90", 0x1000), *make_symbols([("static_helper", 0x1000, 8, FUNC)])]
    )
    packed = lzma.compress(hidden, format=lzma.FORMAT_XZ)
    symbols = symbols_of(
        [SectionSample(".gnu_debugdata", packed)], make_symbols([("exported", 0x2000, 8, FUNC)], "dyn")
    )
    assert (name_at(symbols, 0x1000), name_at(symbols, 0x2000)) == ("static_helper", "exported")


@pytest.mark.parametrize(
    "packed", [b"", b"not xz", lzma.compress(b"no elf"), lzma.compress(bytes(1 << 20))[:-9]]
)
def test_damaged_debug_data_are_left_out(packed: bytes) -> None:
    symbols = symbols_of(
        [SectionSample(".gnu_debugdata", packed)], make_symbols([("exported", 0x2000, 8, FUNC)], "dyn")
    )
    assert name_at(symbols, 0x2000) == "exported"


def test_debug_data_that_grow_without_end_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = make_elf(
        [SectionSample(".text", b"\x90" * 100_000, 0x1000), *make_symbols([("hidden", 0x1000, 8, FUNC)])]
    )
    section = SectionSample(".gnu_debugdata", lzma.compress(hidden, format=lzma.FORMAT_XZ))
    assert name_at(symbols_of([section]), 0x1000) == "hidden"
    monkeypatch.setattr("leadline.formats.elfsym._MAX_DEBUGDATA_BYTES", 50_000)
    assert name_at(symbols_of([section]), 0x1000) is None


def test_a_file_without_symbols_names_nothing() -> None:
    assert symbols_of().at(0x1000) is None
    assert symbols_of().find("main") is None


SAMPLE = make_elf([SectionSample(".text", b"\x90" * 16, 0x1000), *make_symbols(ROWS)])


@given(st.lists(st.tuples(st.integers(64, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=24))
def test_any_damage_gives_a_name_or_none(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(SAMPLE)
    for at, byte in changes:
        raw[at] = byte
    try:
        symbols = ElfSymbols(ElfImage(bytes(raw)))
    except Malformed:
        return
    for address in (0x1000, 0x1045, 0x2000, 0x6001):
        found = symbols.at(address)
        assert found is None or isinstance(found.name, str)
    symbols.find("outer")
