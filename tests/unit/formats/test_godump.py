"""Dumps of any Go release, whole or damaged, in a log or not, give the goroutines that they list."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.evidence.kinds import Goroutine
from leadline.formats.godump import Dump, parse_dumps
from leadline.model import Malformed, SiteFrame

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"
FILES = {
    path.name.removesuffix(".gz").removesuffix(".txt"): path.read_bytes()
    for path in sorted(DUMPS.glob("*.txt*"))
}
PLAIN = FILES["go1.27-debug2"]
MINUTE = 60 * 10**9


def text_of(name: str) -> str:
    content = FILES[name]
    return (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode()


def only(content: bytes | str) -> Dump:
    file = parse_dumps(content.encode() if isinstance(content, str) else content)
    assert len(file.dumps) == 1
    return file.dumps[0]


def frames(dump: Dump, one: Goroutine) -> tuple[SiteFrame, ...]:
    return next(stack.frames for stack in dump.stacks if stack.id == one.stack)


def one_of(header: str, body: str = "main.f(0x1, {0x2, 0x3}, ...)\n\t/a/b.go:7 +0x1d\n") -> Goroutine:
    dump = only(f"{header}\n{body}")
    assert len(dump.goroutines) == 1
    return dump.goroutines[0]


@pytest.mark.parametrize("name", [name for name in FILES if "debug1" not in name])
def test_real_dumps_have_every_goroutine_of_the_program(name: str) -> None:
    file = parse_dumps(FILES[name])
    assert len(file.dumps) == 1
    dump = file.dumps[0]
    listed = {int(number) for number in re.findall(r"(?m)^goroutine (\d+) ", text_of(name))} - {0}
    assert len(dump.goroutines) + dump.system == len(listed)
    assert {one.goid for one in dump.goroutines} <= listed
    assert dump.form == "stacks"
    assert dump.total == len(dump.goroutines)
    assert not file.gaps
    assert file.lone == 0
    if name != "go1.27-panic":
        assert Counter(one.state for one in dump.goroutines)["IO wait"] == 4
        parked = next(one for one in dump.goroutines if one.state == "select (no cases)")
        assert parked.created_by is not None
        assert parked.created_by.function == "main.main"
        assert parked.created_by.role == "app"


def test_frames_have_functions_files_lines_roles_and_inlining() -> None:
    dump = only(PLAIN)
    reader = next(
        one for one in dump.goroutines if one.created_by and one.created_by.function == "main.main.func1"
    )
    found = frames(dump, reader)
    assert found[0] == SiteFrame(
        function="internal/poll.runtime_pollWait",
        file="/usr/local/go/src/runtime/netpoll.go",
        line=351,
        role="std",
    )
    assert found[-1] == SiteFrame(
        function="main.(*session).read", file="/src/states/main.go", line=20, role="app", inlined=True
    )
    assert [frame.role for frame in found[:-1]] == ["std"] * 6


def test_equal_stacks_are_one_record() -> None:
    dump = only(PLAIN)
    readers = [
        one.stack
        for one in dump.goroutines
        if one.created_by and one.created_by.function == "main.main.func1"
    ]
    assert len(readers) == 3
    assert len(set(readers)) == 1


@pytest.mark.parametrize(("name", "parent"), [("go1.18-debug2", None), ("go1.27-debug2", 1)])
def test_the_parent_is_known_since_go_1_21(name: str, parent: int | None) -> None:
    dump = only(FILES[name])
    assert {
        one.parent_goid
        for one in dump.goroutines
        if one.created_by and one.created_by.function == "main.main"
    } == {parent}


def test_labels_are_read_with_quotes() -> None:
    labelled = next(one for one in only(PLAIN).goroutines if one.labels)
    assert labelled.labels == {"task": "t1", "user name": 'a"b'}
    assert labelled.state == "select"


def test_leaked_goroutines_are_marked() -> None:
    dump = only(FILES["go1.27-leaks"])
    leaked = {one.state for one in dump.goroutines if one.is_leaked}
    assert {"chan send", "sync.Mutex.Lock", "select (no cases)"} <= leaked
    assert not any(one.is_leaked for one in dump.goroutines if one.state in {"IO wait", "sleep", "syscall"})


def test_elided_frames_are_a_truncated_stack() -> None:
    dump = only(PLAIN)
    assert [len(stack.frames) for stack in dump.stacks if stack.truncated] == [100]


def test_a_sigquit_of_go_1_21_gives_the_stacks_that_debug_2_gives() -> None:
    quit_dump, plain = only(FILES["go1.21-sigquit"]), only(FILES["go1.27-debug2"])
    assert quit_dump.cause == "SIGQUIT: quit"
    assert quit_dump.system == 4

    def mutex(dump: Dump) -> list[str]:
        waiter = next(one for one in dump.goroutines if one.state == "sync.RWMutex.RLock")
        return [frame.function for frame in frames(dump, waiter)][:2]

    assert mutex(quit_dump) == mutex(plain) == ["sync.runtime_SemacquireRWMutexR", "sync.(*RWMutex).RLock"]
    assert not any(frame.function == "runtime.goexit" for stack in quit_dump.stacks for frame in stack.frames)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("go1.24-throw", "fatal error: concurrent map writes"),
        ("go1.24-overflow", "runtime: goroutine stack exceeds 1000000000-byte limit"),
        ("go1.27-panic", "panic: runtime error: invalid memory address or nil pointer dereference"),
        ("go1.26-crash", "SIGQUIT: quit"),
        ("go1.27-debug2", ""),
    ],
)
def test_the_cause_is_what_stands_before_the_goroutines(name: str, cause: str) -> None:
    assert only(FILES[name]).cause == cause


def test_a_crash_in_which_each_thread_prints_again_has_each_goroutine_once() -> None:
    dump = only(FILES["go1.26-crash"])
    goids = [one.goid for one in dump.goroutines]
    assert len(goids) == len(set(goids)) == 21


def test_ancestors_give_the_parent() -> None:
    dump = only(FILES["go1.27-ancestors"])
    assert {one.parent_goid for one in dump.goroutines if one.goid != 1} >= {1}
    assert all(frame.function != "[originating" for stack in dump.stacks for frame in stack.frames)
    assert only(FILES["go1.27-ancestors"]).total == only(FILES["go1.27-trimpath"]).total


def test_trimmed_paths_are_told_by_their_packages() -> None:
    text = PLAIN.replace(b"/usr/local/go/src/", b"").replace(b"/src/states/", b"example.com/states/")
    text = text.replace(
        b"main.(*session)", b"states/session.(*T)"
    )  # a package without a dot in its module's path
    dump = only(text)
    roles = {frame.function: frame.role for stack in dump.stacks for frame in stack.frames}
    assert roles["net.(*conn).Read"] == "std"
    assert roles["states/session.(*T).read"] == "app"
    assert roles["main.deep"] == "app"


def test_counts_have_stacks_and_labels_but_no_goroutines() -> None:
    dump = only(FILES["go1.24-debug1"])
    assert (dump.form, dump.total, dump.goroutines) == ("counts", 21, ())
    assert sum(group.count for group in dump.groups) == 21
    largest = max(dump.groups, key=lambda group: group.count)
    assert largest.count == 3
    assert (
        next(stack for stack in dump.stacks if stack.id == largest.stack).frames[-1].function
        == "main.(*session).read"
    )
    assert [group.labels for group in dump.groups if group.labels] == [{"task": "t1", "user name": 'a"b'}]


def test_counts_that_are_cut_off_say_how_many_are_missing() -> None:
    file = parse_dumps(FILES["go1.24-debug1"][:1500])
    assert file.dumps[0].total == 21
    assert file.gaps[0].what.endswith("of 21 goroutines")


@pytest.mark.parametrize(
    ("header", "want"),
    [
        ("goroutine 7 [running]:", {"state": "running"}),
        ("goroutine 7 [IO wait, 5 minutes]:", {"state": "IO wait", "waited_ns": 5 * MINUTE}),
        ("goroutine 7 gp=0xc000002380 m=nil [sleep]:", {"state": "sleep"}),
        ("goroutine 7 gp=0xc000002380 m=3 mp=0xc00007 [syscall, 2 minutes]:", {"state": "syscall", "waited_ns": 2 * MINUTE}),
        ("goroutine 7 [select (no cases), 1200 minutes]:", {"state": "select (no cases)", "waited_ns": 1200 * MINUTE}),
        ("goroutine 7 [chan send (leaked)]:", {"state": "chan send", "is_leaked": True}),
        ("goroutine 7 [chan send (nil chan) (leaked)]:", {"state": "chan send (nil chan)", "is_leaked": True}),
        ("goroutine 7 [runnable (scan)]:", {"state": "runnable"}),
        ("goroutine 7 [chan receive (durable), synctest bubble 4]:", {"state": "chan receive (durable)"}),
        (
            "goroutine 7 [sleep (durable), 3 minutes, locked to thread, synctest bubble 12]:",
            {"state": "sleep (durable)", "waited_ns": 3 * MINUTE, "is_locked": True},
        ),
        ("goroutine 7 [semacquire, locked to thread]:", {"state": "semacquire", "is_locked": True}),
        (
            'goroutine 7 [select (leaked)] {k: v, "a b": "c, \\"d\\"}"}:',
            {"is_leaked": True, "labels": {"k": "v", "a b": 'c, "d"}'}},
        ),
        ("goroutine 7 [???]:", {"state": "???"}),
        ("goroutine 7 [running]:   ", {"state": "running"}),
    ],
)  # fmt: skip
def test_header_forms(header: str, want: dict[str, object]) -> None:
    one = one_of(header)
    assert one.goid == 7
    assert {name: getattr(one, name) for name in want} == want
    assert one.is_locked == want.get("is_locked", False)
    assert one.waited_ns == want.get("waited_ns")
    assert one.stack == 1


def test_unavailable_stacks_are_none() -> None:
    body = "\tgoroutine running on other thread; stack unavailable\ncreated by main.main in goroutine 1\n\t/a.go:3 +0x1\n"
    one = one_of("goroutine 7 [running]:", body)
    assert one.stack is None
    assert one.created_by == SiteFrame(function="main.main", file="/a.go", line=3, role="app")


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ("net.(*conn).Read(0xc0, {0x1})\n\tC:/Go/src/net/net.go:194 +0x45\n", ("net.(*conn).Read", "C:/Go/src/net/net.go", 194)),
        ("main.Map[...]({0x1, 0x2}, 0x3)\n\t/a/m.go:9 +0x1\n", ("main.Map[...]", "/a/m.go", 9)),
        ("gopkg.in/yaml%2ev3.Do(0x1)\n\t/a/m.go:9 +0x1\n", ("gopkg.in/yaml%2ev3.Do", "/a/m.go", 9)),
        ("main.f(0x1)\n\t/a b/m.go:9 +0x1 fp=0xc000 sp=0xc001 pc=0x45\n", ("main.f", "/a b/m.go", 9)),
        ("main.f(0x1)\n        /a/m.go:9 +0x1\n", ("main.f", "/a/m.go", 9)),
        ("main.f(0x1)\n/a/m.go:9 +0x1\n", ("main.f", "/a/m.go", 9)),
        ("type..eq.main.T(0x1)\n\t<autogenerated>:1 +0x1\n", ("type..eq.main.T", "<autogenerated>", 1)),
        ("foo::bar(int, std::string)\n\t/x/y.cc:12 pc=0x45\n", ("foo::bar(int, std::string)", "/x/y.cc", 12)),
        ("non-Go function\n\tpc=0x45\n", ("non-Go function", None, None)),
        ("non-Go function at pc=45\nmain.f()\n\t/a.go:1 +0x1\n", ("main.f", "/a.go", 1)),
        ("non-Go function at pc=0x45\n", ("non-Go function", None, None)),
        ("main.f(...)\n\t?:0 +0x1\n", ("main.f", None, None)),
        ("panic({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:1 +0x1\n", ("panic", "/usr/local/go/src/runtime/panic.go", 1)),
    ],
)  # fmt: skip
def test_frame_forms(body: str, want: tuple[str, str | None, int | None]) -> None:
    dump = only(f"goroutine 7 [select]:\n{body}")
    first = frames(dump, dump.goroutines[0])[0]
    assert (first.function, first.file, first.line) == want


def test_cgo_frames_are_native() -> None:
    dump = only(
        "goroutine 7 [syscall]:\nsleep\n\t/x/y.c:12 pc=0x45\nmain._Cfunc_f()\n\t_cgo_gotypes.go:3 +0x1\n"
    )
    assert [(frame.function, frame.role) for frame in frames(dump, dump.goroutines[0])] == [
        ("sleep", "native"),
        ("main._Cfunc_f", "runtime"),
    ]


def test_lines_of_a_log_in_between_do_not_break_stacks() -> None:
    noise = iter(range(10_000))
    lines = []
    for line in text_of("go1.27-debug2").split("\n"):
        lines.append(line)
        if line.startswith("\t"):
            lines += [
                f"2026/01/02 15:04:05 main.go:12: request {next(noise)} took 3ms",
                '{"level":"info","msg":"a (b)"}',
            ]
    noisy, plain = only("\n".join(lines)), only(PLAIN)
    assert noisy.goroutines == plain.goroutines
    assert noisy.stacks == plain.stacks


def test_double_spaced_lines_are_read() -> None:
    text = (
        "goroutine 7 [select]:\n\nmain.f()\n\n\t/a/b.go:7 +0x1d\n\ncreated by main.main\n\n\t/a/b.go:1 +0x2\n"
    )
    dump = only(text)
    assert frames(dump, dump.goroutines[0])[0].line == 7
    assert dump.goroutines[0].created_by is not None


def test_several_dumps_are_told_apart_by_numbers_and_causes() -> None:
    crash = FILES["go1.24-throw"]
    file = parse_dumps(PLAIN + b"\n" + PLAIN + b"\n" + crash + FILES["go1.24-debug1"])
    assert [(dump.form, dump.total, dump.cause) for dump in file.dumps] == [
        ("stacks", 22, ""),
        ("stacks", 22, ""),
        ("stacks", 22, "fatal error: concurrent map writes"),
        ("counts", 21, ""),
    ]
    assert file.dumps[0].stacks == file.dumps[1].stacks


def test_single_stacks_of_a_log_are_counted_apart() -> None:
    single = (
        "http: panic serving 1.2.3.4:5: boom\ngoroutine 9 [running]:\nruntime/debug.Stack()\n"
        "\t/usr/local/go/src/runtime/debug/stack.go:24 +0x5e\nmain.f()\n\t/a.go:3 +0x1\n\n"
    )
    file = parse_dumps(single.encode() * 3 + PLAIN)
    assert (file.lone, len(file.dumps), file.dumps[0].total) == (3, 1, 22)
    with pytest.raises(Malformed, match="single stacks"):
        parse_dumps(single.encode())


@pytest.mark.parametrize("cut", [40, 300, 700, 3000])
def test_a_dump_that_ends_early_keeps_what_is_whole_and_says_so(cut: int) -> None:
    text = PLAIN[: PLAIN.index(b"\n", len(PLAIN) - cut) - 7]
    file = parse_dumps(text)
    assert 1 <= file.dumps[0].total <= 22
    whole = {one.goid: one for one in only(PLAIN).goroutines}
    for one in file.dumps[0].goroutines[:-1]:
        assert (whole[one.goid].state, whole[one.goid].created_by) == (one.state, one.created_by)
    assert len(file.gaps) <= 1


def test_the_stack_of_a_goroutine_that_is_cut_off_is_truncated() -> None:
    file = parse_dumps(b"goroutine 7 [select]:\nmain.f()\n\t/a/b.go:7 +0x1d\nmain.g(0x")
    assert file.gaps[0].detail == "the file ends in the middle of goroutine 7"
    assert file.dumps[0].stacks[0].truncated


def test_the_release_is_read_from_paths_of_the_toolchain() -> None:
    text = PLAIN.replace(b"/usr/local/go/", b"/go/pkg/mod/golang.org/toolchain@v0.0.1-go1.27.3.linux-amd64/")
    assert parse_dumps(text).go_version == "go1.27.3"
    assert parse_dumps(PLAIN).go_version is None


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"goroutine x [running]:\n", b"hello\nworld\n", b"goroutine 7:\n"]
)
def test_without_a_goroutine_it_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed, match="no goroutine"):
        parse_dumps(content)


def parsed_or_malformed(content: bytes) -> None:
    try:
        file = parse_dumps(content)
    except Malformed:
        return
    for dump in file.dumps:
        known = {stack.id for stack in dump.stacks}
        assert all(one.stack is None or one.stack in known for one in dump.goroutines)
        assert all(group.stack in known for group in dump.groups)


@given(st.binary(max_size=300))
def test_any_bytes_give_dumps_or_malformed(content: bytes) -> None:
    parsed_or_malformed(content)


PIECES = [
    b"goroutine 7 [select]:\n",
    b"goroutine 7 [",
    b"goroutine 99999999999999999999 [x]:\n",
    b"\n\n",
    b"main.f(0x1)\n",
    b"\t/a.go:3 +0x1\n",
    b"created by main.main in goroutine 1\n",
    b"created by ",
    b" in goroutine ",
    b"...3 frames elided...\n",
    b"\tpc=0x1\n",
    b"sleep\n",
    b"[originating from goroutine 3]:\n",
    b"-----\n",
    b"panic: x\n",
    b"goroutine profile: total 3\n",
    b"2 @ 0x1 0x2\n",
    b'# labels: {"a":"b"}\n',
    b"#\t0x1\tmain.f+0x1\t/a.go:3\n",
    b"runtime.goexit({})\n",
    b"2026-01-02T03:04:05Z stderr F ",
    b"\xff\xfe\x00",
    b"\x1b[3m",
    b"\r\n",
    b'{"log":"',
    b"\\n",
    b'] {a: "b\\U0011ffff"}:\n',
    b":99999999999 +0x1\n",
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=40).map(b"".join))
@settings(max_examples=400)
def test_any_order_of_pieces_gives_dumps_or_malformed(content: bytes) -> None:
    parsed_or_malformed(content)


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=150)
def test_real_dumps_with_damage_give_dumps_or_malformed(name: str, data: st.DataObject) -> None:
    content = bytearray(text_of(name).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 400)))
        content[start:end] = data.draw(st.binary(max_size=20))
    parsed_or_malformed(bytes(content))
