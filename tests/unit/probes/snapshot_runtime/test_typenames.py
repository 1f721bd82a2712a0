"""Names of Go types from their descriptors."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from elf_samples import uvarint
from leadline.probes.snapshot_runtime.memory import ProcessMemory
from leadline.probes.snapshot_runtime.typenames import TypeNames

TYPES = 0x500000
TYPE, ITAB = TYPES + 64, TYPES + 1024


@dataclass
class Bytes:
    """A host of one range of memory."""

    raw: bytearray = field(default_factory=lambda: bytearray(4096))

    def read_memory(self, pid: int, address: int, size: int) -> bytes:
        assert pid == 1
        at = address - TYPES
        return bytes(self.raw[at : at + size]) if 0 <= at < len(self.raw) else b""


def types(name: bytes = b"**net.TCPConn", *, has_star: bool = True) -> tuple[TypeNames, Bytes]:
    target = Bytes()
    struct.pack_into("<QQIBBBB", target.raw, 64, 8, 8, 0xABCD, 2 if has_star else 0, 8, 8, 22)
    struct.pack_into("<i", target.raw, 64 + 40, 200)
    raw = b"\0" + uvarint(len(name)) + name
    target.raw[200 : 200 + len(raw)] = raw
    struct.pack_into("<QQI", target.raw, 1024, TYPE, TYPE, 0xABCD)
    memory = ProcessMemory(target, 1)  # type: ignore[arg-type]  # one call of a host is enough
    return TypeNames(memory, first=TYPES, end=TYPES + 4096, text_at=40, flags_at=20), target


def test_names_are_as_go_prints_them() -> None:
    found, _ = types()
    assert found.name(TYPE) == "*net.TCPConn"
    assert found.name(TYPE) == "*net.TCPConn"
    assert types(b"map[string]int", has_star=False)[0].name(TYPE) == "map[string]int"
    assert types(b"main." + b"x" * 300, has_star=False)[0].name(TYPE) == "main." + "x" * 300


def test_interfaces_lead_to_their_type() -> None:
    found, _ = types()
    assert found.of_interface(ITAB, is_empty=False) == "*net.TCPConn"
    assert found.of_interface(TYPE, is_empty=True) == "*net.TCPConn"
    assert found.type_of_itab(ITAB) == found.type_of_itab(ITAB) == TYPE
    assert found.of_interface(0, is_empty=False) is None
    assert found.of_interface(0, is_empty=True) is None


def test_an_itab_that_the_runtime_made_has_no_hash_but_an_interface() -> None:
    found, target = types()
    struct.pack_into("<QQI", target.raw, 1024, TYPES + 512, TYPE, 0)
    assert found.of_interface(ITAB, is_empty=False) is None
    found, target = types()
    struct.pack_into("<QQI", target.raw, 1024, TYPES + 512, TYPE, 0)
    target.raw[512 + 23] = 20 | 32
    assert found.of_interface(ITAB, is_empty=False) == "*net.TCPConn"


def test_an_itab_whose_hash_is_not_its_types_is_none() -> None:
    found, target = types()
    struct.pack_into("<I", target.raw, 1024 + 16, 1)
    assert found.of_interface(ITAB, is_empty=False) is None


def test_what_is_no_type_has_no_name() -> None:
    found, target = types()
    assert [found.name(address) for address in (0, TYPE + 1, TYPES - 8, TYPES + 4096, TYPES + 3000)] == [
        None
    ] * 5
    struct.pack_into("<i", target.raw, 64 + 40, -1)
    assert found.name(TYPE) is None
    assert types(b"\xff\xfe", has_star=False)[0].name(TYPE) is None
    assert types(b"a\nb", has_star=False)[0].name(TYPE) is None


@given(st.binary(max_size=300), st.integers(0, 1100), st.integers(0, 4096))
def test_any_bytes_give_a_printable_name_or_none(raw: bytes, at: int, asked: int) -> None:
    found, target = types()
    target.raw[at : at + len(raw)] = raw
    for name in (
        found.name(TYPES + asked),
        found.of_interface(TYPES + asked, is_empty=False),
        found.name(TYPE),
    ):
        assert name is None or name.isprintable()
