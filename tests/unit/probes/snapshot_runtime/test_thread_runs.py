"""Switches of threads in system calls."""

from __future__ import annotations

import struct

from leadline.model import TargetGone
from leadline.probes.snapshot_runtime.evidence import moved_since
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.process import open_process
from leadline.probes.snapshot_runtime.thread_runs import switches_of
from simulated_go import PID, Parked, SimulatedGo

MAIN = Parked(1, ("runtime.gopark", "main.main", "runtime.main"), start="runtime.main")
THREAD = 0xD000000000


class Switching(SimulatedGo):
    """Its thread was switched so often."""

    switches = 41

    def read_proc(self, path: str, *, limit_bytes: int = 0) -> bytes:
        if path.endswith("/status") and self.switches < 0:
            raise TargetGone("the thread has ended")
        told = super().read_proc(path, limit_bytes=limit_bytes)
        if path.endswith("/status"):
            told += f"voluntary_ctxt_switches:\t{self.switches}\nnonvoluntary_ctxt_switches:\t1\n".encode()
        return told


def calling() -> Switching:
    target = Switching(
        [MAIN, Parked(7, ("main.read", "main.worker"), status=3, fields={"m": THREAD}), Parked(8)]
    )
    thread = bytearray(1024)
    struct.pack_into("<Q", thread, target.offsets.need("m.procid"), PID)
    target.memory[THREAD] = thread
    return target


def test_threads_in_calls_are_counted_and_others_are_not() -> None:
    target = calling()
    process = open_process(target.host, PID)
    look = take_look(process)
    assert switches_of(target.host, process, look) == {7: 42}
    target.switches = -1
    assert switches_of(target.host, process, look) == {}
    struct.pack_into("<Q", target.memory[THREAD], target.offsets.need("m.procid"), 1 << 40)
    assert switches_of(target.host, process, look) == {}


def test_a_thread_that_was_not_switched_has_not_left_its_call() -> None:
    target = calling()
    process = open_process(target.host, PID)
    first, last = take_look(process), take_look(process)
    index = last.index_of_goid(7)
    assert index is not None
    assert moved_since(last, first, minor=27)[1][index] == -1
    first.switches.update({7: 42})
    last.switches.update({7: 42})
    assert moved_since(last, first.moment(), minor=27)[1][index] == 0
    last.switches.update({7: 43})
    assert moved_since(last, first.moment(), minor=27)[1][index] == -1
