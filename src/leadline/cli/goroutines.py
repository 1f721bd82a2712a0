"""``leadline goroutines``: the goroutines of a running Go process, read from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadline.cli import _options as opt

EPILOG = """\
Examples:

    sudo leadline goroutines 4711                       groups by state and stack, largest first

    sudo leadline goroutines port:8080 --interval 5s    and which of them are parked all the time

    sudo leadline goroutines 4711 --by-fd               who waits on which descriptor, until when

    sudo leadline goroutines 4711 --text > dump.txt     as debug=2 prints it, for other tools

    leadline goroutines --from-pprof http://localhost:6060    asked from the program itself

The target is read from outside: it is not stopped and needs no endpoint. Exit status: 0 read, 2 could not be read.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("goroutines", epilog=EPILOG)
    def goroutines(
        target: Annotated[
            str | None,
            typer.Argument(
                metavar="[TARGET]", help="pid, name:NAME, port:8080, unit:NAME, container:ID or pod:NS/NAME."
            ),
        ] = None,
        *,
        group: Annotated[bool, typer.Option("--group", help="By state and stack (the default).")] = False,
        full: Annotated[
            bool, typer.Option("--full", help="Each goroutine by itself instead of groups.")
        ] = False,
        by_fd: Annotated[
            bool, typer.Option("--by-fd", help="By descriptor: who waits on it, and until when.")
        ] = False,
        text: Annotated[
            bool, typer.Option("--text", help="As Go prints it for debug=2, for tools that read dumps.")
        ] = False,
        interval: Annotated[
            str | None,
            typer.Option(
                "--interval", help="Look twice, so far apart: tells parked from busy.", metavar="TIME"
            ),
        ] = None,
        limit: Annotated[
            int,
            typer.Option(
                "-n", metavar="COUNT", min=0, help="How many groups or descriptors to show; 0 shows all."
            ),
        ] = 20,
        output: opt.Case = None,
        json: opt.Json = False,
        pprof: Annotated[
            Path | None,
            typer.Option(
                "--pprof", help="Also write a goroutine profile for `go tool pprof`.", metavar="FILE"
            ),
        ] = None,
        from_pprof: Annotated[
            str | None,
            typer.Option(
                "--from-pprof",
                help="Ask the program's net/http/pprof instead; it stops meanwhile.",
                metavar="URL",
            ),
        ] = None,
        leaks_from_pprof: Annotated[
            str | None,
            typer.Option(
                "--leaks-from-pprof",
                help="After the look, ask which goroutines can never go on (Go 1.27); this runs a garbage collection.",
                metavar="URL",
            ),
        ] = None,
        force: opt.Force = False,
        verbose: opt.Verbose = False,
    ) -> None:
        """Show the goroutines of a running Go process, without stopping it and without an endpoint in it."""
        from leadline.app.goroutines import GoroutinesOptions, show_goroutines  # noqa: PLC0415
        from leadline.model import UsageError, parse_duration_ns  # noqa: PLC0415

        views = [
            name
            for name, is_on in (("group", group), ("full", full), ("by-fd", by_fd), ("text", text))
            if is_on
        ]
        if len(views) > 1:
            raise UsageError(f"--{views[0]} and --{views[1]} exclude each other", remedy="choose one of them")
        options = GoroutinesOptions(
            view=views[0] if views else "group", limit=limit, json=json, pprof=pprof, case=output, force=force,
            interval_ns=None if interval is None else parse_duration_ns(interval), from_pprof=from_pprof,
            leaks_from_pprof=leaks_from_pprof, verbose=verbose,
        )  # fmt: skip
        raise typer.Exit(show_goroutines(target, options))
