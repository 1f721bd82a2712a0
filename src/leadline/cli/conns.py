"""``leadline conns``: what a program does with each of its connections."""

from __future__ import annotations

from typing import Annotated

import typer

from leadline.cli import _options as opt

EPILOG = """\
Examples:

    sudo leadline conns 4711                       every connection: peer, state, what is done with it, by which goroutine

    sudo leadline conns port:8080 --sort since     longest in its present activity first

    sudo leadline conns name:api --watch           again every two seconds, until Ctrl-C

    sudo leadline conns 4711 --retention           and what keeps connections reachable that no goroutine uses

The target is read from outside: it is not stopped and needs no endpoint. Go 1.21 or later.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("conns", epilog=EPILOG)
    def conns(
        target: opt.Target,
        *,
        sort: Annotated[
            str,
            typer.Option(
                "--sort",
                "-s",
                metavar="COLUMN",
                help="fd, state, activity, peer, age, since, goroutine, site or unread.",
            ),
        ] = "activity",
        limit: Annotated[
            int | None, typer.Option("-n", metavar="COUNT", min=1, help="How many rows to show.")
        ] = None,
        watch: Annotated[
            bool, typer.Option("--watch", "-w", help="Look again and again until Ctrl-C.")
        ] = False,
        every: Annotated[
            str, typer.Option("--every", metavar="TIME", help="Time between looks with --watch.")
        ] = "2s",
        retention: opt.Retention = False,
        heap_limit: opt.HeapLimit = "512MiB",
        json: opt.Json = False,
    ) -> None:
        """Show what a Go program does with each connection, and which goroutine owns it."""
        from leadline.app.conns import ConnsOptions, show_connections  # noqa: PLC0415
        from leadline.app.probes import HeapSearch  # noqa: PLC0415
        from leadline.app.runtime import heap_progress  # noqa: PLC0415
        from leadline.model import parse_duration_ns, parse_size_bytes  # noqa: PLC0415

        options = ConnsOptions(
            sort=sort,
            limit=limit,
            json=json,
            interval_ns=parse_duration_ns(every) if watch else None,
            search=HeapSearch("always", parse_size_bytes(heap_limit), heap_progress()) if retention else None,
        )
        raise typer.Exit(show_connections(target, options))
