"""Names for stacks: where probes go in a binary, whose symbols name a process, and what is said when nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from elf_samples import TEXT, GoFunctionSample, SectionSample, go_elf, make_elf, make_symbols
from leadline.formats.elfimage import ElfImage
from leadline.formats.gooffsets import lookup
from leadline.formats.symbolize import ProcessSymbols
from leadline.model import NotPermitted, TargetGone
from leadline.probes.trace_descriptors.names import (
    MAX_FRAMES,
    Names,
    go_offsets,
    go_version,
    join_places,
    starters,
)
from leadline.probes.trace_descriptors.tracker import ASKERS, RELAYS, STARTERS, JoinPlace

if TYPE_CHECKING:
    from leadline.contracts import Host, MappedFile

PID = 4711
IMAGE = (PID, 0)
QUEUE, START, DIAL, PARALLEL = (
    "net/http.(*Transport).queueForDial",
    "net/http.(*Transport).startDialConnForLocked",
    "net.(*Dialer).DialContext",
    "net.(*sysDialer).dialParallel",
)
FILES = ["/demo/main.go", "/go/src/net/http/transport.go", "/go/src/runtime/proc.go"]


def function(name: str, file: int = 0, line: int = 7) -> GoFunctionSample:
    return GoFunctionSample(name, 32, files=[(32, file)], lines=[(32, line)])


FUNCTIONS = [
    function("main.main"),
    function(QUEUE, 1, 1500),
    function(START, 1, 1600),
    function(DIAL, 1, 500),
    function(PARALLEL, 1, 600),
    function("runtime.newproc", 2, 5000),
    function("runtime.goexit", 2, 1700),
]
ADDRESS = {sample.name: TEXT + 32 * number for number, sample in enumerate(FUNCTIONS)}
HTTP_CLIENT = go_elf(FUNCTIONS, FILES)
HTTP_CLIENT_PIE = go_elf(FUNCTIONS, FILES, is_pie=True)
NO_CLIENT = go_elf([function("main.main")], FILES)
NATIVE = make_elf([SectionSample(".text", b"\x90" * 32, 0x1000), *make_symbols([("leak", 0x1000, 32, 2)])])
PIE_KIND = make_elf([SectionSample(".text", b"\x90" * 32, 0x1000)], kind=3)


class Process:
    """A process that maps one file; ``is_alive`` and ``may_read`` can be taken away."""

    def __init__(self, content: bytes, at: int = TEXT) -> None:
        self.content, self.at, self.inode = content, at, 77
        self.is_alive = self.may_read = True
        self.is_ending = False
        self.libraries: list[str] = []
        self.reads: list[str] = []

    def read_proc(self, path: str, *, limit_bytes: int = 0) -> bytes:
        self.reads.append(path)
        if not self.is_alive:
            raise TargetGone(f"{path}: gone")
        if not self.may_read:
            raise NotPermitted(f"{path}: EACCES")
        if self.is_ending:
            return b""
        image = ElfImage(self.content)
        (text,) = (load for load in image.segments if load.is_executable)
        lines = [f"{self.at:x}-{self.at + 4096:x} r-xp {text.offset:08x} 08:01 {self.inode} /srv/app"]
        lines += self.libraries
        return "".join(f"{line}\n" for line in lines).encode()

    def open_object(self, pid: int, entry: MappedFile) -> memoryview | None:
        assert pid == PID
        return memoryview({"/srv/app": self.content, "/lib/x.so": NATIVE}[entry.path])


def names_of(process: Process) -> Names:
    return Names(cast("Host", process))


def symbols_of(content: bytes, at: int = TEXT) -> ProcessSymbols:
    symbols = names_of(Process(content, at)).open(IMAGE)
    assert symbols is not None
    return symbols


def offset_of(content: bytes, name: str) -> int:
    offset = ElfImage(content).vaddr_to_offset(ADDRESS[name])
    assert offset is not None
    return offset


# -- where probes go -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "at"), [(HTTP_CLIENT, TEXT), (HTTP_CLIENT_PIE, 0x5555_0000_0000)], ids=["fixed", "pie"]
)
def test_probes_go_to_file_offsets_of_the_asker_and_the_relay(content: bytes, at: int) -> None:
    assert (ASKERS, RELAYS) == ((QUEUE,), (DIAL,))
    assert join_places(symbols_of(content, at)) == [
        JoinPlace(offset_of(content, QUEUE), relays=False),
        JoinPlace(offset_of(content, DIAL), relays=True),
    ]


@pytest.mark.parametrize("at", [0x5555_0000_0000, 0x7F00_0000_0000])
def test_starters_are_ranges_of_the_process_not_of_the_file(at: int) -> None:
    moved = at - TEXT
    assert starters(symbols_of(HTTP_CLIENT_PIE, at)) == [
        (ADDRESS[name] + moved, ADDRESS[name] + 32 + moved) for name in STARTERS
    ]


def test_a_program_that_does_not_dial_by_http_gets_no_probes() -> None:
    assert join_places(symbols_of(NO_CLIENT)) == []
    assert starters(symbols_of(NO_CLIENT)) == []


@pytest.mark.parametrize("symbols", [None, symbols_of(NATIVE, 0x1000)], ids=["unknown", "native"])
def test_without_go_there_are_neither_probes_nor_a_version(symbols: ProcessSymbols | None) -> None:
    assert join_places(symbols) == []
    assert starters(symbols) == []
    assert go_version(symbols) is None


def test_the_version_is_that_of_the_build_info() -> None:
    assert go_version(symbols_of(HTTP_CLIENT)) == "go1.26.8"
    names = names_of(Process(go_elf([function("main.main")], FILES, version="go1.21.3")))
    names.open(IMAGE)
    info = names.build_info(IMAGE)
    assert info is not None
    assert (info.go_version, info.path) == ("go1.21.3", "demo")
    assert names.build_info((PID, 1)) is None


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_offsets_are_those_of_the_table(machine: str) -> None:
    table = lookup("go1.26.8", machine)
    offsets = go_offsets("go1.26.8", machine)
    assert table is not None
    assert offsets is not None
    assert (offsets.goid, offsets.parent_goid, offsets.gopc) == (
        table.need("g.goid"), table.need("g.parentGoid"), table.need("g.gopc"),
    )  # fmt: skip
    assert offsets.self_at == table.need("g.sched") + table.need("gobuf.g")


def test_a_release_without_parent_ids_has_offset_zero_there() -> None:
    """Go before 1.21 does not keep the parent's id; zero tells the kernel side so."""
    before, since = go_offsets("go1.20.14", "x86_64"), go_offsets("go1.21.13", "x86_64")
    assert before is not None
    assert since is not None
    assert before.parent_goid == 0
    assert since.parent_goid > 0


@pytest.mark.parametrize(
    ("version", "machine"),
    [(None, "x86_64"), ("go1.99.0", "x86_64"), ("go1.26.8", "s390x"), ("", "x86_64"), ("devel", "x86_64")],
)
def test_an_unknown_release_is_refused_never_guessed(version: str | None, machine: str) -> None:
    assert go_offsets(version, machine) is None


# -- whose symbols -------------------------------------------------------------------------------------------------------


def test_a_stack_is_named_leaf_first() -> None:
    names = names_of(Process(HTTP_CLIENT))
    names.open(IMAGE)
    frames, truncated = names.resolve(IMAGE, (ADDRESS[QUEUE] + 8, ADDRESS["main.main"] + 8))
    assert [frame.function for frame in frames] == [QUEUE, "main.main"]
    assert not truncated


def test_an_image_that_was_not_opened_has_question_marks_one_for_each_frame() -> None:
    frames, truncated = names_of(Process(HTTP_CLIENT)).resolve(IMAGE, (1, 2, 3))
    assert [frame.function for frame in frames] == ["?"] * 3
    assert not truncated


@pytest.mark.parametrize("lost", ["is_alive", "may_read"])
def test_a_process_that_cannot_be_read_is_not_opened(lost: str) -> None:
    process = Process(HTTP_CLIENT)
    setattr(process, lost, False)
    names = names_of(process)
    assert names.open(IMAGE) is None
    assert not names.knows(IMAGE)


def test_a_process_without_memory_left_is_not_opened_and_what_was_known_stays() -> None:
    process = Process(HTTP_CLIENT)
    names = names_of(process)
    process.is_ending = True
    assert names.open(IMAGE) is None
    process.is_ending = False
    names.open(IMAGE)
    process.is_ending = True
    assert names.open(IMAGE) is None
    assert names.resolve(IMAGE, (ADDRESS[QUEUE] + 8,))[0][0].function == QUEUE


def test_names_stay_when_the_process_is_gone() -> None:
    process = Process(HTTP_CLIENT)
    names = names_of(process)
    names.open(IMAGE)
    process.is_alive = False
    frames, _ = names.resolve(IMAGE, (ADDRESS[QUEUE] + 8,))
    assert frames[0].function == QUEUE
    assert names.problems() == ()


def test_images_of_one_process_are_told_apart() -> None:
    """After exec the same addresses mean other functions."""
    process = Process(HTTP_CLIENT)
    names = names_of(process)
    names.open(IMAGE)
    assert names.knows(IMAGE)
    assert not names.knows((PID, 1))
    process.content, process.at, process.inode = NATIVE, 0x1000, 79
    names.open((PID, 1))
    assert names.resolve(IMAGE, (ADDRESS[QUEUE] + 8,))[0][0].function == QUEUE
    assert names.resolve((PID, 1), (0x1008,))[0][0].function == "leak"


def test_a_child_that_was_too_short_lived_takes_its_parents_names() -> None:
    names = names_of(Process(HTTP_CLIENT))
    names.open(IMAGE)
    names.adopt((5000, 0), IMAGE)
    assert names.resolve((5000, 0), (ADDRESS[QUEUE] + 8,))[0][0].function == QUEUE
    names.adopt((6000, 0), (9999, 0))
    assert not names.knows((6000, 0)), "a parent that is unknown itself has none to give"


def test_an_image_that_was_opened_keeps_its_own_names() -> None:
    names = names_of(Process(HTTP_CLIENT))
    own = names.open(IMAGE)
    other = names.open((PID, 1))
    names.adopt((PID, 1), IMAGE)
    assert own is not other
    assert names.open((PID, 1)) is other


# -- programs that are known by their file alone -------------------------------------------------------------------------


def test_a_program_at_fixed_addresses_is_named_by_its_file() -> None:
    process = Process(HTTP_CLIENT)
    process.is_alive = False
    names = names_of(process)
    symbols = names.open_program(IMAGE, ElfImage(HTTP_CLIENT))
    assert go_version(symbols) == "go1.26.8"
    assert names.resolve(IMAGE, (ADDRESS[QUEUE] + 8,))[0][0].function == QUEUE
    assert join_places(symbols)[0].offset == offset_of(HTTP_CLIENT, QUEUE)


def test_one_at_a_random_address_is_not() -> None:
    assert ElfImage(PIE_KIND).kind == 3
    names = names_of(Process(HTTP_CLIENT))
    assert names.open_program(IMAGE, ElfImage(PIE_KIND)) is None
    assert not names.knows(IMAGE)


# -- what changes while it runs ------------------------------------------------------------------------------------------


def test_a_library_that_was_loaded_since_is_found_by_looking_once_more() -> None:
    process = Process(HTTP_CLIENT)
    names = names_of(process)
    names.open(IMAGE)
    offset = ElfImage(NATIVE).vaddr_to_offset(0x1000)
    process.libraries = [f"7f0000000000-7f0000001000 r-xp {offset:08x} 08:01 78 /lib/x.so"]
    assert names.resolve(IMAGE, (0x7F00_0000_0008,))[0][0].function == "leak"


def test_code_made_at_run_time_does_not_cause_a_look_for_each_stack() -> None:
    process = Process(HTTP_CLIENT)
    names = names_of(process)
    names.open(IMAGE)
    for address in range(0x7E00_0000_0000, 0x7E00_0000_0100):
        assert names.resolve(IMAGE, (address,))[0][0].function == "?"
    assert process.reads.count(f"{PID}/maps") == 2


@pytest.mark.parametrize(
    ("depth", "root", "truncated"),
    [
        (MAX_FRAMES - 1, "main.main", False),
        (MAX_FRAMES, "main.main", True),
        (MAX_FRAMES, "runtime.goexit", False),
    ],
)
def test_a_full_stack_is_cut_off_unless_its_root_is_seen(depth: int, root: str, truncated: bool) -> None:
    names = names_of(Process(HTTP_CLIENT))
    names.open(IMAGE)
    ips = (ADDRESS["main.main"] + 8,) * (depth - 1) + (ADDRESS[root] + 8,)
    assert names.resolve(IMAGE, ips)[1] is truncated


def test_the_go_statement_is_named_but_not_when_it_is_the_runtimes_own() -> None:
    names = names_of(Process(HTTP_CLIENT))
    names.open(IMAGE)
    frame = names.go_statement(IMAGE, ADDRESS["main.main"] + 8)
    assert frame is not None
    assert (frame.function, frame.line) == ("main.main", 7)
    assert names.go_statement(IMAGE, ADDRESS["runtime.newproc"] + 8) is None
    assert names.go_statement(IMAGE, 0x10) is None
    assert names.go_statement((PID, 1), ADDRESS["main.main"] + 8) is None


def test_a_damaged_object_is_told_while_its_process_lives() -> None:
    process = Process(HTTP_CLIENT)
    names = names_of(process)
    process.libraries = ["7f0000000000-7f0000001000 r-xp 00000000 08:01 78 /lib/bad.so"]

    original = process.open_object
    process.open_object = lambda pid, entry: (  # type: ignore[method-assign]
        memoryview(b"\x7fELFbad") if entry.path == "/lib/bad.so" else original(pid, entry)
    )
    names.open(IMAGE)
    names.resolve(IMAGE, (0x7F00_0000_0008,))
    assert any("/lib/bad.so" in problem for problem in names.problems())
    process.is_alive = False
    assert names.problems() == ()
