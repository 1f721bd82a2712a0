"""Goroutines are grouped by state and stack, joined to descriptors, and compared by number."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from goroutine_samples import READERS, sample_goroutines
from leadline.app.dump import dump_evidence
from leadline.evidence import Evidence
from leadline.evidence.kinds import DescriptorUse, Goroutine, GoroutineGroup, GoRuntime, Stack
from leadline.formats.godump import parse_dumps
from leadline.model import SiteFrame
from leadline.report.goroutines import (
    MEANINGS,
    descriptor_notes,
    diff_goroutines,
    make_goroutines_view,
    meaning_of,
    most_frequent,
    place_of,
)

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"


def parked(goids: range, *, line: int = 7, state: str = "chan send") -> Evidence:
    evidence = Evidence()
    frame = SiteFrame(function="main.f", file="/a.go", line=line, role="app")
    evidence.put(Stack(id=line, pid=0, frames=(frame,)))
    evidence.put_all(Goroutine, [Goroutine(pid=0, goid=goid, state=state, stack=line) for goid in goids])
    return evidence


def test_a_group_has_count_wait_place_creator_labels_and_descriptors() -> None:
    view = make_goroutines_view(sample_goroutines())
    row = view.groups[0]
    assert (row.count, row.state, row.function, row.place) == (
        READERS,
        "IO wait",
        "main.(*session).read",
        "server.go:42",
    )
    assert row.waited == "longest at least 1 h 19 min (20 of 23 are known to wait)"
    assert row.moves == "20 parked all the time, 3 ran in between"
    assert row.creators == (("main.serve  server.go:12", READERS),)
    assert row.labels == (("tenant=t0", 12), ("tenant=t1", 11))
    assert (row.fds, row.fd_count, row.ids) == (tuple(range(20, 26)), READERS, tuple(range(100, 106)))


def test_leaked_goroutines_are_a_group_of_their_own() -> None:
    one = msgspec.structs.replace
    evidence = parked(range(5))
    evidence.put_all(Goroutine, [one(g, goid=g.goid + 10, is_leaked=True) for g in evidence.all(Goroutine)])
    assert [(row.count, row.leaked) for row in make_goroutines_view(evidence).groups] == [(5, 5), (5, 0)]


def test_head_and_summary_say_what_was_looked_at() -> None:
    view = make_goroutines_view(sample_goroutines())
    assert view.title == "api (pid 4711)"
    assert dict(view.facts) == {
        "program": "go1.27.3 example.com/api",
        "looked": "2 times in 5 s",
        "scheduler": "GOMAXPROCS 4; 9 threads",
    }
    assert view.summary == (
        "27 goroutines in 5 groups of the same state and stack; 1 can never go on, as the garbage collector found; +3 since the"
        " first look; 1 on a CPU; 1 did not hold still; 5 of the runtime itself left out."
    )
    assert view.gaps == (("labels of 3 goroutines", "malformed (torn)", "look again"),)


def test_descriptors_have_both_ends_deadlines_and_who_waits() -> None:
    rows = {row.fd: row for row in make_goroutines_view(sample_goroutines()).descriptors}
    assert rows[20].what == "tcp 10.0.0.1:8080 - 10.0.0.9:40000"
    assert rows[20].doing == "server http/1.1 shop.example: handler at work"
    assert [(wait.how, wait.goid, wait.deadline) for wait in rows[20].waits] == [
        ("reads", 100, "deadline in 12 s")
    ]
    assert rows[21].waits[0].deadline == "no deadline"
    assert (rows[5].what, rows[5].waits[0].how, rows[5].waits[0].deadline) == ("pipe:[77]", "blocks", "")
    assert "blocking mode" in rows[5].notes[0]
    assert rows[60].waits == ()
    assert rows[60].notes == ("Close was called and has not finished",)


@pytest.mark.parametrize(
    ("deadline_ns", "words"),
    [(None, ""), (0, "no deadline"), (-1, "deadline expired"), (1, "deadline expired")],
)
def test_deadlines_in_words(deadline_ns: int | None, words: str) -> None:
    evidence = parked(range(1))
    evidence.put(GoRuntime(pid=0, source="memory", last_mono_ns=5))
    evidence.put(DescriptorUse(pid=0, fd=3, is_polled=True, reader_goid=0, read_deadline_mono_ns=deadline_ns))
    assert make_goroutines_view(evidence).descriptors[0].waits[0].deadline == words


def test_notes_of_goroutines_name_their_descriptors() -> None:
    notes = descriptor_notes(make_goroutines_view(sample_goroutines()))
    assert notes[100] == "reads fd 20, tcp 10.0.0.1:8080 - 10.0.0.9:40000, ESTABLISHED, deadline in 12 s"
    assert notes[9] == "blocks fd 5, pipe:[77]"


def test_a_dump_that_only_counts_has_groups_without_states() -> None:
    evidence = dump_evidence(parse_dumps((DUMPS / "go1.24-debug1.txt").read_bytes()))
    view = make_goroutines_view(evidence, "x.txt")
    assert view.summary == "21 goroutines on 19 stacks."
    assert (view.groups[0].count, view.groups[0].state) == (3, "")
    assert any(row.labels for row in view.groups)


def test_a_comparison_follows_goroutines_by_their_number() -> None:
    diff = diff_goroutines(parked(range(10)), parked(range(4, 40)))
    assert (diff.before, diff.after, diff.new, diff.gone, diff.still, diff.moved) == (10, 36, 30, 4, 6, 0)
    assert [(one.growth, one.still, one.new) for one in diff.groups] == [(26, 6, 30)]
    assert diff.is_same_process
    assert not diff.note


def test_the_same_number_elsewhere_has_moved() -> None:
    diff = diff_goroutines(parked(range(10)), parked(range(10), line=8))
    assert (diff.still, diff.moved) == (0, 10)
    assert [(one.growth, one.row.place) for one in diff.groups] == [(10, "a.go:8"), (-10, "a.go:7")]


def test_dumps_without_a_common_number_are_doubted() -> None:
    diff = diff_goroutines(parked(range(10)), parked(range(50, 60)))
    assert not diff.is_same_process
    assert "of the same process" in diff.note


def test_counts_are_compared_by_size_only() -> None:
    older, newer = Evidence(), Evidence()
    for evidence, count in ((older, 3), (newer, 9)):
        evidence.put(Stack(id=count, pid=0, frames=(SiteFrame(function="main.f"),)))
        evidence.put(GoroutineGroup(pid=0, stack=count, count=count))
    diff = diff_goroutines(older, newer)
    assert [one.growth for one in diff.groups] == [6]
    assert (diff.new, diff.gone) == (0, 0)
    assert "debug=1" in diff.note


def test_states_have_a_meaning_in_one_line() -> None:
    assert all(text and len(text) <= 90 for text in MEANINGS.values())
    assert meaning_of("select (durable)") == MEANINGS["select"]
    assert meaning_of("something new") == ""


def test_places_and_lists_in_words() -> None:
    assert place_of(SiteFrame(function="f", file="C:\\src\\a.go", line=3)) == "a.go:3"
    assert place_of(SiteFrame(function="f", file="/src/a.go"), whole=True) == "/src/a.go"
    assert place_of(None) == ""
    assert most_frequent([("a", 1)], 3) == "a"
    assert most_frequent([("a", 5), ("b", 2), ("c", 1)], 2) == "a (5), b (2), and 1 more"
