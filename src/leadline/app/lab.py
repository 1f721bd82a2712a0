"""The lab on the command line: list, source, run."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import msgspec

from leadline import lab

if TYPE_CHECKING:
    from leadline.lab import LabProgram

__all__ = ["lab_list", "lab_run", "lab_source"]


def lab_list(*, as_json: bool) -> str:
    """Return the programs, as a table or a JSON document."""
    programs = list(lab.PROGRAMS.values())
    if as_json:
        return (
            msgspec.json.format(msgspec.json.encode({"schema_version": 1, "programs": programs})).decode()
            + "\n"
        )
    width = max(len(program.name) for program in programs)
    return "".join(
        f"{program.name:<{width}}  {_expectation(program):<16}  {program.story}\n" for program in programs
    )


def lab_source(name: str) -> str:
    """Return the Go source of a program; several files each under a line with their name.

    Raises:
        UsageError: there is no such program.
    """
    files = lab.source(name)
    texts = [path.read_text(encoding="utf-8") for path in files]
    if len(files) == 1:
        return texts[0]
    return "".join(
        f"// {path.relative_to(lab.PROGRAMS_DIR)}\n{text}\n" for path, text in zip(files, texts, strict=True)
    )


def lab_run(name: str, arguments: list[str]) -> int:
    """Build a program and run it in the foreground until Ctrl-C or its own end; return an exit status."""
    with lab.start(name, arguments, alone=True) as running:
        print(f"{name} is pid {running.pid}; Ctrl-C ends it", flush=True)
        try:
            while running.is_alive:
                time.sleep(0.2)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        print(running.words(), flush=True)
    return os.EX_OK


def _expectation(program: LabProgram) -> str:
    return ",".join(program.expects) if program.expects else "healthy"
