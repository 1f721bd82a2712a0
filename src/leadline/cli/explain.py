"""``leadline explain``: the page of a rule."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("explain", epilog="Example:\n\n    leadline explain FDL101")
    def explain(
        code: Annotated[str, typer.Argument(metavar="CODE", help="Rule code or name, such as FDL101.")],
    ) -> None:
        """Print a rule's page: what it finds, how it decides, when it is wrong, what to do."""
        from leadline.app.catalogue import rule_page  # noqa: PLC0415

        print(rule_page(code), end="")
