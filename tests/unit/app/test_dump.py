"""A dump becomes evidence like any other: judged, compared, without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.app.dump import DumpOptions, dump_evidence, goroutine_text, read_dump, show_dump
from leadline.evidence.kinds import Goroutine, GoroutineGroup, GoRuntime, Stack
from leadline.formats.godump import parse_dumps
from leadline.model import Gap, UsageError

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"
PLAIN = (DUMPS / "go1.27-debug2.txt").read_bytes()
THROW = (DUMPS / "go1.24-throw.txt").read_bytes()


def test_a_dump_gives_runtime_goroutines_and_stacks() -> None:
    evidence = read_dump(DUMPS / "go1.24-throw.txt")
    runtime = evidence.first(GoRuntime)
    assert runtime is not None
    assert (runtime.pid, runtime.source, runtime.passes, runtime.goroutines) == (0, "dump", 1, 22)
    assert runtime.cause == "fatal error: concurrent map writes"
    assert runtime.first_goroutines is None
    assert runtime.running == sum(one.state == "running" for one in evidence.all(Goroutine))
    assert len(evidence.all(Goroutine)) == 22
    assert evidence.get(GoroutineGroup) is None
    assert {one.stack for one in evidence.all(Goroutine)} <= {stack.id for stack in evidence.all(Stack)} | {
        None
    }


def test_counts_leave_goroutines_unobserved() -> None:
    evidence = read_dump(DUMPS / "go1.24-debug1.txt")
    assert evidence.get(Goroutine) is None
    assert sum(group.count for group in evidence.all(GoroutineGroup)) == 21
    with pytest.raises(UsageError, match="only counts"):
        goroutine_text(evidence)


def test_the_last_of_several_dumps_is_compared_with_the_first_of_the_same_process() -> None:
    one = b"goroutine 1 [select]:\nmain.main()\n\t/a.go:1 +0x1\n\n"
    two = b"goroutine 5 [chan send]:\nmain.f()\n\t/a.go:2 +0x1\n\n"
    moved = two.replace(b"chan send", b"IO wait")
    evidence = dump_evidence(parse_dumps(one + two + one + moved + two.replace(b" 5 ", b" 6 ")))
    runtime = evidence.first(GoRuntime)
    assert runtime is not None
    assert (runtime.passes, runtime.first_goroutines, runtime.goroutines) == (2, 2, 3)
    assert {g.goid: (g.moved, g.is_new) for g in evidence.all(Goroutine)} == {
        1: (None, False),  # the same place twice does not prove that it has not run
        5: (True, False),
        6: (None, True),
    }


def test_a_dump_after_a_crash_is_of_another_process() -> None:
    evidence = dump_evidence(parse_dumps(THROW + b"\n" + PLAIN))
    runtime = evidence.first(GoRuntime)
    assert runtime is not None
    assert (runtime.passes, runtime.first_goroutines, runtime.goroutines) == (1, None, 22)
    assert not any(one.is_new for one in evidence.all(Goroutine))
    assert [gap.what for gap in evidence.all(Gap)] == ["1 earlier dump in the file"]


def test_secrets_in_labels_and_in_the_cause_are_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(
        "panic: dial https://bob:hunter2@db.example/x?key=1 failed\n\n"
        'goroutine 1 [select] {"api-key": s3cret, tenant: t1}:\nmain.main()\n\t/a.go:1 +0x1\n'
    )
    evidence = read_dump(path)
    assert evidence.all(Goroutine)[0].labels == {"api-key": "[redacted]", "tenant": "t1"}
    runtime = evidence.first(GoRuntime)
    assert runtime is not None
    assert "hunter2" not in runtime.cause
    assert runtime.cause.startswith("panic: dial https://[redacted]@db.example")


def test_single_stacks_in_the_log_are_a_gap() -> None:
    single = b"goroutine 9 [running]:\nruntime/debug.Stack()\n\t/go/src/runtime/debug/stack.go:24 +0x5e\n\n"
    evidence = dump_evidence(parse_dumps(single + PLAIN))
    assert [gap.what for gap in evidence.all(Gap)] == ["1 single stack in the log around the dump"]


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"missing|directory"):
        read_dump(tmp_path / name)


def test_a_file_without_goroutines_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("nothing here\n")
    with pytest.raises(UsageError) as raised:
        read_dump(tmp_path / "x.log")
    assert "debug=2" in raised.value.remedy


def test_text_is_the_dump_without_the_log_around_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "pod.log"
    path.write_bytes(
        b"".join(b"2026-01-02T03:04:05.1Z stderr F " + line for line in PLAIN.splitlines(keepends=True))
    )
    assert show_dump(path, DumpOptions(view="text")) == 0
    again = parse_dumps(capsys.readouterr().out.encode()).dumps[0]
    assert again.goroutines == parse_dumps(PLAIN).dumps[0].goroutines


def test_two_dumps_from_stdin_are_refused() -> None:
    with pytest.raises(UsageError, match="stdin"):
        show_dump(Path("-"), DumpOptions(older=Path("-")))
