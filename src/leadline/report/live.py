"""Progress while a process is watched: a small moving table on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TextIO

from leadline.model import format_duration, printable
from leadline.report.layout import Page, shown_width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

__all__ = ["LiveDisplay", "Progress", "ProgressPlace", "render_line", "render_table"]

RATE_SPAN_NS = 3_000_000_000
PLAIN_INTERVAL_NS = 5_000_000_000
MAX_PLACES = 5
HISTORY = 120
_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .:-=+*#@"


@dataclass(frozen=True, slots=True)
class ProgressPlace:
    """One birthplace as it stands; ``place`` is ``quote.go:42`` or "". Names may be raw: they are made printable here."""

    function: str
    place: str
    kind: str
    alive: int
    births: int
    deaths: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How a watch stands.

    Attributes:
        elapsed_ns: since the window began.
        limit_ns: length of the window; None until the target ends.
        alive: descriptors open now; None when unknown.
        soft_limit: RLIMIT_NOFILE; None when unknown.
        births, deaths: since the window began; None when they are not traced.
        places: most important first; five are shown.
        lost_events: events that did not fit so far.
        note: what is being waited for, such as ``3 birthplaces undecided``.
    """

    elapsed_ns: int
    limit_ns: int | None
    alive: int | None
    soft_limit: int | None = None
    births: int | None = None
    deaths: int | None = None
    places: tuple[ProgressPlace, ...] = ()
    lost_events: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Rates:
    births_per_s: float | None
    deaths_per_s: float | None


class LiveDisplay:
    """Shows progress on a stream (stderr). Use it as a context manager; what it drew is gone when it ends."""

    def __init__(self, stream: TextIO, *, is_terminal: bool, width: int = 80, color: bool = True) -> None:
        self._stream = stream
        self._is_terminal = is_terminal
        self._width = width
        self._color = color
        self._recent: deque[Progress] = deque(maxlen=64)
        self._alive: deque[int] = deque(maxlen=HISTORY)
        self._next_plain_ns = PLAIN_INTERVAL_NS
        self._live: Live | None = None
        self._bars = _BARS if (stream.encoding or "").lower().replace("-", "") == "utf8" else _ASCII_BARS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, progress: Progress) -> None:
        """Show how it stands now; called about twice a second. Never raises because of the stream."""
        self._recent.append(progress)
        if progress.alive is not None:
            self._alive.append(progress.alive)
        rates = _rates(self._recent)
        try:
            if self._is_terminal:
                self._draw(
                    render_table(progress, rates, tuple(self._alive), width=self._width, bars=self._bars)
                )
            elif progress.elapsed_ns >= self._next_plain_ns:
                self._next_plain_ns = progress.elapsed_ns + PLAIN_INTERVAL_NS
                self._stream.write(render_line(progress, rates) + "\n")
                self._stream.flush()
        except (
            OSError,
            ValueError,
        ):  # the terminal or pipe went away: progress is a courtesy, the report matters
            self._is_terminal = False
            self._next_plain_ns = 1 << 62
            self._live = None

    def close(self) -> None:
        """Remove what was drawn."""
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()
            self._live = None

    def _draw(self, page: Page) -> None:
        from rich.live import Live  # noqa: PLC0415  only on terminals, and slow to import
        from rich.text import Text  # noqa: PLC0415

        text = Text("\n", end="").join(
            Text.assemble(*((part, style) for part, style in spans), no_wrap=True, overflow="crop")
            for spans in page.rows()
        )
        if self._live is None:
            self._live = Live(
                console=_console(self._stream, color=self._color),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(text, refresh=True)


def _console(stream: TextIO, *, color: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415  as above

    class Calm(Console):
        def on_broken_pipe(self) -> None:
            """Tell the caller, instead of ending the process as the library would."""
            raise BrokenPipeError

    return Calm(
        file=stream, force_terminal=True, no_color=not color, highlight=False, markup=False, emoji=False
    )


def render_line(progress: Progress, rates: _Rates) -> str:
    """Return progress as one plain line."""
    of = "" if progress.limit_ns is None else f" of {format_duration(progress.limit_ns)}"
    parts = [f"leadline: {_whole_seconds(progress.elapsed_ns)}{of}: {_open(progress)}"]
    if rates.births_per_s is not None and rates.deaths_per_s is not None:
        parts.append(f"{_rate(rates.births_per_s)} opened, {_rate(rates.deaths_per_s)} closed")
    if progress.places:
        top = progress.places[0]
        name = printable(f"{top.function} {top.place}".strip())
        parts.append(f"most: {name} {top.alive:,} alive (+{top.births:,} -{top.deaths:,})")
    if progress.note:
        parts.append(progress.note)
    return "; ".join(parts)


def render_table(
    progress: Progress, rates: _Rates, history: tuple[int, ...], *, width: int = 80, bars: str = _BARS
) -> Page:
    """Return progress as a few lines for a terminal, none wider than ``width`` - 1."""
    page = Page(max(width - 1, 20))
    left = (
        ""
        if progress.limit_ns is None
        else f", {_whole_seconds(max(progress.limit_ns - progress.elapsed_ns, 0) + 999_999_999)} left"
    )
    note = f"  {progress.note}" if progress.note else ""
    page.line(
        ("watching ", "dim"),
        (_whole_seconds(progress.elapsed_ns), "bold"),
        (f"{left}  (Ctrl-C reports now){note}", "dim"),
    )
    counts = f"{_open(progress)}  "
    spans = [(counts, "bold")]
    if rates.births_per_s is not None and rates.deaths_per_s is not None:
        spans += [
            (f"+{_rate(rates.births_per_s)}", "green"),
            (" ", ""),
            (f"-{_rate(rates.deaths_per_s)}", "yellow"),
            ("  ", ""),
        ]
    used = sum(shown_width(text) for text, _ in spans)
    spans.append((_sparkline(history, page.width - used, bars), "cyan"))
    page.line(*spans)
    if progress.lost_events:
        page.line((f"{progress.lost_events:,} events lost", "bold red"))
    if progress.places:
        name_width = page.width - 8 - 9 - 9 - 11
        page.line((f"{'alive':>7} {'opened':>8} {'closed':>8}  {'kind':<9} where", "dim"))
        for place in progress.places[:MAX_PLACES]:
            name = printable(f"{place.function} {place.place}".strip())
            kind = printable(place.kind)[:9]
            page.line(
                (f"{place.alive:>7,}", "bold"),
                (f" {place.births:>8,} {place.deaths:>8,}  {kind:<9} ", ""),
                (_tail(name, name_width), "cyan"),
            )
    return page


def _rates(recent: deque[Progress]) -> _Rates:
    """Return births and deaths per second over about the last three seconds."""
    last = recent[-1]
    base = next((one for one in recent if last.elapsed_ns - one.elapsed_ns <= RATE_SPAN_NS), last)
    begin_births, begin_deaths, span_ns = base.births, base.deaths, last.elapsed_ns - base.elapsed_ns
    if len(recent) == 1 or base is last:
        begin_births, begin_deaths, span_ns = 0, 0, last.elapsed_ns
    if (
        last.births is None
        or last.deaths is None
        or begin_births is None
        or begin_deaths is None
        or span_ns <= 0
    ):
        return _Rates(None, None)
    return _Rates((last.births - begin_births) * 1e9 / span_ns, (last.deaths - begin_deaths) * 1e9 / span_ns)


def _open(progress: Progress) -> str:
    if progress.alive is None:
        return "descriptors unknown"
    limit = "" if progress.soft_limit is None else f" of {progress.soft_limit:,}"
    return f"{progress.alive:,}{limit} descriptors open"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}/s" if per_s >= 10 or per_s == int(per_s) else f"{per_s:.1f}/s"


def _whole_seconds(duration_ns: int) -> str:
    return format_duration(duration_ns // 1_000_000_000 * 1_000_000_000) if duration_ns >= 10**9 else "0 s"


def _sparkline(history: tuple[int, ...], width: int, bars: str) -> str:
    """Return the last counts as bars, from the lowest to the highest seen."""
    shown = history[-max(width, 0) :] if width > 0 else ()
    if len(shown) < 2:
        return ""
    low, high = min(shown), max(shown)
    if low == high:
        return bars[1] * len(shown)
    steps = len(bars) - 2
    return "".join(bars[1 + round((count - low) * steps / (high - low))] for count in shown)


def _tail(name: str, width: int) -> str:
    """Return the end of a name that is too long: the function and line matter more than the module."""
    if shown_width(name) <= width:
        return name
    while name and shown_width(name) > max(width - 3, 1):
        name = name[1:]
    return f"...{name}"
