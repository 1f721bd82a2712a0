"""Joins: known functions are probed at once, others are learned, busy ones are given up, refusals are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from leadline.contracts.bpf import UprobeAttachment
from leadline.evidence import Evidence
from leadline.model import Gap, NotPermitted
from leadline.probes.trace_descriptors.joins import MAX_HITS_PER_S, MAX_LEARNED, Joins

S = 10**9
IMAGE = (7, 0)


class Symbols:
    """Symbols of a Go program with net/http, and a library function per page of addresses."""

    def __init__(self, known: dict[str, int]) -> None:
        self.known = known

    def main_object(self) -> Any:
        return SimpleNamespace(go=SimpleNamespace(build_info=SimpleNamespace(go_version="go1.26.8")))

    def function_offset(self, name: str) -> int | None:
        return self.known.get(name)

    def function_range(self, name: str) -> tuple[int, int] | None:
        offset = self.known.get(name)
        return None if offset is None else (offset, offset + 16)

    def function_around(self, address: int) -> tuple[str, int, tuple[int, int]] | None:
        page = address // 4096
        if page == 0:
            return "runtime.newproc", 1, (0, 4096)
        return f"lib.dial{page}", page * 10, (page * 4096, page * 4096 + 4096)


class Tracker:
    """Notes what was attached; refuses when told to."""

    def __init__(self, error: NotPermitted | None = None) -> None:
        self.error = error
        self.hits = 0
        self.attached: list[list[int]] = []
        self.removed = 0
        self.starters: list[tuple[int, int]] = []

    def counters(self) -> dict[str, int]:
        return {"count_join_hits": self.hits}

    def add_join_uprobes(self, pid: int, path: str, places: Any, starters: Any) -> UprobeAttachment:
        if self.error is not None:
            raise self.error
        assert (pid, path) == (7, "/proc/7/exe")
        self.attached.append([place.offset for place in places])
        self.starters = list(starters[7])
        return UprobeAttachment("multi", len(places), (len(self.attached),))

    def remove_join_uprobes(self, attached: UprobeAttachment) -> None:
        self.removed += len(attached.links)


HTTP = {"net/http.(*Transport).queueForDial": 100, "net.(*Dialer).DialContext": 200}


def joins(tracker: Tracker, *, is_wanted: bool = True) -> Joins:
    return Joins(cast("Any", tracker), probe="p", is_wanted=is_wanted)


def attached_to(tracker: Tracker, known: dict[str, int] = HTTP) -> tuple[Joins, Any]:
    under_test, symbols = joins(tracker), cast("Any", Symbols(known))
    under_test.attach(IMAGE, symbols, Evidence())
    return under_test, symbols


def test_what_net_http_is_known_for_is_probed_at_once() -> None:
    tracker = Tracker()
    under_test, _ = attached_to(tracker)
    assert tracker.attached == [[100, 200]]
    assert under_test.note == "on: 2 entry probes, hit once per dial"


def test_a_program_that_does_not_dial_gets_no_probe() -> None:
    tracker = Tracker()
    under_test, _ = attached_to(tracker, {})
    assert tracker.attached == []
    assert under_test.note.startswith("not needed")


def test_the_starter_of_a_nameless_place_is_learned_once() -> None:
    tracker = Tracker()
    under_test, symbols = attached_to(tracker)
    for address in (5 * 4096 + 3, 5 * 4096 + 9):
        under_test.learn(IMAGE, symbols, address, S)
    assert tracker.attached[1:] == [[50]]
    assert (5 * 4096, 6 * 4096) in tracker.starters
    assert "learned: lib.dial5" in under_test.note


def test_the_runtime_is_never_probed_and_no_more_than_the_kernel_side_compares() -> None:
    tracker = Tracker()
    under_test, symbols = attached_to(tracker)
    under_test.learn(IMAGE, symbols, 8, S)
    for page in range(1, MAX_LEARNED + 3):
        under_test.learn(IMAGE, symbols, page * 4096, S)
    assert len(tracker.attached) == 1 + MAX_LEARNED


def test_a_probe_at_the_bound_stays_and_one_above_is_given_up() -> None:
    tracker = Tracker()
    under_test, symbols = attached_to(tracker)
    under_test.learn(IMAGE, symbols, 4096, S)
    tracker.hits = 2 * MAX_HITS_PER_S
    under_test.give_up_busy(3 * S)
    assert tracker.removed == 0
    tracker.hits += 1
    under_test.give_up_busy(3 * S)
    assert tracker.removed == 1
    assert "1 given up" in under_test.note


def test_a_refusal_is_told_and_nothing_is_learned_when_switched_off() -> None:
    refusing, evidence = Tracker(NotPermitted("EPERM", remedy="run as root")), Evidence()
    under_test = joins(refusing)
    under_test.attach(IMAGE, cast("Any", Symbols(HTTP)), evidence)
    assert [gap.remedy for gap in evidence.all(Gap)] == ["run as root"]
    assert under_test.note == "could not be attached"
    off = Tracker()
    switched = joins(off, is_wanted=False)
    switched.attach(IMAGE, cast("Any", Symbols(HTTP)), Evidence())
    switched.learn(IMAGE, cast("Any", Symbols(HTTP)), 4096, S)
    assert (off.attached, switched.note) == ([], "switched off")
