"""What a socket says of the descriptor: exact bounds of each standing."""

from __future__ import annotations

from typing import Any

import pytest

from evidence_builders import HTTP_DIAL, Scene
from leadline.evidence.kinds import Birthplace, Descriptor, ProcessInfo, SocketState, Stack, Window
from leadline.rules.fdl.suspects import Living, Standing, is_pooled, living_of
from leadline.rules.table import Table


def living(scene: Scene, number: int = 1) -> Living:
    evidence = scene.evidence()
    table = Table.of(
        window=evidence.all(Window),
        birthplaces=evidence.get(Birthplace),
        descriptors=evidence.get(Descriptor),
        sockets=evidence.get(SocketState),
        stacks=evidence.get(Stack),
        processes=evidence.get(ProcessInfo),
    )
    return living_of(table, next(found for found in table.birthplaces if found.id == number))


def standing(kind: str, role: str, born_s: float = 2.0, **facts: Any) -> Standing:
    """Return the standing of one descriptor in a window of 12 s."""
    scene = Scene(window_s=12.0)
    scene.place(kind, role).live(born_s, **facts)
    ((found, count),) = living(scene).standings.items()
    assert count == 1
    return found


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"state": "CLOSE_WAIT", "since_ack_s": 1.0}, Standing.PEER_GONE),
        ({"state": "CLOSE_WAIT", "since_ack_s": 0.9}, Standing.NEWLY_GONE),
        ({"state": "CLOSE", "since_ack_s": 5.0}, Standing.PEER_GONE),
        ({"state": "ESTABLISHED"}, Standing.LIVE_PEER),
        ({"state": "FIN_WAIT2"}, Standing.LIVE_PEER),
    ],
)
def test_accepted(facts: dict[str, Any], expected: Standing) -> None:
    assert standing("tcp", "accepted", **facts) is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"state": "SYN_SENT"}, Standing.CONNECTING),
        ({"state": "CLOSE_WAIT", "since_ack_s": 1.0}, Standing.PEER_GONE),
        ({"state": "CLOSE_WAIT", "since_ack_s": 0.9}, Standing.IN_USE),
        ({"rqueue": 500, "last_data_s": 11.0}, Standing.UNREAD),
        ({"rqueue": 500, "last_data_s": 11.1}, Standing.IN_USE),
        ({"last_data_s": 7.0}, Standing.IN_USE),
        ({"last_data_s": 6.9}, Standing.SILENT),
        ({"last_data_s": 2.5}, Standing.SILENT),
        ({"last_data_s": 2.5, "received": 0}, Standing.WAITING),
        ({"last_data_s": 2.5, "received": 0, "sent": 0}, Standing.SILENT),
    ],
)
def test_dialed_without_a_pool(facts: dict[str, Any], expected: Standing) -> None:
    assert standing("tcp", "dialed", **facts) is expected


@pytest.mark.parametrize(
    ("born_s", "last_s", "expected"), [(10.5, 11.6, Standing.IN_USE), (10.7, 11.6, Standing.SILENT)]
)
def test_a_young_connection_is_in_use_when_used_again_after_a_second(
    born_s: float, last_s: float, expected: Standing
) -> None:
    assert standing("tcp", "dialed", born_s, last_data_s=last_s) is expected


@pytest.mark.parametrize(
    ("peer_inode", "expected"), [(77, Standing.LIVE_PEER), (0, Standing.PEER_GONE), (None, Standing.UNKNOWN)]
)
def test_accepted_unix(peer_inode: int | None, expected: Standing) -> None:
    assert standing("unix", "accepted", peer_inode=peer_inode) is expected


def test_other_kinds_and_duplicates_are_plain() -> None:
    assert standing("file", "opened") is Standing.PLAIN
    assert standing("tcp", "duplicated", last_data_s=11.9) is Standing.PLAIN
    assert standing("udp", "created") is Standing.PLAIN


@pytest.mark.parametrize(("settled", "live", "gone"), [(3, 2, 4), (3, 3, 3), (2, 0, 2)])
def test_those_left_this_moment_go_with_the_majority(settled: int, live: int, gone: int) -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "accepted")
    place.all([2.0] * settled, state="CLOSE_WAIT", since_ack_s=2.0)
    place.all([2.0] * live)
    place.live(11.0, state="CLOSE_WAIT", since_ack_s=0.2)
    assert living(scene).standings[Standing.PEER_GONE] == gone


def pooled(lives: list[tuple[float, float]]) -> Living:
    """Return the living of a pool from (birth, last use) pairs."""
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed", below=HTTP_DIAL)
    for born_s, last_s in lives:
        place.live(born_s, last_data_s=last_s)
    return living(scene)


def test_a_dial_a_quarter_of_a_second_later_proves_the_loss() -> None:
    assert pooled([(1.0, 5.0), (5.26, 11.9)]).standings[Standing.FORGOTTEN] == 1
    assert pooled([(1.0, 5.0), (5.24, 11.9)]).standings[Standing.FORGOTTEN] == 0


def test_a_dial_to_another_peer_proves_nothing() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed", below=HTTP_DIAL)
    place.live(1.0, last_data_s=2.0)
    place.live(6.0, last_data_s=11.9, peer=("10.0.0.7", 443))
    assert living(scene).standings == {Standing.IN_USE: 2}


def test_the_youngest_go_with_the_majority() -> None:
    found = pooled([(1.0, 1.1), (3.0, 3.1), (5.0, 5.1), (11.8, 11.9)])
    assert found.standings == {Standing.FORGOTTEN: 3, Standing.SILENT: 1}
    assert found.is_proven
    alone = pooled([(1.0, 11.9), (3.0, 11.8), (11.8, 11.9)])
    assert alone.standings == {Standing.IN_USE: 3}
    assert not alone.is_proven


def test_ages_of_lost_connections_are_since_their_last_use() -> None:
    found = pooled([(0.0, 5.0), (0.1, 7.0), (0.2, 9.0), (11.0, 11.9)])
    assert [round(age / 1e9, 1) for age in found.ages_ns[-3:]] == [3.0, 5.0, 7.0]


def test_connections_from_before_count_when_they_were_used_in_the_window() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed", below=HTTP_DIAL)
    place.live(-30.0, last_data_s=-0.1)
    place.live(-30.0, last_data_s=0.1)
    place.live(-30.0, last_data_s=11.95)
    place.live(6.0, last_data_s=11.9)
    found = living(scene)
    assert found.earlier == 1
    assert len(found.suspects) == 1


def test_counts_that_disagree_with_the_table_leave_ages_only() -> None:
    scene = Scene(window_s=12.0)
    scene.place("tcp", "accepted").all([1.0, 2.0])
    evidence = scene.evidence()
    table = Table.of(window=evidence.all(Window), birthplaces=evidence.get(Birthplace))
    found = living_of(table, table.birthplaces[0])
    assert found.standings == {Standing.UNKNOWN: 2}
    assert len(found.ages_ns) == 2
    assert found.suspects == ()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("net/http.(*Transport).dialConn", True),
        ("database/sql.(*DB).conn", True),
        ("net/http.(*Server).Serve", False),
        ("main.dial", False),
    ],
)
def test_pools_by_their_frames(function: str, *, expected: bool) -> None:
    assert is_pooled(("net.Dial", function)) is expected
