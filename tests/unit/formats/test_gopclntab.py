"""Go's function table: functions, files, lines and inlined calls, in both layouts."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_samples import GoFunctionSample, InlinedSample, make_go_table
from leadline.formats.gopclntab import GoCode, GoFrame, GoLineTable, parse_header
from leadline.model import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = 0x401000
FILES = ["/src/main.go", "/src/lib/lib.go"]
WRAPPER = 23
# main.main is 64 bytes; in 16..48 lib.Outer is inlined (called on line 12), in 24..40 lib.Inner in it (called on line 7).
MAIN = GoFunctionSample(
    "main.main",
    64,
    files=[(16, 0), (48, 1), (64, 0)],
    lines=[(16, 12), (24, 6), (28, 3), (40, 7), (48, 8), (64, 13)],
    inline=[(16, -1), (24, 0), (40, 1), (48, 0), (64, -1)],
    calls=[InlinedSample("lib.Outer", 12), InlinedSample("lib.Inner", 20)],
    start_line=10,
)
PLAIN = GoFunctionSample("lib.(*T).Method", 32, files=[(24, 1)], lines=[(24, 100)], start_line=99)
WRAPPED = GoFunctionSample("lib.(*T).Method-fm", 16, files=[(16, 1)], lines=[(16, 100)], function_id=WRAPPER)
TOP = GoFunctionSample("runtime.goexit", 16, files=[(16, 1)], lines=[(16, 100)], stack=[(16, 0)], flags=1)
MOVER = GoFunctionSample("runtime.gogo", 16, files=[], lines=[], stack=[(4, 0), (12, 24), (16, 0)], flags=2)
FUNCTIONS = [MAIN, PLAIN, WRAPPED]
BOTH = pytest.mark.parametrize("magic", [0xFFFFFFF0, 0xFFFFFFF1], ids=["1.18", "1.20"])


def table_of(magic: int = 0xFFFFFFF1, functions: list[GoFunctionSample] | None = None) -> GoLineTable:
    raw, inline = make_go_table(functions or FUNCTIONS, FILES, magic=magic)
    return GoLineTable(memoryview(raw), TEXT, inline_data=memoryview(inline), wrapper_id=WRAPPER)


@BOTH
def test_inlined_calls_are_expanded_innermost_first(magic: int) -> None:
    table = table_of(magic)
    assert table.frames_at(TEXT + 30) == (
        GoFrame("lib.Inner", "/src/lib/lib.go", 7, True, False),
        GoFrame("lib.Outer", "/src/lib/lib.go", 6, True, False),
        GoFrame("main.main", "/src/main.go", 12, False, False),
    )


@BOTH
def test_ranges_begin_and_end_at_their_very_address(magic: int) -> None:
    table = table_of(magic)
    shown = {
        offset: [(frame.function, frame.line) for frame in table.frames_at(TEXT + offset)]
        for offset in (0, 15, 16, 23, 24, 39, 40, 47, 48, 63)
    }
    main = [("main.main", 12)]
    assert shown[0] == shown[15] == main
    assert shown[16] == shown[23] == [("lib.Outer", 6), *main]
    assert shown[24] == [("lib.Inner", 3), ("lib.Outer", 6), *main]
    assert shown[39] == [("lib.Inner", 7), ("lib.Outer", 6), *main]
    assert shown[40] == shown[47] == [("lib.Outer", 8), *main]
    assert shown[48] == shown[63] == [("main.main", 13)]


@BOTH
def test_functions_know_their_bounds(magic: int) -> None:
    table = table_of(magic)
    assert len(table) == 3
    assert [(f.name, f.entry - TEXT, f.end - TEXT) for f in table.functions()] == [
        ("main.main", 0, 64),
        ("lib.(*T).Method", 64, 96),
        ("lib.(*T).Method-fm", 96, 112),
    ]
    assert table.function_at(TEXT - 1) is None
    assert table.function_at(TEXT + 112) is None
    last = table.function_at(TEXT + 111)
    assert last is not None
    assert last.name == "lib.(*T).Method-fm"
    assert [f.start_line for f in table.functions()] == ([None] * 3 if magic == 0xFFFFFFF0 else [10, 99, 1])


def test_padding_has_a_function_but_no_line() -> None:
    assert table_of().frames_at(TEXT + 64 + 30) == (GoFrame("lib.(*T).Method", None, None, False, False),)


def test_wrappers_are_flagged_and_only_with_a_known_number() -> None:
    assert table_of().frames_at(TEXT + 96)[0].is_wrapper
    raw, inline = make_go_table(FUNCTIONS, FILES)
    unknown = GoLineTable(memoryview(raw), TEXT, inline_data=memoryview(inline))
    assert not unknown.frames_at(TEXT + 96)[0].is_wrapper


def test_without_inline_data_the_innermost_line_is_kept() -> None:
    raw, _ = make_go_table(FUNCTIONS, FILES)
    table = GoLineTable(memoryview(raw), TEXT)
    assert not table.has_inlining
    assert table.frames_at(TEXT + 30) == (GoFrame("main.main", "/src/lib/lib.go", 7, False, False),)


def test_functions_are_found_by_their_whole_name() -> None:
    table = table_of()
    assert [
        found and found.entry - TEXT
        for found in map(table.find, ["main.main", "lib.(*T).Method", "lib.(*T).Method-fm"])
    ] == [0, 64, 96]
    for name in ("", "main", "main.mai", "ain.main", "lib.Inner", "main.main\0", "lib.(*T).Meth"):
        assert table.find(name) is None


def test_a_name_across_pieces_of_the_search_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in range(1, 24):
        monkeypatch.setattr("leadline.formats.gopclntab._SEARCH_BYTES", size)
        assert table_of().find("lib.(*T).Method") is not None


def test_steps_of_four_bytes_are_taken_on_arm64() -> None:
    raw, inline = make_go_table([MAIN, PLAIN], FILES, quantum=4)
    table = GoLineTable(memoryview(raw), TEXT, inline_data=memoryview(inline))
    assert [frame.line for frame in table.frames_at(TEXT + 28)] == [7, 6, 12]


def test_inline_data_at_a_wrong_place_is_noticed() -> None:
    raw, inline = make_go_table(FUNCTIONS, FILES)
    right = GoLineTable(memoryview(raw), TEXT, inline_data=memoryview(inline))
    assert right.inline_data_fits()
    for wrong in (inline[1:], inline[4:], b"\x01" * 64, b""):
        assert not GoLineTable(memoryview(raw), TEXT, inline_data=memoryview(wrong)).inline_data_fits()


def test_an_inline_tree_without_end_is_malformed_or_bounded() -> None:
    circle = GoFunctionSample(
        "main.loop",
        16,
        files=[(16, 0)],
        lines=[(16, 1)],
        inline=[(16, 0)],
        calls=[InlinedSample("main.loop", 4)],
    )
    frames = table_of(functions=[circle]).frames_at(TEXT)
    assert len(frames) == 257


@pytest.mark.parametrize(
    ("at", "raw"),
    [
        (0, b"\xfa\xff\xff\xff"),
        (4, b"\1\1"),
        (6, b"\3"),
        (7, b"\7"),
        (8, b"\0" * 8),
        (8, b"\xff" * 8),
        (32, b"\xff" * 8),
        (64, b"\xff" * 8),
    ],
    ids=["magic", "pad", "quantum", "pointer", "no functions", "too many", "order", "outside"],
)
def test_a_damaged_header_is_malformed(at: int, raw: bytes) -> None:
    table, _ = make_go_table(FUNCTIONS, FILES)
    with pytest.raises(Malformed):
        parse_header(memoryview(table[:at] + raw + table[at + len(raw) :]))


def ask_everything(table: GoLineTable) -> None:
    asks: list[Callable[[], object]] = [table.functions, table.inline_data_fits]
    asks += [partial(table.find, "lib.(*T).Method")]
    asks += [partial(table.frames_at, TEXT + offset) for offset in range(0, 120, 3)]
    for ask in asks:
        try:
            ask()
        except Malformed:
            continue


RAW, INLINE = make_go_table(FUNCTIONS, FILES)
RAW_OLD, INLINE_OLD = make_go_table(FUNCTIONS, FILES, magic=0xFFFFFFF0)


@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(8, len(RAW) - 1), st.integers(0, 255)), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, len(INLINE) - 1), st.integers(0, 255)), max_size=6),
)
def test_any_damage_gives_values_or_malformed(
    is_old: bool, changes: list[tuple[int, int]], inline_changes: list[tuple[int, int]]
) -> None:
    raw, inline = bytearray(RAW_OLD if is_old else RAW), bytearray(INLINE_OLD if is_old else INLINE)
    for place, byte in changes:
        raw[place % len(raw)] = byte
    for place, byte in inline_changes:
        inline[place % len(inline)] = byte
    try:
        table = GoLineTable(memoryview(bytes(raw)), TEXT, inline_data=memoryview(bytes(inline)))
    except Malformed:
        return
    ask_everything(table)


@given(st.binary(max_size=600), st.sampled_from([0xFFFFFFF0, 0xFFFFFFF1]))
def test_any_bytes_give_a_table_or_malformed(tail: bytes, magic: int) -> None:
    for raw in (
        tail,
        struct.pack("<IHBB", magic, 0, 1, 8) + tail,
        struct.pack("<IHBBQ", magic, 0, 1, 4, 2) + tail,
    ):
        try:
            table = GoLineTable(memoryview(raw), TEXT, inline_data=memoryview(tail))
        except Malformed:
            continue
        ask_everything(table)


@BOTH
def test_code_tells_what_a_stack_walk_needs(magic: int) -> None:
    table = table_of(magic, [TOP, MOVER, PLAIN])
    assert table.code_at(TEXT) == GoCode(TEXT, "runtime.goexit", 0, is_top=True, moves_stack=False)
    assert table.code_at(TEXT + 16 + 8) == GoCode(
        TEXT + 16, "runtime.gogo", 24, is_top=False, moves_stack=True
    )
    found = [table.code_at(TEXT + at) for at in (16, 19, 20, 27, 28, 31)]
    assert [code.stack_delta for code in found if code is not None] == [0, 0, 24, 24, 0, 0]
    plain = table.code_at(TEXT + 40)
    assert plain is not None
    assert (plain.stack_delta, plain.is_top, plain.moves_stack) == (None, False, False)
    assert table.code_at(TEXT - 1) is None
    assert table.code_at(TEXT + 64) is None


@BOTH
def test_a_prologue_ends_where_the_stack_pointer_first_stands_lowest(magic: int) -> None:
    framed = GoFunctionSample(
        "main.framed",
        96,
        files=[(96, 0)],
        lines=[(96, 1)],
        stack=[(16, 0), (17, 8), (80, 168), (81, 8), (82, 0), (96, 168)],
    )
    leaf = GoFunctionSample("main.leaf", 16, files=[(16, 0)], lines=[(16, 1)], stack=[(16, 0)])
    table = table_of(magic, [MAIN, framed, leaf])
    told = {function.name: table.prologue(function) for function in table.functions()}
    assert told == {"main.main": (0, 0), "main.framed": (17, 168), "main.leaf": (0, 0)}
