"""FDL105: all other kinds, duplicates included, each under its own noun."""

from __future__ import annotations

import pytest

from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.rules.fdl.leaking_descriptors import RULE


@pytest.mark.parametrize(
    ("kind", "role", "words", "report_word"),
    [
        ("udp", "created", "23 UDP sockets created", "udp"),
        ("unix", "dialed", "23 unix connections dialed", "unix"),
        ("unix", "created", "23 unix sockets created", "unix"),
        ("eventpoll", "created", "23 epoll instances created", "eventpoll"),
        ("eventfd", "created", "23 eventfds created", "eventfd"),
        ("timerfd", "created", "23 timerfds created", "timerfd"),
        ("inotify", "created", "23 inotify instances created", "inotify"),
        ("memfd", "created", "23 memfds created", "other"),
        ("pidfd", "created", "23 pidfds created", "other"),
        ("tcp", "duplicated", "23 TCP sockets duplicated", "tcp"),
    ],
)
def test_each_kind_is_found(kind: str, role: str, words: str, report_word: str) -> None:
    scene = Scene(window_s=12.0)
    scene.place(kind, role).all(steady(23, 0.2, 11.7), last_data_s=11.9)
    found = finding(RULE, scene)
    assert found.title.startswith(words)
    assert (found.kind, found.count) == (report_word, 23)


def test_listeners_belong_here() -> None:
    scene = Scene(window_s=12.0)
    scene.place("tcp", "created").all(steady(23, 0.2, 11.7), state="LISTEN")
    assert finding(RULE, scene).title.startswith("23 listening TCP sockets opened at")


def test_five_fire_and_four_do_not() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("eventfd", "created")
    place.all(steady(5, 0.2, 11.7))
    assert finding(RULE, scene).count == 5
    place.lives.pop()
    assert not_judged(RULE, scene)


def test_duplicates_get_advice_on_file() -> None:
    scene = Scene(window_s=12.0)
    scene.place("tcp", "duplicated").all(steady(23, 0.2, 11.7))
    found = finding(RULE, scene)
    assert "File()" in found.remedy
    assert "FDL401" in found.related


def test_accepted_unix_connections_count_only_without_a_peer() -> None:
    scene = Scene(window_s=12.0)
    scene.place("unix", "accepted").all(steady(23, 0.2, 11.7), peer_inode=7)
    assert cleared(RULE, scene).pattern == "live-peers"
    scene = Scene(window_s=12.0)
    scene.place("unix", "accepted").all(steady(23, 0.2, 11.7), peer_inode=0)
    assert finding(RULE, scene).count == 23


def test_sockets_for_questions_are_cleared() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("udp", "created")
    for born_s in steady(600, 0.0, 12.0):
        place.live(born_s, born_s + 0.003)
    assert cleared(RULE, scene).pattern == "churning"


def test_not_judged_without_births() -> None:
    assert is_silent_without(RULE)
