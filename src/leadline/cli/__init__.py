"""The command line: parse, call ``app``, show. One file per command; the list below is the order of the help."""

from __future__ import annotations

import os
import sys

__all__ = ["build", "main"]


def build() -> object:
    """Return the Typer application with every command."""
    import typer  # noqa: PLC0415  start-up stays quick when only the version is asked

    from leadline.cli import (  # noqa: PLC0415
        capabilities,
        census,
        conns,
        diff,
        dump,
        exec_,
        explain,
        goroutines,
        lab,
        list_,
        replay,
        report,
        trace,
    )

    app = typer.Typer(
        name="leadline",
        help="Sound a live Go service, layer by layer, and name the line that leaks descriptors.\n\n"
        "Exit status: 0 nothing found, 1 findings, 2 could not run.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )

    @app.callback(invoke_without_command=True)
    def root(
        *,
        version: bool = typer.Option(False, "--version", help="Print the version and leave."),
    ) -> None:
        if version:
            from leadline import __version__  # noqa: PLC0415

            print(f"leadline {__version__}")
            raise typer.Exit

    for module in (
        trace,
        exec_,
        census,
        goroutines,
        conns,
        dump,
        replay,
        report,
        diff,
        lab,
        capabilities,
        explain,
        list_,
    ):
        module.register(app)
    return app


def main() -> None:
    """Run the command line; errors of ours become a message, a remedy and exit 2, never a traceback."""
    from leadline.model import LeadlineError  # noqa: PLC0415

    try:
        build()()  # type: ignore[operator]
    except LeadlineError as error:
        print(f"leadline: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"  do: {error.remedy}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("LEADLINE_TRACEBACK"):
            raise
        print(f"leadline: {type(error).__name__}: {error}", file=sys.stderr)
        print(
            "  do: this is a fault of leadline; LEADLINE_TRACEBACK=1 shows where, please report it",
            file=sys.stderr,
        )
        sys.exit(2)
