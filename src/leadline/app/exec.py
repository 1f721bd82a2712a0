"""Run a command under watch from its first instruction on, children included, and judge it when it ends."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from leadline.app.capabilities import host_info
from leadline.app.collect import CollectOptions, Collector, Stopper
from leadline.app.probes import trace_probes
from leadline.app.trace import judged
from leadline.evidence import Evidence
from leadline.evidence.kinds import KINDS, ProcessInfo
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
    image = _elf_of(Path(program))
    host = LiveHost()
    stopper = Stopper()
    with launch(command) as launched:
        probes = trace_probes(follow=True, uprobes=options.uprobes, from_start=True, next_program=image)
        collector = Collector(
            host, launched.pid, CollectOptions(duration_ns=options.duration_ns, follow=True, probes=probes)
        )
        collector.begin()
        with launched.forwarding(lambda _number: stopper.stop("interrupt") if options.duration_ns else None):
            launched.release()
            collector.poll()
            collector.run(stopper, lambda _now: None)
            ended_by = "command-ended" if stopper.reason == "target-gone" else stopper.reason
            evidence = collector.finish(ended_by)
            ended = launched.wait(0) if ended_by == "duration" else launched.wait(None)
    evidence.put(host_info(host, is_traced=collector.is_traced))
    evidence = _named(evidence, launched.pid, Path(program), image, command)
    case = judged(evidence, " ".join(command), options.source)
    left_open = any(finding.code == OPEN_AT_EXIT for finding in case.diagnosis.findings)
    if ended is not None and ended.code:
        print(f"leadline: the command ended with exit status {ended.code}", file=sys.stderr)
    return Ran(
        case=case,
        command_exit=0 if ended is None else ended.code,
        is_strictly_failed=options.strict and left_open,
    )


def _elf_of(program: Path) -> ElfImage | None:
    try:
        return ElfImage(memoryview(program.read_bytes()))
    except (OSError, Malformed):
        return None


def _named(
    evidence: Evidence, pid: int, program: Path, image: ElfImage | None, command: Sequence[str]
) -> Evidence:
    """Return the evidence with the command's own names for its process, which was leadline's fork when it was first looked at."""
    try:
        info = None if image is None else parse_go_build_info(image)
    except Malformed:
        info = None
    named = Evidence()
    for name in evidence.observed():
        for record in evidence.all(KINDS[name]):
            if isinstance(record, ProcessInfo) and record.pid == pid and record.exe != str(program.resolve()):
                named.put(
                    msgspec.structs.replace(
                        record,
                        comm=program.name[:15],
                        exe=str(program.resolve()),
                        cmdline=shlex.join(command),
                        go_version=None if info is None else info.go_version,
                        main_package=None if info is None else info.path or None,
                        main_module=None if info is None or info.main is None else info.main.path,
                        build_id=None if image is None else image.build_id,
                    )
                )
            else:
                named.put(record)
        named.put_all(KINDS[name], ())
    return named
