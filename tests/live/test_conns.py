"""``leadline conns`` on live processes: exact counts, cross-checked with what the kernel lists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leadline import lab
from live_runs import PLAIN_USER, leadline, python_target, until

pytestmark = [pytest.mark.live, pytest.mark.slow]


def is_of_kernel(pid: int) -> bool:
    """Return whether a process has no command line: threads of the kernel have none."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes() and os.geteuid() == 0
    except OSError:
        return False


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start leadline and leave it running."""
    return subprocess.Popen(
        [sys.executable, "-m", "leadline", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def established(pid: int) -> int:
    """Return the established TCP connections of a process as ``ss`` lists them."""
    listed = subprocess.run(
        ["ss", "-Htnp", "state", "established"], capture_output=True, text=True, check=True
    )
    return sum(f"pid={pid}," in line for line in listed.stdout.splitlines())


def test_held_bodies_are_counted_exactly_and_their_host_is_the_one_of_the_url() -> None:
    with lab.start("http-body-leak", ("-rate", "50")) as running:
        running.wait_done()
        done = leadline("conns", running.pid, "--json")
        assert established(running.pid) == 23
    rows = done.document["connections"]
    held = [row for row in rows if row["activity"] == "body-held"]
    assert (done.status, len(held)) == (0, 23)
    assert {row["host"] for row in held} == {f"http://{held[0]['peer']}"}
    assert {row["protocol"] for row in held} == {"http/1.1"}
    assert len({row["goid"] for row in held}) == 23
    assert done.document["gaps"] == []


def test_the_heap_is_searched_when_asked_and_names_the_holder() -> None:
    with lab.start("accept-leak", ("-rate", "50")) as running:
        running.wait_done()
        plain = leadline("conns", running.pid, "--json")
        searched = leadline("conns", running.pid, "--retention", "--json")
    left = [row for row in plain.document["connections"] if row["state"] == "CLOSE_WAIT"]
    assert len(left) == 23
    assert {(row["activity"], row["reached"]) for row in left} == {("no-goroutine", "")}
    kept = [row for row in searched.document["connections"] if row["state"] == "CLOSE_WAIT"]
    assert len(kept) == 23
    assert all("*net.TCPConn" in row["reached"] for row in kept), {row["reached"] for row in kept}


def test_a_program_in_another_language_shows_the_kernels_side_and_says_so() -> None:
    body = """
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        input()
    """
    with python_target(body) as process:
        done = leadline("conns", process.pid)
    assert done.status == 2
    assert "LISTEN" in done.out
    assert "not a Go program" in done.out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give rights up")
def test_without_rights_it_says_what_is_missing() -> None:
    with lab.start("idle-websockets", ()) as running:
        done = leadline(
            "conns", running.pid, wrap=("setpriv", "--reuid=65534", "--clear-groups", *PLAIN_USER[1:])
        )
    assert done.status == 2
    assert "CAP_SYS_PTRACE" in done.out + done.err


def test_an_unknown_order_is_refused_with_those_there_are() -> None:
    done = leadline("conns", os.getpid(), "--sort", "colour")
    assert done.status == 2
    assert "activity" in done.err


def test_watching_ends_with_its_target_though_the_parent_has_not_noticed() -> None:
    with (
        python_target("input()") as process,
        start("conns", process.pid, "--watch", "--every", "100ms") as watch,
    ):
        assert watch.stdout is not None
        lines = watch.stdout
        until(lambda: "connections" in lines.readline(), "the first look")
        process.kill()
        _, err = watch.communicate(timeout=20)
    assert watch.returncode == 2
    assert f"process {process.pid} has ended" in err


@pytest.mark.skipif(not is_of_kernel(2), reason="process 2 is no thread of the kernel here")
def test_a_thread_of_the_kernel_lacks_a_program_and_no_right() -> None:
    done = leadline("conns", 2, "--json")
    assert done.status == 2
    assert not [gap for gap in done.document["gaps"] if gap["reason"] == "not-permitted"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give rights up")
def test_connections_that_cannot_be_seen_are_not_called_none() -> None:
    may_read_memory = (
        "--inh-caps=-all,+sys_ptrace",
        "--ambient-caps=+sys_ptrace",
        "--bounding-set=-all,+sys_ptrace",
    )
    with lab.start("idle-websockets", ()) as running:
        done = leadline(
            "conns", running.pid, wrap=("setpriv", "--reuid=65534", "--clear-groups", *may_read_memory)
        )
    assert done.status == 2
    assert "0 connections" not in done.out
    assert "could not be seen" in done.out
    assert "CAP_DAC_READ_SEARCH" in done.out


def test_too_little_memory_is_no_fault_of_leadline() -> None:
    with python_target("input()") as process:
        done = leadline("conns", process.pid, "--json", wrap=("prlimit", f"--as={250 << 20}"))
    gaps = done.document["gaps"]
    assert [gap for gap in gaps if "too little memory" in gap["detail"] and "ulimit" in gap["remedy"]]
    assert not [gap for gap in gaps if "fault of leadline" in gap["remedy"]]
