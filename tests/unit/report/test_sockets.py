from __future__ import annotations

from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, DescriptorKind, Origin, SocketState
from leadline.report.sockets import MAX_ROWS, TableView, socket_table
from report_samples import LEAK_COUNT, sample_evidence


def column(table: TableView, title: str) -> list[str]:
    place = [one.title for one in table.columns].index(title)
    return [row[place].text for row in table.rows]


def test_rows_say_what_the_kernel_says() -> None:
    table = socket_table(sample_evidence(), frozenset({1}), 4711)
    first = {one.title: cell.text for one, cell in zip(table.columns, table.rows[0], strict=True)}
    assert first == {
        "fd": "10", "kind": "tcp", "state": "CLOSE_WAIT", "acquired at": "main.fetchQuote quote.go:42", "peer": "10.0.0.9:443",
        "local": "10.0.0.5:40000", "age": "29 s", "unread": "1", "unsent": "0", "silent": "29 s", "rtt": "412 us", "resent": "0",
        "timer": "",
    }  # fmt: skip
    assert column(table, "timer").count("keepalive 9 s") == 4
    listener = next(row for row in table.rows if row[2].text == "LISTEN")
    assert [cell.text for cell in listener[3:9]] == [
        "before the watch",
        "",
        "[::]:8080",
        "older",
        "0",
        "4,096",
    ]


def test_blamed_places_come_first_and_files_not_at_all() -> None:
    assert column(socket_table(sample_evidence(), frozenset({2}), 4711), "fd")[:4] == ["60", "61", "62", "63"]
    assert len(socket_table(sample_evidence(), frozenset(), 4711).rows) == LEAK_COUNT + 5


def test_thousands_are_cut_and_counted() -> None:
    table = socket_table(sample_evidence(sockets=MAX_ROWS), frozenset(), 4711)
    assert (len(table.rows), table.left_out) == (MAX_ROWS, LEAK_COUNT + 5)


def test_a_socket_without_state_and_one_of_a_child() -> None:
    evidence = Evidence()
    evidence.put(
        Descriptor(
            pid=2, fd=3, kind=DescriptorKind.UNIX, origin=Origin.INHERITED, inode=1, seen_since_mono_ns=0
        )
    )
    evidence.put(
        Descriptor(
            pid=2, fd=4, kind=DescriptorKind.UNIX, origin=Origin.INHERITED, inode=2, seen_since_mono_ns=0
        )
    )
    evidence.put(SocketState(inode=2, protocol="unix", family="unix", state="ESTABLISHED", name="/run/\x1bx"))
    table = socket_table(evidence, frozenset(), 1)
    assert column(table, "fd") == ["2:3", "2:4"]
    assert column(table, "state") == ["unknown", "ESTABLISHED"]
    assert column(table, "peer") == ["", "/run/\\x1bx"]
    assert all(len(row) == len(table.columns) for row in table.rows)
