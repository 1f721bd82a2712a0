"""What is written as a dump is read as the same goroutines again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.evidence.kinds import Goroutine, Stack
from leadline.formats.godump import Dump, parse_dumps
from leadline.formats.godump_text import dump_text, header_line, iter_dump
from leadline.model import SiteFrame

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"
FILES = {path.name: path.read_bytes() for path in sorted(DUMPS.glob("*.txt*")) if "debug1" not in path.name}
MINUTE = 60 * 10**9
FRAME = SiteFrame(function="main.f", file="/a/b.go", line=7, role="app")


def content(dump: Dump) -> list[tuple[Goroutine, tuple[SiteFrame, ...] | None, bool]]:
    known = {stack.id: stack for stack in dump.stacks}
    return [
        (
            msgspec.structs.replace(one, stack=None),
            None if one.stack is None else known[one.stack].frames,
            one.stack is not None and known[one.stack].truncated,
        )
        for one in dump.goroutines
    ]


@pytest.mark.parametrize("name", FILES)
def test_real_dumps_come_back_the_same(name: str) -> None:
    dump = parse_dumps(FILES[name]).dumps[0]
    text = dump_text(dump.goroutines, {stack.id: stack for stack in dump.stacks})
    again = parse_dumps(text.encode())
    assert content(again.dumps[0]) == content(dump)
    assert not again.gaps


def test_it_is_printed_as_go_prints_it() -> None:
    inlined = SiteFrame(
        function="net.(*conn).Read", file="/go/src/net/net.go", line=194, role="std", inlined=True
    )
    native = SiteFrame(function="sleep", file="/x/y.c", line=3, role="native")
    one = Goroutine(
        pid=1, goid=34, state="IO wait", stack=2, waited_ns=5 * MINUTE + 7, is_locked=True, parent_goid=21,
        created_by=SiteFrame(function="main.main", file="/a/b.go", line=3), labels={"k": "v", "a b": 'c"\n\u00e9'},
    )  # fmt: skip
    text = dump_text([one], {2: Stack(id=2, pid=1, frames=(native, inlined, FRAME), truncated=True)})
    assert text == (
        'goroutine 34 [IO wait, 5 minutes, locked to thread] {k: v, "a b": "c\\"\\n\\u00e9"}:\n'
        "sleep\n\t/x/y.c:3 pc=0x0\n"
        "net.(*conn).Read(...)\n\t/go/src/net/net.go:194\n"
        "main.f(...)\n\t/a/b.go:7 +0x0\n"
        "...additional frames elided...\n"
        "created by main.main in goroutine 21\n\t/a/b.go:3 +0x0\n"
    )


def test_goroutines_on_a_cpu_say_that_their_stack_is_unavailable() -> None:
    one = Goroutine(pid=1, goid=5, state="running")
    text = "goroutine 5 [running]:\n\tgoroutine running on other thread; stack unavailable\n"
    assert dump_text([one, one], {}) == f"{text}\n{text}"


def test_notes_stand_behind_the_header() -> None:
    one = Goroutine(pid=1, goid=5, state="select", stack=1)
    text = "".join(iter_dump([one], {1: Stack(id=1, pid=1, frames=(FRAME,))}, lambda _: "  # reads fd 7"))
    assert text.splitlines()[0] == "goroutine 5 [select]:  # reads fd 7"


def test_a_short_wait_has_no_minutes() -> None:
    assert (
        header_line(Goroutine(pid=1, goid=5, state="select", waited_ns=MINUTE - 1)) == "goroutine 5 [select]:"
    )
    assert (
        header_line(Goroutine(pid=1, goid=5, state="select", waited_ns=MINUTE))
        == "goroutine 5 [select, 1 minutes]:"
    )


def test_leaked_stands_behind_the_state() -> None:
    one = Goroutine(pid=1, goid=5, state="chan send", is_leaked=True, is_locked=True)
    assert header_line(one) == "goroutine 5 [chan send (leaked), locked to thread]:"


def test_what_a_target_calls_things_cannot_forge_lines() -> None:
    evil = SiteFrame(function="main.f\ngoroutine 9 [running]:", file="/a\n\n", line=1, role="app")
    one = Goroutine(pid=1, goid=5, state="select\x1b[2J", stack=1)
    text = dump_text([one], {1: Stack(id=1, pid=1, frames=(evil,))})
    assert len(text.splitlines()) == 3
    assert "\x1b" not in text


# A fixed alphabet: Hypothesis would write a cache of all characters, which the guard of pure rooms refuses.
WORDS = st.text("ab z09._/-,:{}[]\"\\'\n\r\t\x00\x1b\x7f\xe9\u202e\ufffd\U0001f600", max_size=12)


@given(st.dictionaries(WORDS, WORDS, max_size=3))
def test_any_labels_come_back(labels: dict[str, str]) -> None:
    one = Goroutine(pid=0, goid=5, state="select", stack=1, labels=labels)
    text = dump_text([one], {1: Stack(id=1, pid=0, frames=(FRAME,))})
    assert parse_dumps(text.encode()).dumps[0].goroutines[0].labels == labels
