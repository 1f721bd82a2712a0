"""The table of connections fits its terminal and says what it cannot show."""

from __future__ import annotations

import dataclasses

import pytest

from leadline.report.connections import ConnectionRow
from leadline.report.connections_text import render_connections

ROW = ConnectionRow(
    pid=7, fd=5, kind="tcp", protocol="http/1.1", state="ESTABLISHED", peer="10.0.0.9:80", local="10.0.0.1:4000",
    host="http://api", request="", doing="idle in its pool", activity="idle", goid=34, goroutine="IO wait",
    site="main.fetch fetch.go:12",
    acquired="main.fetch fetch.go:12", since_ns=3 * 10**9, age_ns=None, deadline="none", unread_bytes=0,
    reached="", pool=1, held_by="",
)  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 120, 250])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    text = render_connections(
        [ROW, dataclasses.replace(ROW, fd=1234, peer="[2001:db8::1]:65535")], width=width
    )
    assert max(len(line) for line in text.splitlines()) <= width
    assert "1234" in text


def test_a_wide_terminal_shows_everything_that_is_known() -> None:
    text = render_connections([ROW, dataclasses.replace(ROW, age_ns=10**9)], width=250)
    for words in (
        "10.0.0.9:80",
        "ESTABLISHED",
        "idle in its pool",
        "34",
        "main.fetch fetch.go:12",
        "http://api",
        "3 s",
        "older",
    ):
        assert words in text
    assert "held by" not in text, "a column without values is left out"


def test_rows_beyond_the_limit_are_counted() -> None:
    text = render_connections([ROW, ROW, ROW], width=100, limit=1)
    assert text.count("idle in its pool") == 2, "one row, one summary"
    assert "and 2 more" in text


def test_the_summary_counts_by_activity() -> None:
    held = dataclasses.replace(ROW, activity="body-held", doing="answered; body neither read nor closed")
    lines = render_connections([ROW, held, held], width=100).splitlines()
    assert lines[-1] == "3 connections: 2 with a body neither read nor closed, 1 idle in its pool."
    assert render_connections([], width=100) == "0 connections.\n"


def test_what_was_not_seen_is_listed() -> None:
    text = render_connections([ROW], notes=["not seen: goroutines: EPERM"], width=80)
    assert text.rstrip().endswith("- not seen: goroutines: EPERM")


def test_ages_are_left_out_when_none_is_known() -> None:
    assert "age" not in render_connections([ROW, ROW], width=250).splitlines()[0]
