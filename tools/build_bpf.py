"""Build the BPF programs: ``*.bpf.c`` to light-skeleton blobs, committed beside their source.

    python tools/build_bpf.py           # rebuild; needs ziglang (dependency group bpf), bpftool, libbpf-dev
    python tools/build_bpf.py --check   # rebuild elsewhere and compare bit for bit; exit 1 when they differ

Per object and architecture two files are made: ``<name>.<arch>.lskel`` (the loader program's data, then its
instructions) and ``<name>.<arch>.json`` (order of maps and programs, layout of settings, keys and values, names of
constants, digests). The object is compiled with paths relative to its folder, so any checkout gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

ROOT = Path(__file__).resolve().parent.parent
PROBES = ROOT / "src" / "leadline" / "probes"
ARCHITECTURES = {"x86_64": "LEADLINE_X86_64", "aarch64": "LEADLINE_ARM64"}
HEADERS = Path("/usr/include/bpf/bpf_helpers.h")
# Place of prog_name and expected_attach_type in union bpf_attr of BPF_PROG_LOAD, and the type of uprobe programs.
_NAME_AT, _ATTACH_TYPE_AT, _TYPE_KPROBE = 48, 68, 2


class BuildError(Exception):
    """A tool is missing or refused; the message says what to do."""


def run(command: list[str], **more: Any) -> str:  # noqa: ANN401  passed on to subprocess
    """Run a tool; return its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise BuildError(f"{' '.join(command)}\n{done.stderr}")
    return str(done.stdout)


def tool_versions() -> dict[str, str]:
    """Return the versions that decide over the bytes."""
    if not HEADERS.exists():
        raise BuildError("no bpf/bpf_helpers.h: apt install libbpf-dev")
    if not shutil.which("bpftool"):
        raise BuildError("no bpftool: apt install bpftool")
    helpers = hashlib.sha256()
    for header in ("bpf_helpers.h", "bpf_helper_defs.h", "bpf_core_read.h"):
        helpers.update((HEADERS.parent / header).read_bytes())
    return {
        "bpftool": run(["bpftool", "version"]).split()[1],
        "libbpf_headers_sha256": helpers.hexdigest(),
        "zig": run([sys.executable, "-m", "ziglang", "version"]).strip(),
    }


def compile_object(source: Path, arch: str, out: Path, cache: Path) -> None:
    """Compile one source for one architecture; no absolute path gets into the object."""
    env = {
        **os.environ,
        "ZIG_GLOBAL_CACHE_DIR": str(cache),
        "ZIG_LOCAL_CACHE_DIR": str(cache),
        "SOURCE_DATE_EPOCH": "0",
    }
    run(
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", "bpfel-freestanding", "-O2", "-g", "-c"),
            *("-Wall", "-Werror", f"-D{ARCHITECTURES[arch]}", "-I/usr/include"),
            *(f"-ffile-prefix-map={source.parent}=.", "-fdebug-compilation-dir=."),
            *(source.name, "-o", str(out)),
        ],
        cwd=source.parent,
        env=env,
    )


def skeleton_parts(header: str) -> tuple[bytes, bytes, list[str], list[str]]:
    """Return data, instructions, map names and program names in the order of the loader's context."""
    blobs = []
    for which in ("data", "insns"):
        found = re.search(rf'opts\.{which} = \(void \*\)"(.*?)";', header, re.DOTALL)
        if not found:
            raise BuildError("bpftool wrote a skeleton of an unknown form")
        blobs.append(
            bytes(int(digits or "0", 16) for digits in re.findall(r"\\x([0-9a-f]{2})|\\0", found[1]))
        )
    maps, programs = (re.findall(rf"struct bpf_{which}_desc (\w+);", header) for which in ("map", "prog"))
    return blobs[0], blobs[1], maps, programs


class Types:
    """The object's BTF as ``bpftool btf dump -j`` prints it, turned into plain layouts."""

    def __init__(self, types: list[dict[str, Any]]) -> None:
        self._types = {entry["id"]: entry for entry in types}
        self.structs: dict[str, dict[str, Any]] = {}

    def enums(self) -> dict[str, dict[str, int]]:
        """Return every named enumeration of this project (kernel and helper ones are in capitals or start with bpf)."""
        return {
            entry["name"]: {value["name"]: value["val"] for value in entry["values"]}
            for entry in self._types.values()
            if entry["kind"] == "ENUM" and entry["name"] != "(anon)" and not entry["name"].startswith("bpf")
        }

    def section(self, name: str) -> list[tuple[str, int, int, int]]:
        """Return (variable, offset, size, type) of a data section."""
        for entry in self._types.values():
            if entry["kind"] == "DATASEC" and entry["name"] == name:
                return [
                    (
                        self._types[var["type_id"]]["name"],
                        var["offset"],
                        var["size"],
                        self._types[var["type_id"]]["type_id"],
                    )
                    for var in entry["vars"]
                ]
        return []

    def resolve(self, type_id: int) -> dict[str, Any]:
        """Return a type without typedefs and qualifiers."""
        entry = self._types[type_id]
        while entry["kind"] in ("TYPEDEF", "VOLATILE", "CONST", "RESTRICT"):
            entry = self._types[entry["type_id"]]
        return entry

    def map_definition(self, type_id: int) -> dict[str, Any]:
        """Return kind, sizes and record names of a map from its BTF definition."""
        definition: dict[str, Any] = {}
        for member in self.resolve(type_id)["members"]:
            target = self.resolve(self.resolve(member["type_id"])["type_id"])
            if member["name"] in ("type", "max_entries", "map_flags"):
                definition[member["name"]] = target["nr_elems"]
            else:
                definition[member["name"]] = self.layout(target)
        return definition

    def layout(self, entry: dict[str, Any]) -> str:
        """Return a numpy format (``<u4``, ``S16``, ``struct:name``, ``<u4*145``) and note structs on the way."""
        if entry["kind"] == "INT":
            return f"<{'i' if 'SIGNED' in entry['encoding'] else 'u'}{entry['size']}"
        if entry["kind"] == "ENUM":
            return f"<u{entry['size']}"
        if entry["kind"] == "ARRAY":
            element = self.resolve(entry["type_id"])
            if element.get("name") == "char":
                return f"S{entry['nr_elems']}"
            return f"{self.layout(element)}*{entry['nr_elems']}"
        if entry["kind"] == "STRUCT":
            if entry["name"] not in self.structs:
                self.structs[entry["name"]] = {
                    "size": entry["size"],
                    "fields": [
                        [
                            member["name"],
                            member["bits_offset"] // 8,
                            self.layout(self.resolve(member["type_id"])),
                        ]
                        for member in entry["members"]
                    ],
                }
            return f"struct:{entry['name']}"
        raise BuildError(f"no layout for {entry['kind']} {entry.get('name')}")


def settings(compiled: Path) -> dict[str, list[int]]:
    """Return [offset, size] of each variable in .rodata, in order of offset (BTF has no offsets before linking)."""
    with compiled.open("rb") as file:
        elf = ELFFile(file)
        index = elf.get_section_index(".rodata")
        if index is None:
            return {}
        symbols = elf.get_section_by_name(".symtab")
        if not isinstance(symbols, SymbolTableSection):
            raise BuildError(f"{compiled.name} has no symbols")
        found = {
            symbol.name: [int(symbol["st_value"]), int(symbol["st_size"])]
            for symbol in symbols.iter_symbols()
            if symbol["st_shndx"] == index and symbol["st_info"]["type"] == "STT_OBJECT"
        }
    return dict(sorted(found.items(), key=lambda item: item[1]))


def attach_type_place(blob: bytes, program: str) -> int | None:
    """Return where in the loader's data the attach type of a uprobe program stands, None for other programs.

    Section names of libbpf 1.1 know no uprobe-multi programs; the host sets the type when it loads.
    """
    name = program.encode()[:15].ljust(16, b"\0")
    places = [match.start() for match in re.finditer(re.escape(name), blob)]
    for place in places:
        start = place - _NAME_AT
        if start >= 0 and int.from_bytes(blob[start : start + 4], "little") == _TYPE_KPROBE:
            return start + _ATTACH_TYPE_AT
    return None


def build(source: Path, arch: str, work: Path, versions: dict[str, str]) -> dict[str, bytes]:
    """Return the contents of the committed files by name."""
    name = source.name.removesuffix(".bpf.c")
    # The name of the object becomes the name of its .rodata map: keep it the same for all architectures.
    folder = work / arch
    folder.mkdir(parents=True, exist_ok=True)
    compiled = folder / f"{name}.o"
    compile_object(source, arch, compiled, work / "zig")
    data, insns, maps, programs = skeleton_parts(
        run(["bpftool", "gen", "skeleton", "-L", str(compiled), "name", name])
    )
    types = Types(json.loads(run(["bpftool", "-j", "btf", "dump", "file", str(compiled)]))["types"])
    definitions = {var: types.map_definition(type_id) for var, _, _, type_id in types.section(".maps")}
    rodata = settings(compiled)
    layout = {
        "format": 1,
        "object": name,
        "arch": arch,
        "tools": versions,
        "data_bytes": len(data),
        "sha256": hashlib.sha256(data + insns).hexdigest(),
        "maps": [{"name": entry, **definitions.get(entry, {})} for entry in maps],
        "programs": [{"name": entry, "attach_type_at": attach_type_place(data, entry)} for entry in programs],
        "rodata": {
            "size": max((offset + size for offset, size in rodata.values()), default=0),
            "variables": rodata,
        },
        "structs": types.structs,
        "enums": types.enums(),
    }
    return {
        f"{name}.{arch}.lskel": data + insns,
        f"{name}.{arch}.json": (json.dumps(layout, indent=1) + "\n").encode(),
    }


def main() -> int:
    """Build or check every object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed files, write nothing"
    )
    parser.add_argument("--keep", type=Path, help="keep the compiled objects in this folder")
    arguments = parser.parse_args()
    wrong = []
    try:
        versions = tool_versions()
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(arguments.keep or temporary).resolve()
            for source in sorted(PROBES.glob("*/*.bpf.c")):
                for arch in ARCHITECTURES:
                    for name, content in build(source, arch, work, versions).items():
                        path = source.parent / name
                        same = path.exists() and path.read_bytes() == content
                        if not arguments.check and not same:
                            path.write_bytes(content)
                        wrong += [] if same else [name]
                        print(f"{'same' if same else 'differs':8}{len(content):8}  {path.relative_to(ROOT)}")
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if arguments.check and wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
