"""``leadline list``: what there is."""

from __future__ import annotations

from typing import Annotated

import typer

from leadline.cli import _options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("list", epilog="Examples:\n\n    leadline list rules\n\n    leadline list exporters --json")
    def list_(
        what: Annotated[str, typer.Argument(metavar="rules|probes|exporters", help="Which list.")],
        *,
        json: opt.Json = False,
    ) -> None:
        """List the rules, probes or exporters."""
        from leadline.app.catalogue import catalogue  # noqa: PLC0415

        print(catalogue(what, as_json=json), end="")
