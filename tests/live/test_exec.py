"""``leadline exec``: a command under watch from its first instruction on, judged when it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from leadline import lab
from leadline.lab import find_go
from leadline.model import Severity
from live_runs import Done, is_planted, leadline

pytestmark = [pytest.mark.live, pytest.mark.slow]

SHORT = ("-duration", "600ms")


def run(*command: object, options: tuple[object, ...] = ("--json",), stdin: str | None = None) -> Done:
    return leadline("exec", *options, "--", *command, stdin=stdin)


def document(done: Done, tmp_path: Path) -> Done:
    """Return the run with its document, which goes to stdout behind what the command itself printed."""
    return Done(done.status, done.out[done.out.index('{\n  "schema_version"') :], done.err)


def program(name: str) -> Path:
    return lab.build(name)


def clean(status: int) -> tuple[str, ...]:
    return ("sh", "-c", f"exit {status}")


def test_a_leak_in_a_short_run_fails_it_and_is_named(tmp_path: Path) -> None:
    done = document(run(program("pipe-leak"), "-rate", "200", *SHORT), tmp_path)
    assert done.status == 1
    loud = [one for one in done.document["findings"] if one["severity"] != Severity.INFO]
    assert loud
    assert is_planted(loud[0], "pipe-leak")
    assert loud[0]["kind"] == "pipe"
    assert {one["count"] for one in loud} == {23}


def test_a_fixed_program_passes(tmp_path: Path) -> None:
    done = document(run(program("temp-files"), "-rate", "200", *SHORT), tmp_path)
    assert (done.status, done.loud()) == (0, [])
    births = [one for one in done.document["birthplaces"] if one["kind"] == "file"]
    assert sum(one["births"] for one in births) >= 20, "its files were seen"


AT_ONCE = """package main

import "os"

var keep []*os.File

func leak() {
	file, err := os.Open(os.Args[0])
	if err != nil {
		panic(err)
	}
	keep = append(keep, file)
}

func main() {
	for i := 0; i < 23; i++ {
		leak()
	}
}
"""


def test_a_program_that_ends_at_once_is_named_each_time(tmp_path: Path) -> None:
    """It lives for some milliseconds, so that it ends while its symbols are opened, in ever different steps of that."""
    (tmp_path / "main.go").write_text(AT_ONCE)
    binary = tmp_path / "at-once"
    build = [str(find_go().path), "build", "-ldflags=-s -w", "-o", str(binary), str(tmp_path / "main.go")]
    subprocess.run(
        build,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "GOFLAGS": "-buildvcs=false", "GO111MODULE": "off"},
    )
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: run(str(binary), options=()), range(18)))
    assert [done.status for done in runs] == [1] * 18
    for done in runs:
        assert "23 files opened at main.leak (main.go:8)" in done.err + done.out, done


@pytest.mark.parametrize("status", [0, 1, 7, 125])
def test_the_exit_status_is_the_commands_own(status: int) -> None:
    done = run(*clean(status))
    assert done.status == status
    assert (f"ended with exit status {status}" in done.err) is (status != 0)


def test_a_signal_is_told_as_a_shell_tells_it() -> None:
    assert run("sh", "-c", "kill -TERM $$").status == 128 + signal.SIGTERM


def test_a_leak_outranks_the_commands_status() -> None:
    """A test run that fails with 7 and leaks is a leak for leadline; what the tests said is on their own stderr."""
    command = f"{program('pipe-leak')} -rate 200 {' '.join(SHORT)}; exit 7"
    done = run("sh", "-c", command, options=())
    assert done.status == 1
    assert "exit status 7" in done.err
    assert leadline("exec", "--exit-zero", "--", "sh", "-c", command).status == 7


def test_input_and_output_belong_to_the_command() -> None:
    done = run("sh", "-c", "read word; echo got $word; echo said >&2", options=(), stdin="this\n")
    assert done.out == "got this\n"
    assert done.err.startswith("said\n")
    assert "leadline: sh (pid" in done.err, "the report follows on stderr"
    assert done.status == 0


def test_json_goes_to_stdout_behind_the_commands_output(tmp_path: Path) -> None:
    done = run("sh", "-c", "echo first")
    assert done.out.startswith("first\n{")
    assert document(done, tmp_path).document["schema_version"]
    assert done.err == ""


def test_the_environment_and_the_directory_are_the_callers(tmp_path: Path) -> None:
    done = leadline("exec", "--", "sh", "-c", "pwd; echo $MARK", cwd=tmp_path, environment={"MARK": "kept"})
    assert done.out == f"{tmp_path}\nkept\n"


def test_no_descriptor_of_leadline_reaches_the_command() -> None:
    done = run("sh", "-c", "ls /proc/self/fd | wc -l", options=())
    assert int(done.out) == 4, "the three streams, and the one of ls"


def test_children_are_watched_and_named_though_they_live_for_a_moment(tmp_path: Path) -> None:
    binary = program("pipe-leak")
    done = document(run("sh", "-c", f"{binary} -rate 500 -duration 300ms > /dev/null & wait; true"), tmp_path)
    assert done.status == 1
    loud = [one for one in done.document["findings"] if one["severity"] != "info"]
    assert is_planted(loud[0], "pipe-leak")
    assert "pipe-leak" in {child["comm"] for child in done.document["children"]}


def test_a_server_is_ended_after_the_duration_and_judged(tmp_path: Path) -> None:
    done = document(
        run(program("pipe-leak"), "-n", "0", "-rate", "20", options=("--json", "-d", "4s")), tmp_path
    )
    assert (done.status, done.loud()) == (1, ["FDL104"])
    assert done.document["window"]["ended_by"] == "duration"
    assert 3.5 <= done.document["window"]["duration_ns"] / 1e9 <= 6
    pid = done.document["target"]["pid"]
    assert not Path(f"/proc/{pid}").exists(), "nothing is left running"


def test_what_is_merely_open_at_exit_is_listed_and_fails_only_when_strict(tmp_path: Path) -> None:
    command = (program("pipe-leak"), "-n", "3", "-rate", "200", "-duration", "300ms")
    mild = document(run(*command), tmp_path)
    assert (mild.status, mild.loud()) == (0, [])
    (listed,) = (one for one in mild.document["findings"] if one["code"] == "FDL120")
    assert (listed["severity"], listed["count"]) == ("info", 3)
    assert run(*command, options=("--strict",)).status == 1
    assert run(*clean(0), options=("--strict",)).status == 0


def test_reports_for_machines_are_written_and_valid(tmp_path: Path) -> None:
    sarif, junit = tmp_path / "leaks.sarif", tmp_path / "leaks.xml"
    done = run(
        program("pipe-leak"), "-rate", "200", *SHORT,
        options=("--sarif", sarif, "--junit", junit, "--github", "--source", lab.PROGRAMS_DIR),
    )  # fmt: skip
    (want,) = lab.wants("pipe-leak")[:1]
    assert done.status == 1
    assert "::warning " in done.out or "::error " in done.out
    results = json.loads(sarif.read_text())["runs"][0]["results"]
    lines = {one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in results}
    assert want.line in lines
    suite = ET.parse(junit).getroot()
    failures = list(suite.iter("failure"))
    assert failures
    assert any("main." in (failure.text or "") + str(failure.attrib) for failure in failures)


@pytest.mark.parametrize("command", ["no-such-program-in-path", "/no/such/program"])
def test_a_command_that_is_not_there_is_an_error_with_a_message(command: str) -> None:
    done = run(command)
    assert done.status == 2
    assert command in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_a_command_that_cannot_be_run_is_an_error_with_a_message(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    done = run(broken)
    assert done.status == 2
    assert "leadline: " in done.err
    assert "Traceback" not in done.err


def test_the_first_instruction_is_watched(tmp_path: Path) -> None:
    """Descriptors that are opened before main are counted: the program's libraries, by its loader."""
    done = document(run(sys.executable, "-c", "pass"), tmp_path)
    births = sum(one["births"] for one in done.document["birthplaces"])
    assert births >= 5
    assert done.document["window"]["mode"] == "bpf"
    assert done.document["target"]["comm"].startswith(os.path.basename(sys.executable)[:6])  # noqa: PTH119  a name
