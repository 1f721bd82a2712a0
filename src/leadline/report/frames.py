"""Stacks as they are shown: the reader's own frames in full, runs of library frames folded."""

from __future__ import annotations

from itertools import groupby

from leadline.model import SiteFrame, printable
from leadline.report.view import FrameGroup, FrameView

__all__ = ["frame_groups", "place_text"]

OWN_ROLES = frozenset({"app"})
"""Frames that are never folded: the reader's own code."""


def frame_groups(frames: tuple[SiteFrame, ...]) -> tuple[FrameGroup, ...]:
    """Return frames in runs of the reader's own code and of libraries, leaf first.

    When no frame is the reader's own (a C program, or a connection dialled by a helper goroutine), none is folded.
    """
    has_own = any(frame.role in OWN_ROLES for frame in frames)
    groups = []
    for is_own, run in groupby(frames, key=lambda frame: frame.role in OWN_ROLES):
        members = tuple(run)
        packages = tuple(dict.fromkeys(package for frame in members if (package := _package(frame.function))))
        groups.append(
            FrameGroup(is_own, has_own and not is_own, tuple(_frame(frame) for frame in members), packages)
        )
    return tuple(groups)


def _package(function: str) -> str:
    """Return the Go package of a function: ``net/http`` of ``net/http.(*Transport).dialConn``; "" when there is none."""
    directory, slash, last = function.partition("(")[0].partition("[")[0].rpartition("/")
    package, dot, _ = last.partition(".")
    return printable(f"{directory}{slash}{package}") if dot else ""


def _frame(frame: SiteFrame) -> FrameView:
    return FrameView(
        printable(frame.function),
        place_text(frame.file, frame.line, whole=False),
        place_text(frame.file, frame.line),
        frame.inlined,
    )


def place_text(file: str | None, line: int | None, *, whole: bool = True) -> str:
    """Return ``main.go:42``, with its folder when ``whole``; "" when the file is unknown."""
    if file is None:
        return ""
    name = file if whole else file.rpartition("/")[2]
    return printable(name if line is None else f"{name}:{line}")
