from __future__ import annotations

import json

from house.golden import Golden
from leadline import __version__
from leadline.report.diff_text import render_diff, render_diff_json
from leadline.report.diff_view import CaseView, CodeRow, DiffView, Outcome, PlaceRow, Side

BEFORE = CaseView("quotes (pid 4711)", "bpf", 30 * 10**9, 125, 4.2, 33, "abcdef")
AFTER = CaseView("quotes (pid 5000)", "bpf", 60 * 10**9, 250, 4.1, 11, "012345")
LEAK = Side(25, 2, 23, 0.83, "leaking", "23 were never closed", 42, 0.77)
GOOD = Side(25, 25, 0, 0.83, "churning", "25 of 25 were closed", 45)
VAGUE = Side(2, 1, 1, 0.001, "unclear", "too few", None)
ROWS = (
    PlaceRow(
        "file", "opened", "main.log", "log.go", "openat", GOOD, LEAK, Outcome.NEW_LEAK, "23 were never closed"
    ),
    PlaceRow(
        "tcp",
        "dialed",
        "main.send",
        "send.go",
        "socket",
        LEAK,
        LEAK,
        Outcome.STILL_LEAKING,
        "23 were never closed",
    ),
    PlaceRow(
        "pipe",
        "created",
        "main.run",
        "",
        "pipe2",
        LEAK,
        None,
        Outcome.NOT_COMPARABLE,
        "the load was much smaller",
    ),
    PlaceRow(
        "udp",
        "created",
        "main.ask",
        "ask.go",
        "socket",
        VAGUE,
        None,
        Outcome.NOT_COMPARABLE,
        "descriptors were acquired here before only",
    ),
    PlaceRow(
        "tcp", "dialed", "main.fetch", "quote.go", "socket", LEAK, GOOD, Outcome.FIXED, "25 of 25 were closed"
    ),
    PlaceRow(
        "tcp", "accepted", "main.serve", "main.go", "accept4", GOOD, GOOD, Outcome.UNCHANGED, "as before"
    ),
)
OTHERS = (CodeRow("FDL301", "failing-close", 1, 0), CodeRow("NET101", "accept-queue-full", 0, 1))
VIEW = DiffView(BEFORE, AFTER, ROWS, OTHERS, ("far fewer descriptors were acquired per second after",))


def test_golden(golden: Golden) -> None:
    golden.check("report/diff.txt", render_diff(VIEW))


def test_golden_json(golden: Golden) -> None:
    golden.check(
        "report/diff.json",
        render_diff_json(VIEW).replace(f'"leadline": "{__version__}"', '"leadline": "VERSION"'),
    )


def test_the_summary_is_the_answer() -> None:
    def summary(*rows: PlaceRow) -> str:
        return render_diff(DiffView(BEFORE, AFTER, rows, (), ())).split("\n\n")[1].strip()

    assert summary(*ROWS).startswith(
        "A leak remains: 1 new leak, 1 still leaking, 1 not comparable, 1 fixed."
    )
    assert summary(ROWS[2]).startswith("Not proven: 1 not comparable.")
    assert summary(ROWS[4]).startswith("No leak remains: 1 fixed.")
    assert summary(ROWS[5]).startswith("No leak before, none after.")


def test_json_says_the_same() -> None:
    document = json.loads(render_diff_json(VIEW))
    assert (document["leaks_remain"], document["unproven"]) == (True, True)
    assert [row["outcome"] for row in document["birthplaces"]] == [row.outcome.value for row in ROWS]
    assert document["birthplaces"][3]["after"] is None


def test_narrow_terminals_and_colours() -> None:
    assert max(len(line) for line in render_diff(VIEW, width=50, verbose=True).splitlines()) <= 50
    assert "main.serve" in render_diff(VIEW, verbose=True)
    assert "\x1b[1;31mNEW LEAK" in render_diff(VIEW, color=True)
