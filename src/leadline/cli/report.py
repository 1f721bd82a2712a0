"""``leadline report``: write a case file in other forms."""

from __future__ import annotations

import typer

from leadline.cli import _options as opt
from leadline.model import UsageError

EPILOG = """\
Examples:

    leadline report api.leadline --html api.html

    leadline report api.leadline --pprof api.pb.gz && go tool pprof -top api.pb.gz
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("report", epilog=EPILOG)
    def report(
        case: opt.CasePath,
        *,
        source: opt.Source = None,
        html: opt.Html = None,
        pprof: opt.Pprof = None,
        flame: opt.Flame = None,
        sarif: opt.Sarif = None,
        junit: opt.JUnit = None,
        force: opt.Force = False,
    ) -> None:
        """Write a case file as HTML, pprof profile, flame graph, SARIF or JUnit."""
        from leadline.app.outputs import OutputOptions, write_files  # noqa: PLC0415
        from leadline.app.replay import replay_case  # noqa: PLC0415

        outputs = OutputOptions(html=html, pprof=pprof, flame=flame, sarif=sarif, junit=junit, force=force)
        if not outputs.files():
            raise UsageError(
                "no form was asked for",
                remedy="add --html FILE, --pprof FILE, --flame FILE, --sarif FILE or --junit FILE",
            )
        outputs.check()
        write_files(replay_case(case, source=source), outputs)
