"""Run a command under watch from its first instruction on, children included, and judge it when it ends."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leadline.app.collect import CollectOptions, Collector, Stopper
from leadline.app.probes import trace_probes
from leadline.app.trace import judged
from leadline.formats.elfimage import ElfImage
from leadline.formats.gobuildinfo import parse_go_build_info
from leadline.host import LiveHost, launch
from leadline.model import Malformed, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadline.app.case import Case

__all__ = ["ExecOptions", "Ran", "exec_command"]

OPEN_AT_EXIT = "FDL120"


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """How to run a command.

    Attributes:
        duration_ns: judge after this time and end the command; None: when it ends.
        strict: fail also on descriptors that are merely open at exit.
        source: tree with the source, for code frames.
    """

    duration_ns: int | None = None
    strict: bool = False
    uprobes: bool = True
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ran.

    Attributes:
        command_exit: its exit status as a shell says it; 0 when leadline ended it because the time was over.
        is_strictly_failed: ``--strict`` was given and descriptors were open at exit.
    """

    case: Case
    command_exit: int
    is_strictly_failed: bool = False


def exec_command(command: Sequence[str], options: ExecOptions) -> Ran:
    """Run a command and return its judged case.

    Raises:
        UsageError: it cannot be run.
    """
    program = shutil.which(command[0])
    if program is None:
        raise UsageError(f"{command[0]}: there is no such command", remedy="name a program, after --")
    host = LiveHost()
    stopper = Stopper()
    with launch(command) as launched:
        probes = trace_probes(
            follow=True, uprobes=options.uprobes, next_go_version=_go_version(Path(program)), from_start=True
        )
        collector = Collector(
            host, launched.pid, CollectOptions(duration_ns=options.duration_ns, follow=True, probes=probes)
        )
        collector.begin()
        with launched.forwarding(lambda _number: stopper.stop("interrupt") if options.duration_ns else None):
            launched.release()
            collector.run(stopper, lambda _now: None)
            ended_by = "command-ended" if stopper.reason == "target-gone" else stopper.reason
            evidence = collector.finish(ended_by)
            ended = launched.wait(0) if ended_by == "duration" else launched.wait(None)
    case = judged(evidence, " ".join(command), options.source)
    left_open = any(finding.code == OPEN_AT_EXIT for finding in case.diagnosis.findings)
    if ended is not None and ended.code:
        print(f"leadline: the command ended with exit status {ended.code}", file=sys.stderr)  # noqa: T201  progress
    return Ran(
        case=case,
        command_exit=0 if ended is None else ended.code,
        is_strictly_failed=options.strict and left_open,
    )


def _go_version(program: Path) -> str | None:
    """Return the Go version of a program, None for other languages and scripts."""
    try:
        info = parse_go_build_info(ElfImage(memoryview(program.read_bytes())))
    except (OSError, Malformed):
        return None
    return None if info is None else info.go_version
