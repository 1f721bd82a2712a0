"""FDL402: duplicates that File made."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connection_builders import RAW_READ, Runtime
from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence import Evidence
from leadline.evidence.kinds import KINDS, Descriptor, RetentionRoot
from leadline.rules.fdl.descriptor_duplicated_by_file import RULE

FILE = ("internal/poll.(*FD).Dup", "net.(*netFD).dup", "net.(*conn).File")
KEEP = RetentionRoot(kind="global", name="main.duplicates", path=("[]*os.File",))


def duplicating(
    count: int, begin_s: float = 1.0, end_s: float = 29.0, *, below: tuple[str, ...] = FILE, **facts: Any
) -> Scene:
    scene = Scene()
    place = scene.place("tcp", "duplicated", function="main.remember", below=below)
    place.all(steady(count, begin_s, end_s), **facts)
    return scene


def read(scene: Scene) -> Evidence:
    """Return the evidence of a process whose goroutines were read; none uses what it has open."""
    runtime = Runtime(scene)
    for place in scene.places:
        for life in place.lives:
            if life.died_s > scene.window_s:
                runtime.use(life)
    return runtime.evidence()


def same_socket(scene: Scene) -> Evidence:
    """Return evidence in which all descriptors are one connection."""
    evidence, found = read(scene), Evidence()
    for name in evidence.observed():
        kind = KINDS[name]
        records = evidence.all(kind)
        if kind is Descriptor:
            records = tuple(msgspec.structs.replace(record, inode=100_003) for record in records)
        found.put_all(kind, records)
    return found


def test_found_when_they_pile_up() -> None:
    found = finding(RULE, read(duplicating(23)))
    assert found.count == 23
    assert found.title.startswith("23 duplicates that File made of connections at main.remember (main.go:42)")
    assert "closed already and live on" in found.explanation
    assert found.confidence == 0.9


def test_found_at_once_when_their_connection_is_open_too() -> None:
    found = finding(RULE, same_socket(duplicating(5, 1.0, 1.5)))
    assert found.count == 5
    assert "still open" in found.explanation


@pytest.mark.parametrize("count", [5, 4])
def test_5_fire_and_4_do_not(count: int) -> None:
    evidence = same_socket(duplicating(count))
    if count == 5:
        assert finding(RULE, evidence).count == count
    else:
        assert cleared(RULE, evidence).count == count


def test_duplicates_that_are_closed_are_healthy() -> None:
    scene = Scene()
    place = scene.place("tcp", "duplicated", function="main.visit", below=FILE)
    for born_s in steady(200, 0.5, 29.0):
        place.live(born_s, born_s + 0.01)
    found = cleared(RULE, read(scene))
    assert found.count == 200
    assert found.pattern == "closed"


@pytest.mark.parametrize(
    "scene",
    [
        duplicating(23, below=("syscall.Dup",)),
        duplicating(23, state="LISTEN"),
        duplicating(23, below=("net.(*netFD).dup", "net.(*TCPListener).File")),
    ],
)
def test_other_duplicates_are_none_of_its_business(scene: Scene) -> None:
    assert cleared(RULE, read(scene)).pattern == "none"


def test_not_judged_while_they_may_still_be_closed() -> None:
    verdict = not_judged(RULE, read(duplicating(23, 28.0, 29.0)))
    assert verdict.remedy


def test_not_judged_without_goroutines() -> None:
    assert is_silent_without(RULE)
    assert not_judged(RULE, duplicating(23)).missing == "the Go runtime of the process"


def older(*, reads: bool = False, count: int = 5) -> Evidence:
    """Return sockets from before the window in an *os.File."""
    scene = Scene()
    place = scene.place("tcp", "opened", syscall="socket")
    place.all([-5.0] * count)
    runtime = Runtime(scene)
    for life in place.lives:
        if reads:
            runtime.reader(life, *RAW_READ, "main.read:5")
        else:
            runtime.use(life)
        runtime.retain(life, "reachable", KEEP, go_type="*os.File")
    return runtime.evidence()


def test_older_ones_are_found_by_what_holds_them() -> None:
    found = finding(RULE, older())
    assert found.confidence == 0.7
    assert "reachable from global main.duplicates" in found.because[0].says


def test_older_ones_that_somebody_reads_are_healthy() -> None:
    assert cleared(RULE, older(reads=True))
    assert cleared(RULE, older(count=4))
