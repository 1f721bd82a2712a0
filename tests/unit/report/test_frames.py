"""Stacks are folded around the reader's own frames."""

from __future__ import annotations

import pytest

from leadline.model import SiteFrame
from leadline.report.frames import frame_groups, place_text


def frame(function: str, role: str) -> SiteFrame:
    return SiteFrame(function=function, role=role)


def test_library_frames_are_folded_around_the_readers_own() -> None:
    groups = frame_groups(
        (
            frame("syscall.Socket", "std"),
            frame("net/http.(*T).dial", "module"),
            frame("main.f", "app"),
            frame("main.g", "app"),
            frame("runtime.goexit", "runtime"),
        )
    )
    assert [(group.is_own, group.is_folded, len(group.frames), group.packages) for group in groups] == [
        (False, True, 2, ("syscall", "net/http")),
        (True, False, 2, ("main",)),
        (False, True, 1, ("runtime",)),
    ]


def test_a_stack_without_own_frames_is_shown_whole() -> None:
    groups = frame_groups((frame("epoll_create", "native"), frame("std::run(int)", "native")))
    assert [(group.is_own, group.is_folded, group.packages) for group in groups] == [(False, False, ())]
    assert frame_groups(()) == ()


@pytest.mark.parametrize(
    ("function", "package"),
    [
        ("main.f", "main"),
        ("net/http.(*Transport).dial", "net/http"),
        ("github.com/a/b.v2.F", "github.com/a/b"),
        ("example.com/m.F[go.shape.*example.com/x.T]", "example.com/m"),
        ("malloc", ""),
    ],
)
def test_packages_of_go_functions(function: str, package: str) -> None:
    assert frame_groups((frame(function, "std"),))[0].packages == ((package,) if package else ())


def test_a_place_is_short_or_whole_and_printable() -> None:
    assert place_text("/srv/app/quote.go", 42) == "/srv/app/quote.go:42"
    assert place_text("/srv/app/quote.go", 42, whole=False) == "quote.go:42"
    assert place_text("/srv/\x1b[2J.go", None) == "/srv/\\x1b[2J.go"
    assert place_text(None, 42) == ""
