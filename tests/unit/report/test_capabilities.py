from __future__ import annotations

from house.golden import Golden
from leadline.report.capabilities import render_capabilities

ROWS = [
    ("bpf tracing", "yes", "births and deaths with stacks, every one of them", ""),
    (
        "uprobes",
        "EPERM at PERF_EVENT_OPEN",
        "the caller of HTTP dials that run in a goroutine of their own",
        "run as root, or with CAP_PERFMON",
    ),
    ("memory reads", "EPERM\x1b[2J", "names of goroutines", ""),
]


def test_golden(golden: Golden) -> None:
    golden.check("report/capabilities.txt", render_capabilities(ROWS))


def test_all_there_is_said_briefly() -> None:
    assert render_capabilities(ROWS[:1]).endswith("1 of 1 available.\n")
    assert "\x1b[1;32myes" in render_capabilities(ROWS[:1], color=True)
