"""``leadline goroutines`` on real processes, beside what the program says of itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from house.command import call
from leadline.formats.godump import parse_dumps
from leadline.lab import find_go
from live_runs import PLAIN_USER, leadline
from states_program import States, build_states, serving

pytestmark = [pytest.mark.live, pytest.mark.slow]

SYSTEM = re.compile(r"net/http\.\(\*conn\)\.serve|net/http\.\(\*connReader\)")


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[States]:
    with serving(build_states(tmp_path_factory.mktemp("states"))) as running:
        yield running


def test_text_lists_the_goroutines_that_the_program_lists_itself(
    states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(capsys, "goroutines", states.pid, "--text")
    assert done.status == 0
    with urllib.request.urlopen(f"{states.url}/debug/pprof/goroutine?debug=2") as answer:
        theirs = parse_dumps(answer.read()).dumps[0]
    ours = parse_dumps(done.out.encode()).dumps[0]
    steady = {
        "IO wait",
        "sleep",
        "select",
        "chan receive",
        "chan send",
        "syscall",
        "sync.Mutex.Lock",
        "select (no cases)",
    }
    # The answer itself is served by goroutines that were not there before.
    stacks = {stack.id: stack.frames for stack in theirs.stacks}
    wanted = {
        (one.goid, one.state, one.parent_goid)
        for one in theirs.goroutines
        if one.state in steady
        and not any(SYSTEM.match(frame.function) for frame in stacks.get(one.stack or 0, ()))
    }
    assert len(wanted) >= 15
    assert wanted <= {(one.goid, one.state, one.parent_goid) for one in ours.goroutines}


def test_groups_name_the_place_and_the_descriptors(
    states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(capsys, "goroutines", states.pid, "-n", "0")
    assert done.status == 0
    assert re.search(r"^ +3  IO wait  waits until a descriptor", done.out, re.MULTILINE)
    assert "main.(*session).read  main.go:20" in done.out
    assert re.search(r"^ +fds +\d+, \d+, \d+$", done.out, re.MULTILINE)


def test_by_fd_names_sockets_readers_and_deadlines(
    states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(capsys, "goroutines", states.pid, "--by-fd")
    assert done.status == 0
    assert done.out.count("ESTABLISHED") == 3
    assert re.search(
        r"reads    goroutine \d+ \[IO wait\].*\(no deadline\)\n +main\.\(\*session\)\.read", done.out
    )
    assert re.search(r"pipe:\[\d+\]\n(?: .*\n)*? +blocks   goroutine \d+ \[syscall\]", done.out)


def test_full_notes_the_descriptor_behind_the_header(
    states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(capsys, "goroutines", states.pid, "--full")
    assert re.search(
        r"^goroutine \d+ \[IO wait\]:  # reads fd \d+, tcp 127\.0\.0\.1:\d+ - 127\.0\.0\.1:\d+, ESTABLISHED",
        done.out,
        re.MULTILINE,
    )


def test_two_looks_tell_parked_from_new(states: States, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(call(capsys, "goroutines", states.pid, "--interval", "300ms", "--json").out)
    assert document["runtime"]["passes"] == 2
    readers = next(group for group in document["groups"] if group["count"] == 3)
    assert (readers["parked"], readers["moved"], readers["new"]) == (3, 0, 0)


def test_a_profile_and_a_case_are_written_and_read_again(
    states: States, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile, case = tmp_path / "g.pb.gz", tmp_path / "g.leadline"
    done = call(capsys, "goroutines", states.pid, "--pprof", profile, "-o", case)
    assert done.status == 0
    environment = os.environ | {"PPROF_TMPDIR": str(tmp_path), "GOTOOLCHAIN": "local"}
    top = subprocess.run(
        [find_go().path, "tool", "pprof", "-top", "-cum", profile],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert "main.(*session).read" in top.stdout
    assert json.loads(call(capsys, "replay", case, "--json").out)["target"]["pid"] == states.pid
    again = call(capsys, "goroutines", states.pid, "--pprof", profile)
    assert (again.status, "--force" in again.err) == (2, True)


def test_the_program_can_be_asked_itself_and_told_apart(
    states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(capsys, "goroutines", "--from-pprof", states.url)
    assert done.status == 0
    assert "the process's own net/http/pprof" in done.out
    assert "main.(*session).read" in done.out


def test_leaked_goroutines_are_marked_after_the_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(build_states(tmp_path)) as fresh:  # a leak profile marks goroutines in the program for good
        before = json.loads(call(capsys, "goroutines", fresh.pid, "--json").out)
        done = call(capsys, "goroutines", fresh.pid, "--leaks-from-pprof", fresh.url, "--json")
    assert not any(group["leaked"] for group in before["groups"])
    assert "garbage collection" in done.err
    leaked = {group["state"] for group in json.loads(done.out)["groups"] if group["leaked"]}
    if find_go().release >= (1, 27):
        assert {"chan send", "select (no cases)"} <= leaked
        assert "IO wait" not in leaked
    else:
        assert not leaked
        assert json.loads(done.out)["gaps"][0]["what"] == "goroutines that can never go on"


def test_without_the_right_it_says_so_and_exits_2(states: States) -> None:
    user = (*PLAIN_USER, "--reuid", "65534", "--clear-groups")
    done = leadline("goroutines", states.pid, wrap=user)
    assert done.status == 2
    assert "Traceback" not in done.err + done.out
