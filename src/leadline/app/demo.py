"""The demo: build a leaking service, trace it live, and check that the planted line was named."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from leadline import lab
from leadline.app.outputs import OutputOptions, deliver
from leadline.app.trace import TraceOptions, trace_target

if TYPE_CHECKING:
    from pathlib import Path

    from leadline.app.case import Case
    from leadline.lab import Want

__all__ = ["run_demo"]

PROGRAM = "http-body-leak"
FOUND, REDUCED, MISSED = 0, 0, 1


def run_demo(*, duration_ns: int, html: Path | None, force: bool) -> int:
    """Run the demo and return its exit status.

    It is 0 when the planted line was named, or when the rights for that are missing and the reduced diagnosis says so.
    """
    _say(f"building {PROGRAM}, stripped: a service that {lab.find(PROGRAM).story}")
    with lab.start(PROGRAM, ["-n", "0"], hold=True) as running:
        _say(
            f"it runs as pid {running.pid}; watching it for {duration_ns // 10**9} s, from outside, without stopping it"
        )
        running.go()
        case = trace_target(str(running.pid), TraceOptions(duration_ns=duration_ns, source=lab.PROGRAMS_DIR))
    outputs = OutputOptions(html=html, force=force)
    deliver(case, outputs, exit_zero=True, fail_on_gap=False)
    (want,) = lab.wants(PROGRAM)
    if named(case, want):
        _say(f"planted: {want.function} at {want.file}:{want.line}. leadline named it.")
        return FOUND
    if os.geteuid() != 0:
        _say(
            "without root the stacks cannot be seen, so only the growth was found; run `sudo make demo` for the line of code"
        )
        return REDUCED if case.diagnosis.findings else MISSED
    _say(f"planted: {want.function} at {want.file}:{want.line}. leadline did NOT name it.")
    return MISSED


def named(case: Case, want: Want) -> bool:
    """Return whether the first site of a finding is the planted line."""
    return any(
        finding.sites
        and finding.sites[0].function == want.function
        and (finding.sites[0].file or "").endswith(want.file)
        and finding.sites[0].line == want.line
        for finding in case.diagnosis.findings
    )


def _say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)
