"""Which frames Go prints, and under which names."""

from __future__ import annotations

import pytest

from elf_samples import GoFunctionSample, InlinedSample, make_go_table
from leadline.formats.framerole import RoleBook
from leadline.formats.gopclntab import GoLineTable
from leadline.probes.snapshot_runtime.frames import StackNames

TEXT = 0x401000
WRAPPER = 23


def sample(name: str, *, function_id: int = 0, calls: list[str] | None = None) -> GoFunctionSample:
    inlined = [InlinedSample(call, 8) for call in calls or []]
    return GoFunctionSample(
        name, 64, files=[(64, 0)], lines=[(10, 5), (64, 7)], inline=[(16, -1), (64, 0)] if calls else [], calls=inlined,
        function_id=function_id, stack=[(64, 0)],
    )  # fmt: skip


FUNCTIONS = [
    sample("runtime.goexit"), sample("runtime.gopark"), sample("runtime.gopanic"), sample("runtime.sigpanic"),
    sample("runtime.GC"), sample("runtime.(*Func).Entry"), sample("runtime.(*mheap).Free"), sample("runtime.runFinalizers"),
    sample("main.main"), sample("main.worker", calls=["lib.Inner"]), sample("main.Map[go.shape.int]"),
    sample("main.(*T).Do-fm", function_id=WRAPPER), sample("memeqbody"), sample("net.(*conn).Read"),
]  # fmt: skip
NAMES = [each.name for each in FUNCTIONS]


def pc(name: str, offset: int = 20) -> int:
    return TEXT + 64 * NAMES.index(name) + offset


def names() -> StackNames:
    raw, inline = make_go_table(FUNCTIONS, ["/src/main.go"])
    table = GoLineTable(memoryview(raw), TEXT, inline_data=memoryview(inline), wrapper_id=WRAPPER)
    return StackNames(table, RoleBook(None, None), 0, quantum=1)


def shown(*functions: str) -> list[str]:
    return [frame.function for frame in names().frames([pc(name) for name in functions])]


@pytest.mark.parametrize(
    ("functions", "wanted"),
    [
        (
            ("runtime.gopark", "net.(*conn).Read", "main.main", "runtime.goexit"),
            ["net.(*conn).Read", "main.main"],
        ),
        (("runtime.gopark", "runtime.goexit"), ["runtime.gopark", "runtime.goexit"]),
        (("runtime.GC", "main.main"), ["runtime.GC", "main.main"]),
        (("runtime.(*Func).Entry", "main.main"), ["runtime.(*Func).Entry", "main.main"]),
        (("runtime.(*mheap).Free", "main.main"), ["main.main"]),
        (("main.main", "runtime.gopanic", "main.worker"), ["main.main", "panic", "lib.Inner", "main.worker"]),
        (("runtime.gopanic", "main.main"), ["main.main"]),
        (("net.(*conn).Read", "main.(*T).Do-fm", "main.main"), ["net.(*conn).Read", "main.main"]),
        (("runtime.gopanic", "main.(*T).Do-fm", "main.main"), ["main.(*T).Do-fm", "main.main"]),
        (("memeqbody", "main.main"), ["main.main"]),
        (("main.main", "runtime.runFinalizers"), ["main.main", "runtime.runFinalizers"]),
        (("main.Map[go.shape.int]",), ["main.Map[...]"]),
    ],
)
def test_frames_are_shown_as_in_a_dump(functions: tuple[str, ...], wanted: list[str]) -> None:
    assert shown(*functions) == wanted


def test_all_functions_are_told_with_their_full_names() -> None:
    pcs = [pc("runtime.gopark"), pc("main.(*T).Do-fm"), pc("main.Map[go.shape.int]"), pc("main.worker"), 5]
    assert names().functions(pcs) == (
        "runtime.gopark", "main.(*T).Do-fm", "main.Map[go.shape.int]", "lib.Inner", "main.worker",
    )  # fmt: skip
    assert names().function_at(pc("main.main")) == "main.main"
    assert names().function_at(5) == ""


def test_lines_are_of_the_call_but_of_the_fault_itself() -> None:
    target = names()
    [frame] = target.frames([pc("main.main", 10)])
    assert (frame.file, frame.line, frame.inlined) == ("/src/main.go", 5, False)
    assert target.frames([pc("main.main", 0)])[0].line == 5
    fault = target.frames([pc("runtime.sigpanic"), pc("main.main", 10)])
    assert [frame.line for frame in fault] == [7]


def test_creators_are_named_by_the_function_that_was_compiled() -> None:
    target = names()
    creator = target.creator(pc("main.worker"))
    assert creator is not None
    assert (creator.function, creator.line, creator.role) == ("main.worker", 7, "app")
    assert target.creator(pc("runtime.gopark")) is None
    assert target.creator(5) is None
    assert target.creator(pc("main.worker")) is creator
