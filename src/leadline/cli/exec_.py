"""``leadline exec``: run a command under watch and fail when it leaks descriptors."""

from __future__ import annotations

from typing import Annotated

import typer

from leadline.cli import _options as opt

EPILOG = """\
Examples:

    sudo leadline exec -- go test ./...                    a leak sanitizer for tests

    sudo leadline exec -d 60s --sarif leaks.sarif -- ./server -config test.yaml

    sudo leadline exec --strict -- ./batch-job             what is open at exit fails, too

Exit status: 1 when a leak was found, 2 when leadline could not run, else the exit status of the command.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("exec", epilog=EPILOG, context_settings={"allow_interspersed_args": False})
    def exec_(
        command: Annotated[
            list[str], typer.Argument(metavar="-- CMD ...", help="The command and its arguments, after --.")
        ],
        *,
        duration: Annotated[
            str | None,
            typer.Option(
                "-d",
                "--duration",
                help="Judge after this time and end the command; default: when it ends.",
                metavar="TIME",
            ),
        ] = None,
        strict: Annotated[
            bool, typer.Option("--strict", help="Fail also on descriptors that are merely open at exit.")
        ] = False,
        no_uprobes: opt.NoUprobes = False,
        source: opt.Source = None,
        output: opt.Case = None,
        json: opt.Json = False,
        html: opt.Html = None,
        pprof: opt.Pprof = None,
        flame: opt.Flame = None,
        sarif: opt.Sarif = None,
        junit: opt.JUnit = None,
        github: opt.GitHub = False,
        force: opt.Force = False,
        exit_zero: opt.ExitZero = False,
        fail_on_gap: opt.FailOnGap = False,
        verbose: opt.Verbose = False,
    ) -> None:
        """Run a command and fail when it, or a child of it, leaks descriptors.

        Watching begins before the first instruction of the command. Its input and output are its own; the report goes to stderr
        (with --json to stdout).
        """
        from leadline.app.exec import ExecOptions, exec_command  # noqa: PLC0415
        from leadline.app.outputs import OutputOptions, deliver  # noqa: PLC0415
        from leadline.model import parse_duration_ns  # noqa: PLC0415

        outputs = OutputOptions(
            case=output, json=json, html=html, pprof=pprof, flame=flame, sarif=sarif, junit=junit, github=github,
            force=force, verbose=verbose, text_to_stderr=True,
        )  # fmt: skip
        outputs.check()
        ran = exec_command(
            command,
            ExecOptions(
                duration_ns=None if duration is None else parse_duration_ns(duration),
                strict=strict,
                uprobes=not no_uprobes,
                source=source,
            ),
        )
        found = deliver(ran.case, outputs, exit_zero=exit_zero, fail_on_gap=fail_on_gap)
        raise typer.Exit(found or int(ran.is_strictly_failed) or ran.command_exit)
