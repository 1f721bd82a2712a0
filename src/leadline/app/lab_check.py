"""Try leadline on its own lab: is each planted fault named, and is each healthy program left alone?"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leadline import lab
from leadline.model import LeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from leadline.lab import LabProgram

__all__ = ["CheckResult", "check_program", "judge_report", "run_checks"]

FINISH_S = 60.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One program tried once.

    Attributes:
        problems: what differs from the catalog, in words; empty when all is as planted.
        codes: what was found above info.
    """

    name: str
    problems: tuple[str, ...]
    codes: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Return whether the verdict was as planted."""
        return not self.problems


def run_checks(
    names: Sequence[str],
    *,
    rounds: int,
    jobs: int,
    show: Callable[[CheckResult], None],
    trace_args: Sequence[str] = (),
) -> list[CheckResult]:
    """Try programs, several at a time, and return the results in order of programs and rounds.

    Args:
        names: of programs; empty for all.
        rounds: how often each is tried.
        jobs: how many run at a time.
        show: called with each result as it comes.
        trace_args: further arguments of ``leadline trace``.
    """
    wanted = [name for name in (names or list(lab.PROGRAMS)) for _ in range(rounds)]
    lab.build_all(list(dict.fromkeys(wanted)))

    def one(name: str) -> CheckResult:
        result = check_program(name, trace_args)
        show(result)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, wanted))


def check_program(name: str, trace_args: Sequence[str] = ()) -> CheckResult:
    """Run a program, trace it from outside as a user would, and compare the report with what was planted."""
    program = lab.find(name)
    try:
        with lab.start(name, program.endless, hold=True) as running:
            command = [
                sys.executable,
                "-m",
                "leadline",
                "trace",
                str(running.pid),
                "-d",
                f"{program.trace_s:g}s",
                "--json",
            ]
            trace = subprocess.Popen(
                [*command, "--exit-zero", *program.watch, *trace_args],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            try:
                assert trace.stderr is not None  # noqa: S101  Popen was asked for a pipe
                first = trace.stderr.readline()
                running.go()
                report, errors = trace.communicate(timeout=program.trace_s + FINISH_S)
            finally:
                trace.kill()
                trace.wait()
            if trace.returncode != 0:
                return CheckResult(
                    name, (f"leadline ended with {trace.returncode}: {(first + errors)[-500:]}",)
                )
    except (LeadlineError, subprocess.TimeoutExpired) as error:
        return CheckResult(name, (f"{type(error).__name__}: {error}",))
    return judge_report(program, json.loads(report))


def judge_report(program: LabProgram, report: dict[str, Any]) -> CheckResult:
    """Compare a report document with what the catalog says was planted."""
    loud = [finding for finding in report["findings"] if finding["severity"] != "info"]
    codes = tuple(dict.fromkeys(finding["code"] for finding in loud))
    problems = [
        f"{code} was not found{_said_instead(report, code)}" for code in program.expects if code not in codes
    ]
    problems += [
        f"{finding['code']} is a false alarm: {finding['title']}"
        for finding in loud
        if finding["code"] not in (*program.expects, *program.also)
    ]
    main = [finding for finding in loud if program.expects and finding["code"] == program.expects[0]]
    if main:
        problems += _site_problems(program, main)
    return CheckResult(program.name, tuple(problems), codes)


def _said_instead(report: dict[str, Any], code: str) -> str:
    """Return what the rule said instead, for whoever has to find out why."""
    said = [one["missing"] for one in report.get("not_judged", ()) if one["code"] == code]
    said += [one["reason"] for one in report.get("cleared", ()) if one["code"] == code]
    return f": {'; '.join(said)}" if said else ""


def _site_problems(program: LabProgram, findings: Iterable[dict[str, Any]]) -> list[str]:
    wants = lab.wants(program.name)
    seen = []
    for finding in findings:
        for site in finding["sites"][:2]:
            seen.append(f"{site['function']} {site['file']}:{site['line']}")
            for want in wants:
                is_line = site["line"] == want.line and (site["file"] or "").endswith(want.file)
                if is_line and site["function"] == want.function:
                    return (
                        []
                        if program.kind in (None, finding["kind"])
                        else [f"kind {finding['kind']}, not {program.kind}"]
                    )
    if not wants:
        return []
    planted = ", ".join(f"{want.function} {want.file}:{want.line}" for want in wants)
    return [f"named {'; '.join(seen) or 'no place'}, but planted was {planted}"]
