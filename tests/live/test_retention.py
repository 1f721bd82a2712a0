"""What keeps connections reachable, against a program that keeps them in known ways, and against its garbage collector."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest

import retention_program as programs
from leadline.evidence.kinds import Retention
from leadline.model import Gap, Unsupported
from leadline.probes.snapshot_runtime.heap_index import build_index
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.memory import ProcessMemory
from leadline.probes.snapshot_runtime.retention import reach, retain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leadline.probes.snapshot_runtime.looks import Words

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads a process's memory"),
]

COUNT = 60
THOROUGH = os.environ.get("LEADLINE_ALL_GO", "") not in {"", "0"}
NAMED = (
    "map",
    "slice",
    "list",
    "closure",
    "channel",
    "syncmap",
    "interface",
    "context",
    "file",
    "tls",
    "half-tls",
    "raw-tls",
)
IN_GOROUTINES = ("goroutine", "send", "defer")
UNREACHABLE = ("dropped", "ring")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((go, strip), id=f"{go.version}-{'stripped' if strip else 'plain'}")
        for go in programs.toolchains()
        for strip in (False, True)
    ],
)
def binary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    go, strip = request.param
    return programs.build(go, tmp_path_factory.mktemp("keeper"), strip=strip), strip


@pytest.fixture
def keeper(binary: tuple[Path, bool]) -> Iterator[programs.Keeper]:
    with programs.keeping(binary[0], COUNT) as running:
        yield running


def search(keeper: programs.Keeper, fds: list[int]) -> tuple[dict[int, Retention], list[Gap]]:
    process = keeper.opened()
    gaps: list[Gap] = []
    return {one.fd: one for one in retain(process, take_look(process), fds, gaps=gaps)}, gaps


def right_roots(
    keeper: programs.Keeper, found: dict[int, Retention], *, strip: bool
) -> dict[str, tuple[int, int]]:
    """Return how many first roots are right, of how many, by way."""
    counts = {}
    for name in (*NAMED, *IN_GOROUTINES):
        way = keeper.ways[name]
        right = 0
        for place, fd in enumerate(way.fds):
            one = found.get(fd)
            root = one.roots[0] if one is not None and one.roots else None
            if root is None:
                continue
            if name in IN_GOROUTINES:
                is_right = root.kind == "goroutine" and root.goid == way.goids[place]
            elif strip:
                is_right = root.kind == "global" and not root.name and way.function in root.users
            else:
                is_right = root.kind == "global" and root.name == way.variable
            right += is_right
        counts[name] = right, len(way.fds)
    return counts


def test_roots_and_verdicts_agree_with_the_program_and_its_collector(
    keeper: programs.Keeper, binary: tuple[Path, bool]
) -> None:
    before = keeper.sockets()
    found, gaps = search(keeper, programs.every(keeper))
    counts = right_roots(keeper, found, strip=binary[1])
    for name, (right, total) in counts.items():
        assert right >= 0.95 * total, f"{name}: {right} of {total} roots are right"
    for name in UNREACHABLE:
        verdicts = Counter(found[fd].verdict if fd in found else "-" for fd in keeper.ways[name].fds)
        assert verdicts["unreachable"] >= 0.95 * len(keeper.ways[name].fds), f"{name}: {verdicts}"
    for name in ("timer", "finalizer"):
        assert {found[fd].verdict for fd in keeper.ways[name].fds} == {"reachable"}
    assert not any(fd in found for fd in keeper.ways["behind"].fds), "two collections are needed: undecided"
    assert len(gaps) == 1
    assert "finalizer" in gaps[0].detail
    assert keeper.ask("gc") == "collected"
    after = keeper.sockets()
    gone = {fd for fd, name in before.items() if after.get(fd) != name}
    claimed = {fd for fd, one in found.items() if one.verdict == "unreachable"}
    assert claimed <= gone, f"said to be unreachable, but not collected: {sorted(claimed - gone)}"
    kept = {fd for fd, one in found.items() if one.verdict == "reachable"}
    assert len(kept & gone) <= 0.01 * len(kept), f"said to be reachable, but collected: {sorted(kept & gone)}"


def test_types_and_handshakes_are_told(keeper: programs.Keeper) -> None:
    ways = keeper.ways
    found, _ = search(keeper, programs.every(keeper))
    told = {
        name: {(found[fd].go_type, found[fd].handshake_complete) for fd in ways[name].fds}
        for name in ("map", "tls", "half-tls", "raw-tls", "file")
    }
    assert told == {
        "map": {("*net.TCPConn", None)},
        "tls": {("*tls.Conn", True)},
        "half-tls": {("*tls.Conn", False)},
        "raw-tls": {("*net.TCPConn", True)},
        "file": {("*os.File", None)},
    }
    paths = {name: found[ways[name].fds[0]].roots[0].path for name in ("map", "closure", "channel", "tls")}
    assert paths["map"] == ("map", "?", "*net.TCPConn")
    assert paths["closure"] == ("slice", "closure main.keepInClosure.func1", "*net.TCPConn")
    assert paths["channel"][0] == "chan net.Conn"
    assert paths["tls"] == ("slice", "*tls.Conn", "*net.TCPConn")
    lists = [found[fd].roots[0].path for fd in ways["list"].fds]
    assert max(len(path) for path in lists) <= 4, "a long list stands as one"
    assert f"? ({COUNT} times)" in {path[0] for path in lists}
    first = found[ways["goroutine"].fds[0]].roots[0]
    assert (first.function, first.path) == ("main.holdInFrame", ("*net.TCPConn",))


def test_nothing_that_moves_is_called_unreachable(keeper: programs.Keeper, binary: tuple[Path, bool]) -> None:
    """A hundred goroutines pass connections on while the heap is read."""
    moving = keeper.load(100)
    process = keeper.opened()
    still = [
        fd for way in keeper.ways.values() for fd in way.fds[:: 1 if len(way.fds) < COUNT or THOROUGH else 6]
    ]
    for _ in range(3):
        found = {one.fd: one for one in retain(process, take_look(process), [*moving, *still])}
        wrong = [fd for fd in moving if fd in found and found[fd].verdict == "unreachable"]
        assert not wrong
        counts = right_roots(keeper, found, strip=binary[1])
        right = sum(pair[0] for pair in counts.values())
        total = len(set(still) & {fd for name in (*NAMED, *IN_GOROUTINES) for fd in keeper.ways[name].fds})
        assert right >= 0.95 * total, counts
    assert keeper.ask("rest") == "resting"
    before = keeper.sockets()
    assert keeper.ask("gc") == "collected"
    after = keeper.sockets()
    claimed = {fd for fd, one in found.items() if one.verdict == "unreachable"}
    assert claimed
    assert all(after.get(fd) != before[fd] for fd in claimed)


def test_more_than_the_cap_is_refused_with_the_remedy(keeper: programs.Keeper) -> None:
    process = keeper.opened()
    with pytest.raises(Unsupported) as refused:
        retain(process, take_look(process), [3], cap_bytes=4096)
    assert "allow more" in refused.value.remedy


def test_damaged_reads_give_no_wrong_verdict(
    keeper: programs.Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words of what is read are replaced: torn records, pointers to anywhere, rows that could not be read."""
    process = keeper.opened()
    look = take_look(process)
    choose = np.random.default_rng(23)
    gather = ProcessMemory.gather_ranges
    odd = np.array([0, 1, 8192, 1 << 47, (1 << 64) - 1], np.uint64)

    def damaged(memory: ProcessMemory, addresses: Words, sizes: Words) -> tuple[np.ndarray, np.ndarray]:
        found, is_read = gather(memory, addresses, sizes)
        if len(found) >= 8:
            words = found[: len(found) // 8 * 8].view(np.uint64)
            places = choose.integers(0, len(words), 1 + len(words) // 500)
            words[places] = choose.choice(np.concatenate([odd, words[:8]]), len(places))
        return found, is_read & (choose.random(len(is_read)) > 0.001)

    monkeypatch.setattr(ProcessMemory, "gather_ranges", damaged)
    fds = [way.fds[0] for way in keeper.ways.values()]
    garbage = {way.fds[0] for name, way in keeper.ways.items() if name in {*UNREACHABLE, "behind"}}
    answered = 0
    for _ in range(6):
        with suppress(Unsupported):
            found = retain(process, look, fds)
            assert {one.fd for one in found if one.verdict == "unreachable"} <= garbage
            answered += 1
    assert answered


def test_a_number_that_is_no_connection_of_go_is_not_found(keeper: programs.Keeper) -> None:
    found, _ = search(keeper, [9999, 0])
    assert found[9999].verdict == "not-found"
    assert found[9999].roots == ()


def test_reach_tells_variables_from_goroutines_and_from_nobody(keeper: programs.Keeper) -> None:
    process = keeper.opened()
    look = take_look(process)
    sends = {}
    for goid in keeper.ways["send"].goids:
        i = look.index_of_goid(goid)
        assert i is not None
        waiting = int(look.field("waiting")[i])
        sends[process.memory.word(waiting + process.offsets.need("sudog.c"))] = goid
    by_channel = process.memory.word(process.symbol("main.byChannel") or 0)
    index = build_index(process, interest=[*sends, by_channel])
    assert set(reach(index, sends).values()) == {"goroutine"}
    alone = Counter(reach(index, sends, {channel: [goid] for channel, goid in sends.items()}).values())
    assert alone["nobody"] >= len(sends) - 1, "one may still stand in a slot that is no longer used"
    assert alone.keys() <= {"nobody", "goroutine"}
    twice: dict[int, str] = {}
    assert (
        retain(process, look, [], waits={channel: [goid] for channel, goid in sends.items()}, reached=twice)
        == []
    )
    assert Counter(twice.values()) == alone
    if by_channel:
        assert reach(index, [by_channel]) == {by_channel: "global"}
