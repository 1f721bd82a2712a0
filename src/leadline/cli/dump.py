"""``leadline dump``: what a goroutine dump tells that somebody made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadline.cli import _options as opt

EPILOG = """\
Examples:

    leadline dump goroutines.txt                   groups by state and stack, largest first, and findings

    curl -s http://localhost:6060/debug/pprof/goroutine?debug=2 | leadline dump -

    leadline dump now.txt --diff hour-ago.txt      what has grown, and who still waits in the same place

    leadline dump crash.log.gz --text > clean.txt  the dump alone, without the log around it

Exit status: 0 nothing found, 1 findings, 2 not a dump.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("dump", epilog=EPILOG)
    def dump(
        file: Annotated[
            Path,
            typer.Argument(
                metavar="FILE",
                help="Output of /debug/pprof/goroutine?debug=2 (or 1), SIGQUIT or a crash; also gzipped or in a log. - is stdin.",
            ),
        ],
        *,
        diff: Annotated[
            Path | None, typer.Option("--diff", help="An older dump of the same process.", metavar="OLDER")
        ] = None,
        full: Annotated[
            bool, typer.Option("--full", help="Each goroutine by itself instead of groups.")
        ] = False,
        text: Annotated[
            bool, typer.Option("--text", help="As Go prints it for debug=2, for tools that read dumps.")
        ] = False,
        limit: Annotated[
            int, typer.Option("-n", metavar="COUNT", min=0, help="How many groups to show; 0 shows all.")
        ] = 20,
        output: opt.Case = None,
        json: opt.Json = False,
        pprof: Annotated[
            Path | None,
            typer.Option(
                "--pprof", help="Also write a goroutine profile for `go tool pprof`.", metavar="FILE"
            ),
        ] = None,
        force: opt.Force = False,
        exit_zero: opt.ExitZero = False,
        fail_on_gap: opt.FailOnGap = False,
        verbose: opt.Verbose = False,
    ) -> None:
        """Group, judge and compare the goroutines of a dump, of any Go version, with a log around it."""
        from leadline.app.dump import DumpOptions, show_dump  # noqa: PLC0415

        options = DumpOptions(
            older=diff, view="text" if text else "full" if full else "group", limit=limit, json=json, pprof=pprof,
            case=output, force=force, exit_zero=exit_zero, fail_on_gap=fail_on_gap, verbose=verbose,
        )  # fmt: skip
        raise typer.Exit(show_dump(file, options))
