"""Options that several commands share: same name, same letter, same meaning everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Case",
    "CasePath",
    "Duration",
    "ExitZero",
    "FailOnGap",
    "Flame",
    "Follow",
    "Force",
    "GitHub",
    "HeapLimit",
    "Html",
    "JUnit",
    "Json",
    "NoRuntime",
    "NoUprobes",
    "Pprof",
    "Retention",
    "Sarif",
    "Source",
    "Target",
    "UntilSure",
    "Verbose",
]

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="pid, name:NAME, port:8080, unit:NAME, container:ID or pod:NS/NAME.",
    ),
]
Duration = Annotated[
    str,
    typer.Option(
        "-d", "--duration", help="How long to watch; with its unit: 500ms, 30s, 2m.", metavar="TIME"
    ),
]
Case = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Keep the evidence in this case file (*.leadline).", metavar="CASE"),
]
CasePath = Annotated[
    Path, typer.Argument(metavar="CASE", help="A case file that trace, exec or census wrote with -o.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Html = Annotated[
    Path | None, typer.Option("--html", help="Also write a self-contained HTML report.", metavar="FILE")
]
Pprof = Annotated[
    Path | None,
    typer.Option(
        "--pprof", help="Also write open descriptors as a profile for `go tool pprof`.", metavar="FILE"
    ),
]
Flame = Annotated[
    Path | None,
    typer.Option(
        "--flame",
        help="Also write a flame graph: *.svg, or folded stacks for any other name.",
        metavar="FILE",
    ),
]
Sarif = Annotated[
    Path | None, typer.Option("--sarif", help="Also write findings as SARIF 2.1.0.", metavar="FILE")
]
JUnit = Annotated[
    Path | None, typer.Option("--junit", help="Also write findings as JUnit XML.", metavar="FILE")
]
GitHub = Annotated[bool, typer.Option("--github", help="Also print findings as GitHub workflow annotations.")]
Source = Annotated[
    Path | None,
    typer.Option(
        "--source", help="Source tree of the service: findings show the lines of code.", metavar="DIR"
    ),
]
Follow = Annotated[bool, typer.Option("--follow", help="Watch the children of the target, too.")]
UntilSure = Annotated[
    bool,
    typer.Option(
        "--until-sure", help="End as soon as every birthplace is decided; the duration is then the limit."
    ),
]
NoUprobes = Annotated[
    bool, typer.Option("--no-uprobes", help="Do not join helper goroutines to their callers by uprobes.")
]
NoRuntime = Annotated[
    bool,
    typer.Option("--no-runtime", help="Do not read goroutines and connections from the target's memory."),
]
Retention = Annotated[
    bool,
    typer.Option(
        "--retention", help="Search the heap for what keeps connections reachable that no goroutine uses."
    ),
]
HeapLimit = Annotated[
    str,
    typer.Option(
        "--heap-limit", metavar="SIZE", help="Most memory of the target that a search of its heap may read."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="Exit 0 even when there are findings.")]
FailOnGap = Annotated[
    bool, typer.Option("--fail-on-gap", help="Exit 1 also when something could not be seen or judged.")
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Show also what is healthy, whole stacks and all evidence.")
]
