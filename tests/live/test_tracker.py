"""The tracker on Go: dials that a helper goroutine makes are joined to the goroutine that asked, others are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadline.formats.elfimage import ElfImage
from leadline.formats.gobinary import GoBinary, open_go_binary
from leadline.formats.gooffsets import lookup
from leadline.host.bpf import LiveBpf
from leadline.lab import Running, start
from leadline.probes.trace_descriptors.surface import owner_goid, syscall_name
from leadline.probes.trace_descriptors.tracker import ASKERS, RELAYS, STARTERS, GoOffsets, JoinPlace, Tracker

pytestmark = [pytest.mark.live, pytest.mark.slow]

RATE = ("-rate", "40")


def offsets_of(binary: GoBinary) -> GoOffsets:
    assert binary.build_info is not None
    table = lookup(binary.build_info.go_version, os.uname().machine)
    assert table is not None
    parent = table["g.parentGoid"] or 0
    return GoOffsets(
        table.need("g.goid"), parent, table.need("g.gopc"), table.need("g.sched") + table.need("gobuf.g")
    )


@contextmanager
def tracked(running: Running) -> Iterator[tuple[Tracker, GoBinary]]:
    binary = open_go_binary(ElfImage(running.binary.read_bytes()))
    assert binary is not None
    with Tracker(LiveBpf()) as tracker:
        tracker.start([running.pid], go=offsets_of(binary))
        places = [
            JoinPlace(offset, relays=relays)
            for names, relays in ((ASKERS, False), (RELAYS, True))
            for name in names
            if (offset := binary.function_offset(name)) is not None
        ]
        ranges = [(found.entry, found.end) for name in STARTERS if (found := binary.find(name)) is not None]
        assert tracker.add_join_uprobes(
            running.pid, f"/proc/{running.pid}/exe", places, {running.pid: ranges}
        ).places == len(places)
        yield tracker, binary


def functions(binary: GoBinary, ips: tuple[int, ...]) -> list[str]:
    """Return function names, leaf first; return addresses belong to the instruction before."""
    return [
        frame.function
        for index, address in enumerate(ips)
        for frame in binary.table.frames_at(address - (index > 0))
    ]


def test_a_dial_of_the_http_client_is_joined_to_the_goroutine_that_asked() -> None:
    with start("http-body-leak", RATE, hold=True) as running, tracked(running) as (tracker, binary):
        running.go()
        running.wait_done(23)
        dials = [
            row
            for row in tracker.sites()
            if syscall_name(int(row["nr"])) == "socket" and row["births"] > row["deaths"]
        ]
        assert sum(int(row["births"]) - int(row["deaths"]) for row in dials) == 23
        for row in dials:
            own = functions(binary, tracker.stack_ips(int(row["stack"])))
            asked = functions(binary, tracker.stack_ips(int(row["caller1"])))
            assert "net/http.(*Transport).dialConn" in own
            assert not [name for name in own if name.startswith("main.")]
            assert asked[0] == "net/http.(*Transport).queueForDial"
            assert asked[1] == "net/http.(*Transport).getConn"  # the frame an unwinder would leave out
            assert "main.refreshPrices" in asked
            assert asked[-1] == "runtime.goexit"
        counters = tracker.counters()
        assert counters["count_join_used"] >= 23
        assert not {
            name: count for name, count in counters.items() if name.startswith(("lost_", "failed_")) and count
        }
        found = tracker.reconcile(running.pid)
        assert found.stale == found.unknown == ()


def test_what_a_goroutine_does_itself_has_no_caller() -> None:
    with start("file-leak", RATE, hold=True) as running, tracked(running) as (tracker, binary):
        running.go()
        running.wait_done()
        leaked = [row for row in tracker.sites() if row["births"] - row["deaths"] == 23]
        assert len(leaked) == 1
        names = functions(binary, tracker.stack_ips(int(leaked[0]["stack"])))
        assert [name for name in names if name.startswith("main.")]
        assert names[-1] == "runtime.goexit"
        assert (leaked[0]["caller1"], leaked[0]["caller2"]) == (0, 0)
        lives = tracker.alive()
        assert all(owner_goid(int(owner)) for owner in lives["owner"][lives["site"] == leaked[0]["id"]])


def test_tracing_survives_a_change_of_pid_namespace() -> None:
    """A process in a pid namespace of its own is named by the pid that we see, and its table is read."""
    wait = "sys.stdin.readline()"
    script = (
        f"import os, sys; print(os.getpid(), flush=True); {wait}; os.pipe(); print(2, flush=True); {wait}"
    )
    with subprocess.Popen(
        ["/usr/bin/unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as outer:
        assert outer.stdin is not None
        assert outer.stdout is not None
        assert outer.stdout.readline() == "1\n"
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        pid = json.loads(children[0])
        with Tracker(LiveBpf()) as tracker:
            tracker.start([pid])
            outer.stdin.write("\n")
            outer.stdin.flush()
            outer.stdout.readline()
            assert tracker.pid_of(tracker.tgid_of(pid)) == pid
            assert int(tracker.sites()["births"].sum()) == 2
        outer.stdin.write("\n")
