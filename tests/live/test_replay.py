"""A live trace, kept and judged again: the same document byte for byte, on this machine or another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leadline import lab
from live_runs import FAST, PLAIN_USER, leadline, watching

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_replay_and_report_say_what_the_live_trace_said(tmp_path: Path) -> None:
    case = tmp_path / "case.leadline"
    with (
        lab.start("http-body-leak", FAST, hold=True) as running,
        watching(running.pid, "-d", "5s", "--json", "-o", case) as watch,
    ):
        running.go()
        live = watch.done()
    assert (live.status, live.loud()) == (1, ["FDL101"])
    # Elsewhere: no rights, no target, another directory.
    for _ in range(2):
        again = leadline("replay", case, "--json", wrap=PLAIN_USER, cwd=tmp_path)
        assert again.status == live.status
        assert again.out == live.out
    text = leadline("replay", case, wrap=PLAIN_USER, cwd=tmp_path)
    (want,) = lab.wants("http-body-leak")
    assert want.function in text.out
    same = leadline("diff", case, case, "--json")
    assert same.status == 1, "a leak remains"
    json.loads(same.out)
