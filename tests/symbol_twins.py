"""Builds one Go program stripped and unstripped, and asks Go itself what lies at its addresses.

The unstripped twin has the same text, so ``go tool addr2line`` on it is the truth for the stripped one; inside the running
program ``runtime.CallersFrames`` is.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from leadline.formats.elfimage import ElfImage
from leadline.formats.elfsym import ElfSymbols
from leadline.formats.gobinary import GoBinary, open_go_binary
from leadline.formats.procmaps import MapEntry, parse_maps
from leadline.formats.symbolize import ProcessSymbols

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "FLAVOURS",
    "Scene",
    "Toolchain",
    "Twins",
    "agreement",
    "build",
    "cached_toolchains",
    "installed_go",
    "launched",
    "logical_frames",
    "map_file",
    "open_binary",
    "running",
    "symbol_table",
]

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "fixtures" / "gosrc" / "symbols"
CACHE = ROOT / ".cache" / "go"

# Flavour to (build flags, linker flags of both twins, cgo).
FLAVOURS: dict[str, tuple[list[str], str, bool]] = {
    "plain": ([], "", False),
    "trimpath": (["-trimpath"], "", False),
    "pie": (["-buildmode=pie", "-trimpath"], "", False),
    "cgo": ([], "-linkmode=external", True),
    "cgo-pie": (["-buildmode=pie"], "-linkmode=external", True),
}


@dataclass(frozen=True)
class Toolchain:
    """A Go toolchain; ``version`` without ``go``, such as 1.26.8."""

    version: str
    goroot: Path

    @property
    def minor(self) -> int:
        return int(self.version.split(".")[1])


@dataclass(frozen=True)
class Twins:
    """The same program twice; ``full`` has symbols and DWARF."""

    go: Toolchain
    flavour: str
    stripped: Path
    full: Path


@dataclass(frozen=True)
class Scene:
    """One stack as Go sees it: program counters of runtime.Callers, (function, file, line) of CallersFrames."""

    name: str
    pcs: list[int]
    frames: list[tuple[str, str, int]]
    extra: dict[str, int]


def installed_go() -> Toolchain | None:
    """Return the Go on PATH, None without one."""
    go = shutil.which("go")
    if go is None:
        return None
    answer = _run([go, "env", "GOROOT", "GOVERSION"], cwd=Path("/"))
    goroot, version = answer.split("\n")[:2]
    return Toolchain(version.removeprefix("go"), Path(goroot))


def cached_toolchains() -> list[Toolchain]:
    """Return the toolchains that ``tools/go_offsets.py --fetch`` has brought, oldest first."""
    found = [Toolchain(path.name, path) for path in CACHE.glob("1.*") if (path / "bin" / "go").exists()]
    return sorted(found, key=lambda go: [int(part) for part in go.version.split(".")])


def build(go: Toolchain, flavour: str, folder: Path, *, arch: str = "") -> Twins:
    """Build both twins of one flavour; for another architecture when ``arch`` is given."""
    flags, linker, cgo = FLAVOURS[flavour]
    folder.mkdir(parents=True, exist_ok=True)
    twins = Twins(go, flavour, folder / "stripped", folder / "full")
    for path, extra in ((twins.stripped, "-s -w"), (twins.full, "")):
        command = [
            str(go.goroot / "bin" / "go"),
            "build",
            *flags,
            f"-ldflags={linker} {extra}",
            "-o",
            str(path),
            ".",
        ]
        _run(command, cwd=SOURCE, go=go, cgo=cgo, arch=arch)
    return twins


def agreement(twins: Twins, *, count: int = 2000, seed: int = 23) -> tuple[int, list[str]]:
    """Return how many of ``count`` random text addresses agree with addr2line, and the differences."""
    binary = open_binary(twins.stripped)
    functions = binary.table.functions()
    first, last = functions[0].entry, functions[-1].end
    choose = random.Random(seed)
    addresses = [choose.randrange(first, last) for _ in range(count)]
    # addr2line of Go 1.18 and 1.19 finds no table in position-independent files; later ones read these files too.
    asked = installed_go() if twins.go.minor < 20 and "pie" in twins.flavour else twins.go
    go = asked or twins.go
    command = [str(go.goroot / "bin" / "go"), "tool", "addr2line", str(twins.full)]
    text = "".join(f"{place:#x}\n" for place in addresses)
    lines = _run(command, cwd=SOURCE, go=go, text=text).split("\n")
    agreed, differences = 0, []
    for number, address in enumerate(addresses):
        name, where = lines[2 * number], lines[2 * number + 1]
        file, _, line = where.rpartition(":")
        told = (name, None, None) if file in ("", "?") or int(line) <= 0 else (name, file, int(line))
        frames = binary.table.frames_at(address)
        seen = (frames[-1].function, frames[0].file, frames[0].line) if frames else ("?", None, None)
        if seen[1] is None or seen[2] is None:
            seen = (seen[0], None, None)
        if seen == told:
            agreed += 1
        else:
            differences.append(f"{address:#x}: addr2line {told}, leadline {seen}")
    return agreed, differences


def open_binary(path: Path) -> GoBinary:
    """Open a Go binary over a file mapping."""
    binary = open_go_binary(ElfImage(map_file(path)))
    if binary is None:
        raise AssertionError(f"{path} is not a Go binary")
    return binary


def symbol_table(binary: GoBinary) -> ElfSymbols:
    """Return the symbol table of an unstripped binary."""
    return ElfSymbols(binary.image)


def logical_frames(symbols: ProcessSymbols, scene: Scene) -> list[tuple[str, str, int]]:
    """Return the frames for the physical program counters of a scene.

    runtime.Callers lists a program counter for each logical frame since Go 1.21, and for each physical one before; so the
    ones that belong to calls inlined into the same function are skipped.
    """
    found: list[tuple[str, str, int]] = []
    at = 0
    while at < len(scene.pcs):
        chain = symbols.resolve((scene.pcs[at],))
        found += [(frame.function, frame.file or "", frame.line or 0) for frame in chain]
        at += len(chain) if len(scene.pcs) == len(scene.frames) else 1
    return found


def map_file(path: Path) -> memoryview:
    """Return the bytes of a file without reading it."""
    with path.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ))


@contextmanager
def launched(path: Path) -> Iterator[tuple[int, list[Scene]]]:
    """Run the program; yield its pid and the scenes it printed, while it lives."""
    with subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            scenes: list[Scene] = []
            while not scenes or scenes[-1].name != "end":
                line = process.stdout.readline() if process.stdout else b""
                if not line:
                    raise AssertionError(f"{path} ended early")
                scenes.append(_scene(line))
            yield process.pid, scenes
        finally:
            process.kill()


@contextmanager
def running(path: Path) -> Iterator[tuple[ProcessSymbols, list[Scene]]]:
    """Run the program; yield its symbols and the scenes it printed, while it lives."""
    with launched(path) as (pid, scenes):

        def opener(entry: MapEntry) -> memoryview | None:
            if entry.path == "[vdso]":
                return None
            return map_file(Path(f"/proc/{pid}/map_files/{entry.start:x}-{entry.end:x}"))

        yield ProcessSymbols(parse_maps(Path(f"/proc/{pid}/maps").read_bytes()), opener), scenes


def _scene(line: bytes) -> Scene:
    record = json.loads(line)
    frames = [(frame["Function"], frame["File"], frame["Line"]) for frame in record["Frames"]]
    return Scene(record["Name"], record["PCs"], frames, record["Extra"])


def _run(
    command: list[str],
    *,
    cwd: Path,
    go: Toolchain | None = None,
    cgo: bool = False,
    arch: str = "",
    text: str = "",
) -> str:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOPROXY": "off"}
    environment |= {"CGO_ENABLED": "1" if cgo else "0"}
    if arch:
        environment["GOARCH"] = arch
    if go is not None:
        environment["GOROOT"] = str(go.goroot)
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=900,
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return done.stdout
