from __future__ import annotations

import io
import re

import pytest

from leadline.report.live import LiveDisplay, Progress, ProgressPlace
from report_samples import HOSTILE, S

PLACE = ProgressPlace("main.fetchQuote", "quote.go:42", "tcp", 23, 25, 2)


def progress(
    seconds: float,
    *,
    births: int | None = 0,
    alive: int | None = 33,
    places: tuple[ProgressPlace, ...] = (PLACE,),
    limit: int | None = 30,
) -> Progress:
    return Progress(
        elapsed_ns=int(seconds * S),
        limit_ns=None if limit is None else limit * S,
        alive=alive,
        soft_limit=1024,
        births=births,
        deaths=None if births is None else births // 2,
        places=places,
    )


def shown(*steps: Progress, is_terminal: bool = False, width: int = 80, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    with LiveDisplay(stream, is_terminal=is_terminal, width=width, color=False) as display:
        for step in steps:
            display.show(step)
    stream.flush()
    stream.seek(0)
    return stream.read()


def plain(drawn: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)


def test_without_a_terminal_a_line_comes_every_five_seconds() -> None:
    lines = shown(*(progress(half / 2, births=half * 20) for half in range(25))).splitlines()
    assert len(lines) == 2
    assert lines[0] == (
        "leadline: 5 s of 30 s: 33 of 1,024 descriptors open; 40/s opened, 20/s closed;"
        " most: main.fetchQuote quote.go:42 23 alive (+25 -2)"
    )


def test_rates_are_of_the_last_seconds_not_of_the_whole_watch() -> None:
    steps = [progress(second, births=1000 * second if second < 10 else 10_000) for second in range(21)]
    assert "0/s opened, 0/s closed" in shown(*steps).splitlines()[-1]


def test_what_is_unknown_is_left_out() -> None:
    line = shown(progress(6, births=None, alive=None, places=(), limit=None))
    assert line == "leadline: 6 s: descriptors unknown\n"


def test_a_terminal_gets_a_table_that_is_removed_at_the_end() -> None:
    drawn = shown(progress(1), progress(2, births=10), is_terminal=True)
    assert "watching 2 s, 28 s left" in plain(drawn)
    assert "+10/s -5/s" in plain(drawn)
    assert "main.fetchQuote quote.go:42" in drawn
    assert drawn.count("\x1b[?25l") == drawn.count("\x1b[?25h") == 1
    assert drawn.endswith("\x1b[1A\x1b[2K")


def test_rows_never_wrap() -> None:
    long = ProgressPlace("github.com/" + "x" * 300, "f.go:1", "eventpoll", 10**6, 10**7, 10**6)
    for width in (40, 60, 80, 200):
        drawn = shown(progress(1, places=(long,) * 9), is_terminal=True, width=width)
        rows = plain(drawn.partition("\r")[0]).split(
            "\n"
        )  # as drawn first; then it is removed and drawn again
        assert len([row for row in rows if "1,000,000" in row]) == 5
        assert all(len(row) < width for row in rows)


def test_names_cannot_control_the_terminal() -> None:
    hostile = ProgressPlace(HOSTILE, HOSTILE, HOSTILE, 1, 1, 0)
    for is_terminal in (False, True):
        drawn = shown(progress(6, places=(hostile,)), is_terminal=is_terminal)
        assert "\x1b[31m" not in drawn
        assert "\x07" not in drawn
        assert "\u202e" not in drawn


def test_bars_are_ascii_where_the_terminal_is() -> None:
    steps = [progress(number, alive=number) for number in range(9)]
    assert "▁▂" in shown(*steps, is_terminal=True)
    assert "#@" in shown(*steps, is_terminal=True, encoding="ascii")


class _Gone(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError(text[:1])


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_stream_that_went_away_does_not_end_the_watch(is_terminal: bool) -> None:
    display = LiveDisplay(_Gone(), is_terminal=is_terminal)
    for second in range(20):
        display.show(progress(second))
    display.close()
