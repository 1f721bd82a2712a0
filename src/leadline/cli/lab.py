"""``leadline lab``: small Go services with one known fault each, and their healthy twins."""

from __future__ import annotations

from typing import Annotated

import typer

from leadline.cli import _options as opt


def register(app: typer.Typer) -> None:
    """Add the command group."""
    lab = typer.Typer(
        help="Small Go services with one known fault each, and their healthy twins, to try every claim on.",
        no_args_is_help=True,
    )
    app.add_typer(lab, name="lab")

    @lab.command("list", epilog="Example:\n\n    leadline lab list")
    def list_(*, json: opt.Json = False) -> None:
        """List the programs: what is planted in each, and what leadline should say."""
        from leadline.app.lab import lab_list  # noqa: PLC0415

        print(lab_list(as_json=json), end="")

    @lab.command("source", epilog="Example:\n\n    leadline lab source http-body-leak")
    def source(
        name: Annotated[str, typer.Argument(metavar="NAME", help="A program of `leadline lab list`.")],
    ) -> None:
        """Print the source of a program."""
        from leadline.app.lab import lab_source  # noqa: PLC0415

        print(lab_source(name), end="")

    @lab.command(
        "run",
        epilog="Example:\n\n    leadline lab run http-body-leak",
        context_settings={"allow_interspersed_args": False},
    )
    def run(
        name: Annotated[str, typer.Argument(metavar="NAME", help="A program of `leadline lab list`.")],
        arguments: Annotated[
            list[str] | None, typer.Argument(metavar="-- ARGS", help="Flags of the program.")
        ] = None,
    ) -> None:
        """Build a program (stripped) and run it until Ctrl-C or its own time limit."""
        from leadline.app.lab import lab_run  # noqa: PLC0415

        given = arguments or []  # the parser leaves the "--" that separates them
        raise typer.Exit(lab_run(name, given[1:] if given[:1] == ["--"] else given))

    @lab.command(
        "check",
        epilog="Examples:\n\n    sudo leadline lab check http-body-leak\n\n    sudo leadline lab check --rounds 5",
    )
    def check(
        names: Annotated[
            list[str] | None, typer.Argument(metavar="[NAME ...]", help="Programs; default: all.")
        ] = None,
        *,
        rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each program is tried.")] = 1,
        jobs: Annotated[int, typer.Option("--jobs", min=1, help="How many run at a time.")] = 4,
    ) -> None:
        """Try leadline on its own lab: each planted fault must be named, each healthy program left alone.

        Exit status: 0 when every verdict was as planted, 1 when not.
        """
        from leadline.app.lab_check import CheckResult, run_checks  # noqa: PLC0415

        def show(result: CheckResult) -> None:
            verdict = "right" if result.is_right else "WRONG"
            print(f"{verdict}  {result.name:<24} {','.join(result.codes) or 'nothing found'}", flush=True)
            for problem in result.problems:
                print(f"         {problem}", flush=True)

        results = run_checks(names or [], rounds=rounds, jobs=jobs, show=show)
        right = sum(result.is_right for result in results)
        print(f"{right} of {len(results)} right")
        raise typer.Exit(0 if right == len(results) else 1)

    @lab.command("demo", epilog="Example:\n\n    sudo leadline lab demo --html report.html")
    def demo(
        *,
        duration: opt.Duration = "12s",
        html: opt.Html = None,
        force: opt.Force = False,
    ) -> None:
        """Build a leaking service, trace it live, and check that the planted line was named.

        Exit status: 0 only when it was.
        """
        from leadline.app.demo import run_demo  # noqa: PLC0415
        from leadline.model import parse_duration_ns  # noqa: PLC0415

        raise typer.Exit(run_demo(duration_ns=parse_duration_ns(duration), html=html, force=force))
