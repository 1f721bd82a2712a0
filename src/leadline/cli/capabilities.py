"""``leadline capabilities``: what this host allows, and what each missing right would add."""

from __future__ import annotations

import typer

from leadline.cli import _options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("capabilities", epilog="Example:\n\n    sudo leadline capabilities")
    def capabilities(*, json: opt.Json = False) -> None:
        """Print what this host and these rights allow, and what each missing one would add."""
        from leadline.app.capabilities import capabilities_text  # noqa: PLC0415

        print(capabilities_text(as_json=json), end="")
