"""Variables by name and by address, from symbol tables that may be damaged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elf_samples import SectionSample, make_elf, make_symbols
from leadline.formats.elfimage import ElfImage
from leadline.formats.elfvars import ElfVariables, Variable

OBJECT, FUNCTION = 1, 2
SYMBOLS = [
    ("main.main", 0x401000, 64, FUNCTION),
    ("runtime.bss", 0x700000, 0, OBJECT),
    ("runtime.allgs", 0x700000, 24, OBJECT),
    ("main.registry", 0x700040, 8, OBJECT),
]


def variables(symbols: list[tuple[str, int, int, int]]) -> ElfVariables:
    raw = make_elf([SectionSample(".text", b"\xcc" * 64, 0x401000), *make_symbols(symbols)])
    return ElfVariables(ElfImage(raw))


def test_variables_are_found_by_name_and_by_any_address_in_them() -> None:
    found = variables(SYMBOLS)
    assert len(found) == 3
    assert found.find("runtime.allgs") == Variable("runtime.allgs", 0x700000, 24)
    assert found.at(0x700017) == Variable("runtime.allgs", 0x700000, 24)
    assert found.at(0x700040) == Variable("main.registry", 0x700040, 8)


def test_functions_gaps_and_unknown_names_are_no_variables() -> None:
    found = variables(SYMBOLS)
    assert [found.at(address) for address in (0, 0x401000, 0x700018, 0x700048, -1, 1 << 70)] == [None] * 6
    assert [found.find(name) for name in ("main.main", "main.regist", "registry", "")] == [None] * 4


def test_stripped_files_have_none() -> None:
    found = variables([])
    assert len(found) == 0
    assert found.find("runtime.allgs") is None
    assert found.at(0x700000) is None
    assert len(ElfVariables(ElfImage(make_elf([SectionSample(".text", b"\xcc", 0x401000)])))) == 0


@given(st.binary(max_size=300), st.integers(0, 1 << 64))
def test_damaged_tables_give_an_answer(raw: bytes, address: int) -> None:
    table, strings = make_symbols(SYMBOLS)
    table.raw += raw
    strings.raw = strings.raw[: len(raw)]
    found = ElfVariables(ElfImage(make_elf([SectionSample(".text", b"\xcc", 0x401000), table, strings])))
    hit = found.at(address)
    assert hit is None or hit.address <= address < hit.address + hit.size
    assert found.find("runtime.allgs") is None or len(found)
