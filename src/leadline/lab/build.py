"""Build lab programs offline into the user's cache, once per source, Go version and flavour."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from leadline.lab.cache import cache_dir, locked
from leadline.lab.catalog import PROGRAMS, PROGRAMS_DIR, find
from leadline.lab.go_tool import GoTool, find_go
from leadline.model import DeadlineExceeded, LeadlineError, Unsupported

__all__ = ["Flavour", "build", "build_all", "second_name"]

_BUILD_DEADLINE_S = 600.0
_KEEP_S = 7 * 24 * 3600.0
"""Binaries not used for a week are removed."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """How to build: ``strip`` without symbol table and DWARF (the default), ``pie``, ``trimpath``."""

    strip: bool = True
    pie: bool = False
    trimpath: bool = False

    @property
    def name(self) -> str:
        """Return a word for the cache, such as ``stripped-pie``."""
        words = ["stripped" if self.strip else "plain"]
        words += ["pie"] * self.pie + ["trimpath"] * self.trimpath
        return "-".join(words)

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of ``go build``."""
        words = ["-ldflags=-s -w"] if self.strip else []
        words += ["-buildmode=pie"] * self.pie + ["-trimpath"] * self.trimpath
        return words


STRIPPED = Flavour()


def build(name: str, *, flavour: Flavour = STRIPPED, go: GoTool | None = None) -> Path:
    """Return the path of a program's binary, built when it is not in the cache.

    Raises:
        UsageError: no such program.
        Unsupported: no Go, or too old a Go for this program.
        LeadlineError: the compiler refused.
        DeadlineExceeded: building took longer than ten minutes.
    """
    return build_all([name], flavour=flavour, go=go)[name]


def build_all(
    names: Iterable[str] | None = None,
    *,
    flavour: Flavour = STRIPPED,
    go: GoTool | None = None,
    jobs: int = 2,
) -> dict[str, Path]:
    """Return the binaries of several programs, those that are missing built by one run of ``go build``.

    Args:
        names: all programs that this Go can build when None.
        flavour: how to build.
        go: toolchain; found by :func:`find_go` when None.
        jobs: compilers and linkers at the same time.

    Raises:
        As :func:`build`.
    """
    go = go or find_go()
    if names is None:
        names = [program.name for program in PROGRAMS.values() if go.release >= program.min_go]
    paths: dict[str, Path] = {}
    for name in names:
        program = find(name)
        if go.release < program.min_go:
            raise Unsupported(
                f"{name} needs Go {program.min_go[0]}.{program.min_go[1]}, this is {go.version}",
                remedy="put a newer go on PATH",
            )
        paths[name] = _place(program.source_folder, flavour, go)
    for path in paths.values():
        with suppress(FileNotFoundError):
            os.utime(path.parent)  # used just now, so not to be forgotten
    if not all(path.exists() for path in paths.values()):
        with locked(cache_dir() / "lab.lock", deadline_s=_BUILD_DEADLINE_S):
            missing = {path.name: path for path in paths.values() if not path.exists()}
            if missing:
                _build_missing(missing, flavour, go, jobs)
                _forget_unused()
    return paths


def second_name(binary: Path) -> Path:
    """Return the name under which the second process of a program runs, so that its own name means the observed one."""
    return binary.with_name(f"peer-of-{binary.name}")


def _place(folder: str, flavour: Flavour, go: GoTool) -> Path:
    # The key covers all that goes into the binary, and the folder: its path is recorded in the line table.
    digest = hashlib.sha256(f"{go.version}\0{go.path}\0{flavour.name}\0{PROGRAMS_DIR}\0".encode())
    shared = [PROGRAMS_DIR / "go.mod", *(PROGRAMS_DIR / "internal").rglob("*.go")]
    shared += (path for path in (PROGRAMS_DIR / "third_party/kit").rglob("*") if path.is_file())
    for path in sorted([*shared, *(PROGRAMS_DIR / folder).rglob("*.go")]):
        digest.update(f"{path.relative_to(PROGRAMS_DIR)}\0".encode() + path.read_bytes() + b"\0")
    return cache_dir() / "lab" / f"{go.version}-{flavour.name}" / digest.hexdigest()[:16] / folder


def _build_missing(missing: dict[str, Path], flavour: Flavour, go: GoTool, jobs: int) -> None:
    cache = cache_dir()
    with tempfile.TemporaryDirectory(dir=cache, prefix="lab-build-") as scratch:
        out = Path(scratch) / "bin"
        out.mkdir()
        command: list[str | Path] = [go.path, "build", "-p", str(jobs), *flavour.arguments, "-o", f"{out}/"]
        try:
            done = subprocess.run(
                [*command, *(f"./{name}" for name in missing)],
                cwd=PROGRAMS_DIR,
                env=_environment(Path(scratch)),
                capture_output=True,
                timeout=_BUILD_DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeadlineExceeded(f"go build took longer than {_BUILD_DEADLINE_S:.0f} s") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise LeadlineError(
                f"{go.version} could not build the lab:\n{said}", remedy="see its words above"
            )
        for name, path in missing.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            second = second_name(path)
            second.unlink(missing_ok=True)
            second.hardlink_to(out / name)
            (out / name).rename(path)  # last and atomic: whoever looks sees a whole binary or none


def _environment(scratch: Path) -> dict[str, str]:
    # Made from nothing but what is named here, so that no GOFLAGS, GOOS or go.work of the user changes the binary.
    # The user's own build cache is used, as it usually has the standard library compiled already.
    given = os.environ.get("GOCACHE", "")
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "go-build"  # noqa: PTH111  Path.expanduser raises without a home
    if not given:
        usable = usual if os.access(usual, os.W_OK | os.X_OK) else cache_dir() / "go-build"
        given = str(usable)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "GOCACHE": given,
        "GOPATH": str(scratch / "gopath"),
        "GOENV": "off",
        "GOWORK": "off",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false -mod=readonly",
        "GOTELEMETRY": "off",
        "CGO_ENABLED": "0",
    }


def _forget_unused() -> None:
    oldest = time.time() - _KEEP_S
    for folder in (cache_dir() / "lab").glob("*/*"):
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
