"""``leadline census``: one look at the descriptors of one process, or of all."""

from __future__ import annotations

from typing import Annotated

import typer

from leadline.cli import _options as opt

EPILOG = """\
Examples:

    leadline census 4711          one process: kinds, duplicates, head-room

    leadline census --all         every process that may be read, fullest first

No root is needed for your own processes.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("census", epilog=EPILOG)
    def census(
        target: Annotated[
            str | None,
            typer.Argument(
                metavar="[TARGET]", help="pid, name:NAME, port:8080, unit:NAME, container:ID or pod:NS/NAME."
            ),
        ] = None,
        *,
        all_: Annotated[bool, typer.Option("--all", "-a", help="Every process that may be read.")] = False,
        output: opt.Case = None,
        json: opt.Json = False,
        html: opt.Html = None,
        force: opt.Force = False,
        exit_zero: opt.ExitZero = False,
        fail_on_gap: opt.FailOnGap = False,
        verbose: opt.Verbose = False,
    ) -> None:
        """Count the descriptors of a process by kind, once, with head-room to its limits."""
        from leadline.app.census import census_all, census_target  # noqa: PLC0415
        from leadline.app.outputs import OutputOptions, deliver  # noqa: PLC0415
        from leadline.model import UsageError  # noqa: PLC0415

        if (target is None) == (not all_):
            raise UsageError(
                "name one target, or --all", remedy="leadline census 4711, or leadline census --all"
            )
        if target is None:
            print(census_all(as_json=json, verbose=verbose), end="")
            raise typer.Exit
        outputs = OutputOptions(
            case=output, json=json, html=html, force=force, verbose=verbose, view="census"
        )
        outputs.check()
        raise typer.Exit(
            deliver(census_target(target), outputs, exit_zero=exit_zero, fail_on_gap=fail_on_gap)
        )
