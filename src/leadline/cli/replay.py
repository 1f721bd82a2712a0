"""``leadline replay``: judge a case file again; the same evidence gives the same report."""

from __future__ import annotations

import typer

from leadline.cli import _options as opt

EPILOG = """\
Examples:

    leadline replay api.leadline                 the report, as on the machine where it was recorded

    leadline replay api.leadline --json > api.json
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("replay", epilog=EPILOG)
    def replay(
        case: opt.CasePath,
        *,
        source: opt.Source = None,
        json: opt.Json = False,
        github: opt.GitHub = False,
        exit_zero: opt.ExitZero = False,
        fail_on_gap: opt.FailOnGap = False,
        verbose: opt.Verbose = False,
    ) -> None:
        """Judge a case file again, on any machine, without rights."""
        from leadline.app.outputs import OutputOptions, deliver  # noqa: PLC0415
        from leadline.app.replay import replay_case  # noqa: PLC0415

        outputs = OutputOptions(json=json, github=github, verbose=verbose)
        raise typer.Exit(
            deliver(replay_case(case, source=source), outputs, exit_zero=exit_zero, fail_on_gap=fail_on_gap)
        )
