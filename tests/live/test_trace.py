"""``leadline trace`` on live processes: it names the line, and whatever becomes of the target there is a report."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leadline import lab
from live_runs import FAST, PLAIN_USER, is_planted, leadline, python_target, say, until, watching

pytestmark = [pytest.mark.live, pytest.mark.slow]

ENOUGH = 80
"""Leaks at 20 per second that make a verdict certain."""
WINDOW = ("-d", "4s")


def held_files(pid: int, name: str) -> int:
    """Return how many descriptors of a process have a name that begins so."""
    count = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(path.readlink()).startswith(name)
        except FileNotFoundError:
            continue
    return count


def test_a_leak_is_named_with_function_file_and_line_and_its_source_is_shown() -> None:
    (want,) = lab.wants("file-leak")
    with lab.start("file-leak", FAST, hold=True) as running:
        with watching(running.pid, *WINDOW, "--json", "--source", lab.PROGRAMS_DIR) as watch:
            running.go()
            done = watch.done()
        assert running.is_alive, "the target goes on"
    assert (done.status, done.loud()) == (1, ["FDL103"])
    (found,) = done.document["findings"]
    assert is_planted(found, "file-leak")
    assert found["kind"] == "file"
    source = {row["line"]: row["text"] for row in found["sites"][0]["source"]}
    assert "os.Open" in source[want.line]
    assert set(source) == set(range(want.line - 2, want.line + 3))


def test_the_count_is_that_of_the_kernel() -> None:
    """23 files are opened and no more: 23 are reported, each with its number."""
    with lab.start("file-leak", ("-rate", "20"), hold=True) as running:
        with watching(running.pid, *WINDOW, "--json") as watch:
            running.go()
            done = watch.done()
        held = held_files(running.pid, "/tmp/leadline-lab-")
    assert held == 23
    (place,) = (one for one in done.document["birthplaces"] if one["alive"] == 23)
    assert (place["births"], place["deaths"], place["kind"]) == (23, 0, "file")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_window_early_and_still_reports(number: signal.Signals) -> None:
    (want,) = lab.wants("pipe-leak")
    with lab.start("pipe-leak", FAST, hold=True) as running:
        with watching(running.pid, "-d", "10m") as watch:
            running.go()
            running.wait_done(ENOUGH)
            watch.interrupt(number)
            done = watch.done()
        assert running.is_alive
    assert done.status == 1
    assert f"{want.function} (main.go:{want.line})" in " ".join(done.out.split())
    assert "ended by Ctrl-C" in done.out
    assert "Traceback" not in done.err


def test_a_target_that_is_killed_is_still_reported_with_its_line() -> None:
    with (
        lab.start("pipe-leak", FAST, hold=True) as running,
        watching(running.pid, "-d", "10m", "--json") as watch,
    ):
        running.go()
        running.wait_done(ENOUGH)
        os.kill(running.pid, signal.SIGKILL)
        done = watch.done()
    assert done.document["window"]["ended_by"] == "target-gone"
    assert done.status in {0, 1}
    assert any(
        is_planted({"sites": [site]}, "pipe-leak")
        for verdict in (*done.document["findings"], *done.document["not_judged"])
        for site in verdict["sites"]
    ), "its place is named although its process is gone"


def test_a_target_that_calls_exec_is_one_process_with_two_programs() -> None:
    after = "import os; [os.open('/dev/zero', os.O_RDONLY) for _ in range(11)]; print('done', flush=True); input()"
    body = f"""
        import os
        input()
        for _ in range(7):
            os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
        os.execv({sys.executable!r}, [{sys.executable!r}, "-c", {after!r}])
    """
    with python_target(body) as target:
        with watching(target.pid, "-d", "10m", "--json") as watch:
            say(target)
            assert target.stdout is not None
            assert target.stdout.readline() == "done\n"
            watch.interrupt()
            done = watch.done()
        assert (held_files(target.pid, "/dev/null"), held_files(target.pid, "/dev/zero")) == (7, 11)
    assert done.document["window"]["ended_by"] == "interrupt"
    assert sum(one["alive"] for one in done.document["birthplaces"] if one["kind"] == "device") == 18


def test_the_children_of_a_target_are_their_own_unless_followed() -> None:
    body = """
        import os
        while input() == "fork":
            child = os.fork()
            if not child:
                kept = [os.open("/dev/zero", os.O_RDONLY) for _ in range(13)]
                print("done", flush=True)
                os.read(0, 1)
                os._exit(0)
    """
    for options, wanted in (((), 0), (("--follow",), 13)):
        with python_target(body) as target:
            with watching(target.pid, "-d", "10m", "--json", *options) as watch:
                say(target, "fork")
                assert target.stdout is not None
                assert target.stdout.readline() == "done\n"
                watch.interrupt()
                done = watch.done()
            say(target, "end")
        births = sum(one["births"] for one in done.document["birthplaces"] if one["kind"] == "device")
        assert births == wanted
        assert done.document["window"]["mode"] == "bpf"


def test_a_target_in_other_namespaces_is_named_and_its_sockets_are_seen() -> None:
    """Its own pid, mount and network namespace, as in a container: another pid inside, another loopback."""
    wrap = ("unshare", "-fpmn", "--mount-proc", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    with lab.start("http-body-leak", FAST, hold=True, alone=True, wrap=wrap) as running:
        assert Path(f"/proc/{running.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        assert Path(f"/proc/{running.pid}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()
        with watching(running.pid, *WINDOW, "--json") as watch:
            running.go()
            done = watch.done()
    assert (done.status, "FDL101" in done.loud()) == (1, True)
    (found,) = (one for one in done.document["findings"] if one["code"] == "FDL101")
    assert is_planted(found, "http-body-leak")
    (place,) = (one for one in done.document["birthplaces"] if one["role"] == "dialed")
    assert place["peers"], "peers come from the sockets of its namespace"


def test_watching_stops_by_itself_when_all_is_decided() -> None:
    with (
        lab.start("file-leak", FAST, hold=True) as running,
        watching(running.pid, "-d", "50s", "--until-sure", "--json") as watch,
    ):
        running.go()
        done = watch.done()
    assert done.document["window"]["ended_by"] == "sure"
    assert done.loud() == ["FDL103"]


# -- without rights ------------------------------------------------------------------------------------------------------


def test_without_rights_a_process_of_others_is_refused_with_remedies() -> None:
    with lab.start("file-leak", FAST) as running:
        done = leadline("trace", running.pid, "-d", "1s", wrap=PLAIN_USER)
    assert done.status == 2
    assert "Traceback" not in done.out + done.err
    assert "root" in done.out + done.err


def test_without_rights_growth_of_ones_own_process_is_found_and_the_loss_is_told() -> None:
    with (
        lab.start("pipe-leak", FAST, hold=True, wrap=PLAIN_USER) as running,
        watching(running.pid, "-d", "12s", "--json", wrap=PLAIN_USER) as watch,
    ):
        running.go()
        done = watch.done()
    document = done.document
    assert document["window"]["mode"] == "snapshots"
    assert document["gaps"]
    assert all(gap["remedy"] for gap in document["gaps"] if gap["reason"] == "not-permitted")
    assert (done.status, done.loud()) == (1, ["FDL110"])
    assert "FDL104" in {verdict["code"] for verdict in document["not_judged"]}
    assert "Traceback" not in done.err


# -- hostile targets -----------------------------------------------------------------------------------------------------


def test_what_a_target_calls_itself_and_its_files_never_reaches_the_terminal_raw(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J"
    folder = tmp_path / f"d{evil}\u202e"
    folder.mkdir()
    program = tmp_path / f"p{evil}"
    shutil.copy("/bin/sh", program)
    body = f"""
        i=0
        read word
        while [ $i -lt 9 ]; do
          for n in 3 4 5 6 7 8 9; do eval "exec $n>'{folder}/f$i$n'"; done
          i=$((i+1))
        done
        echo done
        read word
    """
    target = subprocess.Popen(
        [str(program), "-c", body], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        outputs = {name: tmp_path / f"out.{name}" for name in ("html", "sarif", "junit", "folded")}
        with watching(
            target.pid, "-d", "10m", "-v", "--html", outputs["html"], "--sarif", outputs["sarif"],
            "--junit", outputs["junit"], "--flame", outputs["folded"], "--github",
        ) as watch:  # fmt: skip
            say(target)
            assert target.stdout is not None
            assert target.stdout.readline() == "done\n"
            watch.interrupt()
            done = watch.done()
    finally:
        target.kill()
        target.communicate()
    written = {name: path.read_text() for name, path in outputs.items()}
    for where, text in {"stdout": done.out, "stderr": done.err, **written}.items():
        for character in "\x1b\x07\u202e":
            assert character not in text, f"{character!r} in {where}"
    assert "owned" in done.out, "it is shown, made harmless"
    assert done.status in {0, 1}


def test_a_target_that_ends_before_anything_was_seen_is_an_error_not_a_crash() -> None:
    with python_target("input()") as target:
        say(target)
        target.wait(20)
        pid = target.pid
    done = leadline("trace", pid, "-d", "1s")
    assert done.status == 2
    assert done.err.startswith("leadline: ")
    assert "Traceback" not in done.err


def test_a_target_without_any_descriptor_traffic_is_cleared() -> None:
    with python_target("input()") as target:
        done = leadline("trace", target.pid, "-d", "1s", "--json")
        until(lambda: target.poll() is None, "the target lives")
    assert (done.status, done.loud()) == (0, [])
    assert done.document["self"]["births_seen"] == 0
