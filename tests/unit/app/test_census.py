"""One look, at processes of one's own: no rights needed."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from leadline.app.census import _read_all, census_all, census_target
from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, DescriptorKind, Origin, ProcessInfo, SocketState, Window
from leadline.host.recorded import RecordedHost
from leadline.model import UsageError
from recorded_machines import Machine

COUNT = 23
ME = os.getpid()


def table() -> set[int]:
    """Return the numbers of our descriptors; the one of the listing itself is gone by then."""
    return {int(path.name) for path in Path("/proc/self/fd").iterdir() if path.exists()}


@pytest.fixture
def held(tmp_path: Path) -> Iterator[set[int]]:
    """Hold 23 files of a name of their own, and yield their numbers."""
    with ExitStack() as stack:
        yield {
            stack.enter_context((tmp_path / f"held-{number}").open("wb")).fileno() for number in range(COUNT)
        }


def test_each_descriptor_of_a_process_is_listed_once(held: set[int], tmp_path: Path) -> None:
    case = census_target(str(ME))
    ours = [one for one in case.evidence.all(Descriptor) if one.name.startswith(f"{tmp_path}/held-")]
    assert {one.fd for one in ours} == held
    assert len(ours) == COUNT
    for one in ours:
        status = os.fstat(one.fd)
        assert (one.pid, one.kind, one.inode, one.device) == (
            ME, DescriptorKind.FILE, status.st_ino, status.st_dev,
        )  # fmt: skip
        assert one.origin in {Origin.BEFORE, Origin.UNKNOWN}


def test_the_table_is_the_kernels(held: set[int]) -> None:
    before = table()
    listed = {one.fd for one in census_target(str(ME)).evidence.all(Descriptor)}
    assert before & table() <= listed


def test_sockets_have_their_state() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        inode = os.fstat(listener.fileno()).st_ino
        case = census_target(str(ME))
        (state,) = (one for one in case.evidence.all(SocketState) if (one.inode, one.when) == (inode, "end"))
        assert (state.state, state.lport) == ("LISTEN", listener.getsockname()[1])
        process = case.evidence.first(ProcessInfo)
        assert process is not None
        assert inode in {one.inode for one in process.listeners}


def test_one_look_finds_no_leak_and_says_what_it_could_not_judge(held: set[int]) -> None:
    case = census_target(str(ME))
    window = case.evidence.first(Window)
    assert window is not None
    assert window.mode == "single"
    assert not [finding for finding in case.diagnosis.findings if finding.code.startswith("FDL1")]
    assert {"FDL101", "FDL103"} <= {verdict.code for verdict in case.diagnosis.not_judged}


def test_a_target_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UsageError):
        census_target("4194305")


def test_all_processes_are_told_fullest_first_with_ours_among_them(held: set[int]) -> None:
    document = json.loads(census_all(as_json=True, verbose=False))
    assert document["schema_version"] == 1
    assert document["unread"] >= 0
    rows = {row["pid"]: row for row in document["processes"]}
    assert rows[ME]["open_descriptors"] >= COUNT
    opens = [row["open_descriptors"] for row in document["processes"]]
    assert opens == sorted(opens, reverse=True)


def test_kernel_threads_are_left_out() -> None:
    pids = {row["pid"] for row in json.loads(census_all(as_json=True, verbose=False))["processes"]}
    assert 2 not in pids or "kthreadd" not in Path("/proc/2/comm").read_text()


def test_the_table_shows_our_process() -> None:
    text = census_all(as_json=False, verbose=True)
    assert re.search(rf"\b{ME}\b", text)
    assert "\x1b" not in text


@pytest.mark.parametrize("moment", ["read_proc", "fd_links", "socket_kinds"])
def test_a_process_that_ends_while_it_is_read_is_left_out_and_the_others_stay(
    tmp_path: Path, moment: str
) -> None:
    machine = Machine(tmp_path)
    for pid in (100, 200, 300):
        machine.process(pid, f"service-{pid}", fds={0: "/dev/null", 3: "socket:[900]"})

    class Ending(RecordedHost):
        """Process 200 ends in the moment in which it is asked for something."""

    def ends_first(host: RecordedHost, *arguments: Any, **more: Any) -> Any:
        if str(arguments[0]).startswith("200") and (tmp_path / "proc" / "200").exists():
            machine.end(200)
        return getattr(RecordedHost, moment)(host, *arguments, **more)

    setattr(Ending, moment, ends_first)
    evidence = Evidence()
    assert _read_all(Ending(tmp_path), evidence) == 0
    assert {process.pid for process in evidence.all(ProcessInfo)} == {9, 100, 300}
    assert {one.pid for one in evidence.all(Descriptor)} == {100, 300}
