"""Every verdict as planted: leadline on its own lab, from outside, as a user would.

Programs of every sort in a usual run; ``LEADLINE_LAB=all`` tries each program of the catalog.
"""

from __future__ import annotations

import os

import pytest

from leadline import lab
from leadline.app.lab_check import run_checks

pytestmark = [pytest.mark.live, pytest.mark.slow]

AT_A_TIME = 6
QUICK = (
    "http-body-leak",  # dialed by a goroutine of net/http for the caller
    "accept-leak",  # accepted, and the peers have gone
    "library-leak",  # through somebody else's code
    "old-leak",  # 200 before anybody looked
    "file-error-path",  # one in ten
    "close-others",  # a number that was given to somebody else
    "child-leak",  # in a child
    "dup-leak",  # duplicates of one connection
    "forgotten-in-map",  # nobody uses them, and a global reaches them
    "half-body-clients",  # clients that never finish their request
    "sql-pool-starved",  # a pool that is waited for
    "lock-cycle",  # two goroutines that wait for each other
    "orphan-senders",  # goroutines that nobody will ever serve
    "idle-websockets",
    "pipeline",
    "conn-per-request",
    "keepalive-pool",
    "child-processes",
)


def test_the_quick_choice_has_every_sort() -> None:
    programs = [lab.find(name) for name in QUICK]
    codes = {code for program in programs for code in program.expects}
    assert {"FDL101", "FDL102", "FDL103", "FDL105", "FDL201", "FDL401", "FDL502"} <= codes
    assert {"FDL601", "GOR201", "GOR202", "GOR301", "HTP101", "HTP103"} <= codes
    assert {program.healthy for program in programs if program.is_healthy} >= {
        "long-lived",
        "churning",
        "plateau",
    }


def test_what_was_planted_is_named_and_the_healthy_are_left_alone() -> None:
    names = tuple(lab.PROGRAMS) if os.environ.get("LEADLINE_LAB") == "all" else QUICK
    results = run_checks(names, rounds=1, jobs=AT_A_TIME, show=lambda _result: None)
    assert {result.name: result.problems for result in results if not result.is_right} == {}
    assert [result.name for result in results] == list(names)
