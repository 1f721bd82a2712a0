"""``leadline diff``: did the fix work?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadline.cli import _options as opt

EPILOG = """\
Examples:

    leadline diff before.leadline after.leadline

Exit status: 0 no leak remains, 1 a leak remains or is new, 2 could not compare.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("diff", epilog=EPILOG)
    def diff(
        before: Annotated[Path, typer.Argument(metavar="BEFORE", help="Case file from before the change.")],
        after: Annotated[Path, typer.Argument(metavar="AFTER", help="Case file from after the change.")],
        *,
        json: opt.Json = False,
    ) -> None:
        """Compare two cases, birthplace by birthplace, and exit 1 when a leak remains."""
        from leadline.app.replay import diff_cases  # noqa: PLC0415

        text, status = diff_cases(before, after, as_json=json)
        print(text, end="")
        raise typer.Exit(status)
