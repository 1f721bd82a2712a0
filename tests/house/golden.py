"""Golden files hold the whole output as the user sees it; ``make accept`` rewrites them, never a hand."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GOLDENS", "Golden"]

GOLDENS = Path(__file__).resolve().parents[1] / "fixtures" / "goldens"


@dataclass(frozen=True, slots=True)
class Golden:
    """Compares texts with files under ``tests/fixtures/goldens``, or rewrites these when ``accept`` is set."""

    accept: bool

    def check(self, name: str, text: str) -> None:
        """Fail with a unified diff when ``text`` is not what the golden file ``name`` holds."""
        path = GOLDENS / name
        if self.accept:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return
        wanted = path.read_text() if path.exists() else ""
        if text != wanted:
            diff = difflib.unified_diff(wanted.splitlines(), text.splitlines(), "golden", "now", lineterm="")
            raise AssertionError(
                f"{name} differs (accept with `make accept` after reading):\n" + "\n".join(diff)
            )
