"""Stacks of a process: which address is looked up where, whatever the objects are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_samples import (
    DATA,
    TEXT,
    GoFunctionSample,
    InlinedSample,
    SectionSample,
    go_elf,
    make_elf,
    make_symbols,
    uvarint,
)
from leadline.formats.procmaps import MapEntry, ProcMaps
from leadline.formats.symbolize import ObjectCache, ProcessSymbols
from leadline.model import SiteFrame

WRAPPER = 23
FILES = ["/demo/main.go", "/go/src/runtime/proc.go"]
GO_FUNCTIONS = [
    GoFunctionSample(
        "main.open",
        32,
        files=[(32, 0)],
        lines=[(8, 3), (16, 5), (32, 4)],
        inline=[(8, -1), (16, 0), (32, -1)],
        calls=[InlinedSample("main.inlined[go.shape.int]", 4)],
    ),
    GoFunctionSample("main.wrapper-fm", 32, files=[(32, 0)], lines=[(32, 9)], function_id=WRAPPER),
    GoFunctionSample("runtime.sigpanic", 32, files=[(32, 1)], lines=[(32, 100)]),
    GoFunctionSample("main.main", 32, files=[(32, 0)], lines=[(16, 20), (32, 21)]),
]
OPEN, WRAP, SIGPANIC, MAIN = (TEXT + 32 * number for number in range(4))
GO = go_elf(GO_FUNCTIONS, FILES)
GO_PIE = go_elf(GO_FUNCTIONS, FILES, is_pie=True)
LIBRARY = make_elf(
    [SectionSample(".text", b"\x90" * 64, 0x1000), *make_symbols([("_ZN3net4dialEv", 0x1000, 32, 2)], "dyn")],
    kind=3,
)
NATIVE = make_elf(
    [
        SectionSample(".text", b"\x90" * 96, 0x1000),
        *make_symbols(
            [("leak", 0x1000, 32, 2), ("_ZNSt6vectorIiE4sizeEv", 0x1020, 32, 2), ("_start", 0x1040, 32, 2)]
        ),
    ]
)
VDSO = make_elf(
    [
        SectionSample(".text", b"\x90" * 32, 0x800),
        *make_symbols([("__vdso_clock_gettime", 0x800, 32, 2)], "dyn"),
    ],
    kind=3,
)
FILES_OF = {
    "/app": GO,
    "/app-pie": GO_PIE,
    "/lib/libnet.so": LIBRARY,
    "/native": NATIVE,
    "[vdso]": VDSO,
    "/broken": b"\x7fELFbroken",
}


class Machine:
    """Maps objects at addresses and counts how often each is opened."""

    def __init__(self) -> None:
        self.entries: list[MapEntry] = []
        self.opened: list[str] = []

    def put(self, path: str, section: str, at: int, *, inode: int = 7) -> int:
        """Map the page of a section; return what to add to linked addresses."""
        raw = FILES_OF.get(path, b"")
        linked = {".text": TEXT if path.startswith("/app") else 0x800 if path == "[vdso]" else 0x1000}[
            section
        ]
        offset = _offset(raw, linked) if raw and raw is not FILES_OF["/broken"] else 0
        self.entries.append(MapEntry(at, at + 4096, "r-xp", offset, 1, 2, inode, path))
        return at - linked

    def opener(self, entry: MapEntry) -> memoryview | None:
        self.opened.append(entry.path)
        raw = FILES_OF.get(entry.object_name)
        return None if raw is None else memoryview(raw)

    def symbols(self, **options: object) -> ProcessSymbols:
        return ProcessSymbols(ProcMaps(self.entries), self.opener, **options)  # type: ignore[arg-type]


def _offset(raw: bytes, linked: int) -> int:
    from leadline.formats.elfimage import ElfImage  # noqa: PLC0415  a detail of this helper only

    offset = ElfImage(raw).vaddr_to_offset(linked)
    assert offset is not None
    return offset


def shown(frames: tuple[SiteFrame, ...]) -> list[tuple[str, int | None]]:
    return [(frame.function, frame.line) for frame in frames]


@pytest.mark.parametrize(
    ("path", "at"), [("/app", TEXT), ("/app-pie", 0x5555_0000_0000)], ids=["fixed", "pie"]
)
def test_a_stack_is_resolved_leaf_first_with_inlined_calls(path: str, at: int) -> None:
    machine = Machine()
    bias = machine.put(path, ".text", at)
    frames = machine.symbols().resolve((OPEN + 12 + bias, MAIN + 16 + bias))
    assert frames == (
        SiteFrame(function="main.inlined[...]", file="/demo/main.go", line=5, role="app", inlined=True),
        SiteFrame(function="main.open", file="/demo/main.go", line=3, role="app"),
        SiteFrame(function="main.main", file="/demo/main.go", line=20, role="app"),
    )


def test_return_addresses_are_looked_up_one_byte_before() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    symbols = machine.symbols()
    # Behind the last instruction of main.main, and of main.open (the next function begins there).
    assert shown(symbols.resolve((OPEN, MAIN + 32, WRAP)))[1:] == [("main.main", 21), ("main.open", 4)]


def test_a_leaf_stands_behind_its_instruction_or_on_a_first_one() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    symbols = machine.symbols()
    assert shown(symbols.resolve((MAIN,))) == [("main.main", 20)]
    assert shown(symbols.resolve((MAIN + 16,))) == [("main.main", 20)]
    assert shown(symbols.resolve((MAIN + 17,))) == [("main.main", 21)]


def test_the_frame_that_faulted_is_taken_as_it_is() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    frames = machine.symbols().resolve((SIGPANIC + 8, MAIN + 16))
    assert shown(frames) == [("runtime.sigpanic", 100), ("main.main", 21)]


def test_wrappers_are_left_out() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    symbols = machine.symbols()
    assert shown(symbols.resolve((OPEN, WRAP + 8, MAIN + 16))) == [("main.open", 3), ("main.main", 20)]
    assert symbols.resolve((WRAP + 8,)) == (SiteFrame(function="?"),)


def test_native_frames_between_go_frames_have_names() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    bias = machine.put("/lib/libnet.so", ".text", 0x7F00_0000_0000)
    vdso = machine.put("[vdso]", ".text", 0x7FFD_0000_0000, inode=0)
    frames = machine.symbols().resolve((0x810 + vdso, 0x1010 + bias, MAIN + 16))
    assert [(frame.function, frame.role, frame.file) for frame in frames] == [
        ("__vdso_clock_gettime", "native", "[vdso]"),
        ("net::dial()", "native", "/lib/libnet.so"),
        ("main.main", "app", "/demo/main.go"),
    ]


def test_the_main_binary_of_another_language_is_the_users_own() -> None:
    machine = Machine()
    bias = machine.put("/native", ".text", 0x40_0000)
    lib = machine.put("/lib/libnet.so", ".text", 0x7F00_0000_0000)
    frames = machine.symbols().resolve((0x1004 + lib, 0x1010 + bias, 0x1030 + bias, 0x1050 + bias))
    assert [(frame.function, frame.role) for frame in frames] == [
        ("net::dial()", "native"),
        ("leak", "app"),
        ("std::vector<int>::size()", "std"),
        ("_start", "native"),
    ]


def test_go_releases_before_1_18_are_named_by_their_symbol_table() -> None:
    text = "path\tdemo\nmod\tdemo\t(devel)\t\n"
    framed = "0" * 16 + text + "1" * 16
    info = (
        b"\xff Go buildinf:"
        + bytes([8, 2])
        + bytes(16)
        + uvarint(8)
        + b"go1.17.1"
        + uvarint(len(framed))
        + framed.encode()
    )
    raw = make_elf(
        [
            SectionSample(".text", b"\x90" * 64, TEXT),
            SectionSample(".gopclntab", b"\xfa\xff\xff\xff\0\0\1\x08" + bytes(80), TEXT + 0x1000),
            SectionSample(".go.buildinfo", info, TEXT + 0x2000),
            *make_symbols([("net/http.Get", TEXT, 32, 2), ("demo/db.Open", TEXT + 32, 32, 2)]),
        ]
    )
    entry = MapEntry(TEXT, TEXT + 4096, "r-xp", _offset(raw, TEXT), 1, 2, 3, "/old")
    symbols = ProcessSymbols(ProcMaps([entry]), lambda _: memoryview(raw))
    frames = symbols.resolve((TEXT + 8, TEXT + 40))
    assert [(frame.function, frame.role) for frame in frames] == [
        ("net/http.Get", "std"),
        ("demo/db.Open", "app"),
    ]
    assert "no header of Go 1.18 or later" in symbols.problems[0]
    assert symbols.function_offset("net/http.Get") is None


def test_what_has_no_name_is_a_question_mark_with_its_object() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    machine.put("", ".text", 0x7000_0000, inode=0)
    machine.put("/broken", ".text", 0x7100_0000)
    machine.put("/gone (deleted)", ".text", 0x7200_0000)
    bias = machine.put("/lib/libnet.so", ".text", 0x7300_0000)
    symbols = machine.symbols()
    frames = symbols.resolve((0x7000_0010, 0x7100_0010, 0x7200_0010, 0x1030 + bias, 0x10))
    assert frames == (
        SiteFrame(function="?"),
        SiteFrame(function="?", file="/broken"),
        SiteFrame(function="?", file="/gone"),
        SiteFrame(function="?", file="/lib/libnet.so"),
        SiteFrame(function="?"),
    )
    assert len(symbols.problems) == 2
    assert "/gone: could not be opened" in symbols.problems


def test_zeros_are_left_out_and_an_empty_stack_is_empty() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    symbols = machine.symbols()
    assert symbols.resolve(()) == ()
    assert shown(symbols.resolve((MAIN, 0, 0))) == [("main.main", 20)]
    assert symbols.resolve((0,)) == (SiteFrame(function="?"),)


def test_each_object_is_opened_once_also_for_several_processes() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    machine.put("/gone", ".text", 0x7200_0000)
    cache = ObjectCache()
    for _ in range(3):
        symbols = machine.symbols(cache=cache)
        symbols.resolve((MAIN, MAIN + 16, 0x7200_0010, OPEN + 4))
    assert sorted(machine.opened) == ["/app", "/gone"]
    assert len(cache) == 2


def test_equal_frames_are_one_object() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    symbols = machine.symbols()
    assert symbols.resolve((MAIN + 4,))[0] is symbols.resolve((MAIN + 8,))[0]


def test_newer_mappings_replace_older_ones() -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    symbols = machine.symbols()
    assert symbols.resolve((0x7F00_0000_0010,)) == (SiteFrame(function="?"),)
    machine.put("/lib/libnet.so", ".text", 0x7F00_0000_0000)
    symbols.update(ProcMaps(machine.entries))
    assert [frame.function for frame in symbols.resolve((0x7F00_0000_0010,))] == ["net::dial()"]


def test_functions_have_a_place_in_the_file_and_in_the_process() -> None:
    machine = Machine()
    bias = machine.put("/app-pie", ".text", 0x5555_0000_0000)
    symbols = machine.symbols()
    assert symbols.function_offset("main.main") == _offset(GO_PIE, TEXT) + 96
    assert symbols.function_range("main.main") == (MAIN + bias, MAIN + bias + 32)
    assert symbols.function_offset("main.none") is None
    assert symbols.function_range("main.none") is None


def test_a_process_without_files_has_no_main_object() -> None:
    symbols = ProcessSymbols(ProcMaps([]), lambda entry: None)
    assert symbols.main_object() is None
    assert symbols.function_offset("main.main") is None
    assert symbols.resolve((1,)) == (SiteFrame(function="?"),)


def test_the_main_binary_may_be_named() -> None:
    machine = Machine()
    machine.put("/lib/libnet.so", ".text", 0x1000_0000)
    machine.put("/native", ".text", 0x7F00_0000_0000)
    main = machine.symbols(exe="/native").main_object()
    assert main is not None
    assert main.name == "/native"


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(TEXT - 8, TEXT + 160), max_size=64))
def test_any_addresses_give_frames(ips: list[int]) -> None:
    machine = Machine()
    machine.put("/app", ".text", TEXT)
    frames = machine.symbols().resolve(ips)
    assert all(isinstance(frame, SiteFrame) for frame in frames)
    assert bool(frames) == bool(ips)


@given(st.lists(st.tuples(st.integers(0, len(GO) - 1), st.integers(0, 255)), min_size=1, max_size=24))
def test_any_damage_of_an_object_gives_frames(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(GO)
    for at, byte in changes:
        raw[at] = byte
    entry = MapEntry(TEXT, TEXT + 4096, "r-xp", _offset(GO, TEXT), 1, 2, 3, "/app")
    symbols = ProcessSymbols(ProcMaps([entry]), lambda _: memoryview(bytes(raw)))
    assert symbols.resolve((OPEN + 12, MAIN + 16, DATA))
    symbols.function_offset("main.main")
