"""What appears in a table and what goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadline.contracts import FdLink
from leadline.probes.trace_snapshots.tracker import TableTracker

NULL, SOCKET, OTHER = FdLink(0, "/dev/null"), FdLink(3, "socket:[9]"), FdLink(3, "socket:[10]")


def test_the_first_table_was_there_before() -> None:
    tracker = TableTracker()
    born, died = tracker.look(100, [NULL, SOCKET])
    assert [(seen.link, seen.is_before, seen.first_ns) for seen in born] == [
        (NULL, True, 100),
        (SOCKET, True, 100),
    ]
    assert died == []


def test_a_number_with_another_file_is_a_death_and_a_birth() -> None:
    tracker = TableTracker()
    tracker.look(100, [NULL, SOCKET])
    born, died = tracker.look(200, [NULL, OTHER])
    assert [(seen.link, seen.is_before, seen.first_ns) for seen in born] == [(OTHER, False, 200)]
    assert [(seen.link, seen.last_ns) for seen in died] == [(SOCKET, 100)]


def test_the_same_number_with_another_inode_behind_the_same_path_is_another_file() -> None:
    tracker = TableTracker()
    tracker.look(100, [FdLink(3, "/var/log/x", 0o100644, 1, 1)])
    born, died = tracker.look(200, [FdLink(3, "/var/log/x", 0o100644, 2, 1)])
    assert (len(born), len(died)) == (1, 1)


def test_what_stays_is_seen_longer() -> None:
    tracker = TableTracker()
    for now_ns in (100, 200, 300):
        tracker.look(now_ns, [NULL])
    assert (tracker.alive[NULL].first_ns, tracker.alive[NULL].last_ns) == (100, 300)


@given(st.lists(st.frozensets(st.integers(0, 9), max_size=10), max_size=12))
def test_births_minus_deaths_is_the_table(tables: list[frozenset[int]]) -> None:
    tracker = TableTracker()
    alive = 0
    for number, table in enumerate(tables):
        born, died = tracker.look(number, [FdLink(fd, f"socket:[{fd}]") for fd in sorted(table)])
        alive += len(born) - len(died)
        assert alive == len(tracker.alive) == len(table)
