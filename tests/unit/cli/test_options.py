"""The same option has the same letter and the same words in every command."""

from __future__ import annotations

from collections import defaultdict

import typer.main

from leadline.cli import build


def test_an_option_means_the_same_everywhere() -> None:
    app = typer.main.get_command(build())  # type: ignore[arg-type]
    spelled: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    said: dict[str, set[str]] = defaultdict(set)
    for command in app.commands.values():  # type: ignore[attr-defined]
        for param in getattr(command, "params", ()):
            long = next((option for option in param.opts if option.startswith("--")), None)
            if long is not None and long != "--help":
                spelled[long].add(tuple(sorted(param.opts)))
                said[long].add(param.help)
    assert {"--duration", "--output", "--json", "--verbose"} <= set(spelled)
    assert {name: forms for name, forms in spelled.items() if len(forms) > 1} == {}
    # exec ends its command at the end of the duration, which has to be said; profiles are of descriptors or of goroutines.
    assert {name for name, words in said.items() if len(words) > 1} <= {"--duration", "--pprof"}
