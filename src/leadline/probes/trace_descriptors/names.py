"""Names for the stacks of the traced processes, opened while they live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.formats.gooffsets import lookup
from leadline.formats.procmaps import MapEntry, ProcMaps, parse_maps
from leadline.formats.symbolize import ObjectCache, ProcessSymbols
from leadline.model import AccessError, Malformed, SiteFrame
from leadline.probes.trace_descriptors.tracker import ASKERS, RELAYS, STARTERS, GoOffsets, JoinPlace

if TYPE_CHECKING:
    from leadline.contracts import Host
    from leadline.formats.elfimage import ElfImage
    from leadline.formats.gobuildinfo import GoBuildInfo
    from leadline.probes.trace_descriptors.birthplaces import Image

__all__ = ["MAX_FRAMES", "Names", "go_offsets", "go_version", "join_places", "starters"]

MAX_FRAMES = 64
PROGRAM = "program"
ET_EXEC = 2
_ROOTS = ("runtime.goexit", "_start", "clone", "start_thread", "__libc_start")


class Names:
    """Symbols by image. An image that was not opened while its process lived is named by ``?`` frames."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._cache = ObjectCache()
        self._images: dict[Image, ProcessSymbols] = {}
        self._refreshed: set[Image] = set()

    def open(self, image: Image) -> ProcessSymbols | None:
        """Read the mappings of a process as it is now; None when it is gone or may not be read."""
        pid = image[0]
        try:
            maps = parse_maps(self._host.read_proc(f"{pid}/maps"))
        except (AccessError, Malformed):
            return None
        if not len(maps):
            return None  # it is ending: its memory is gone already, its directory is not
        known = self._images.get(image)
        if known is not None:
            known.update(maps)
            return known
        symbols = ProcessSymbols(maps, lambda entry: self._host.open_object(pid, entry), cache=self._cache)
        symbols.main_object()  # opened now: the file may be gone when the process is
        self._images[image] = symbols
        return symbols

    def open_program(self, image: Image, program: ElfImage) -> ProcessSymbols | None:
        """Name an image by its file alone, when its process was too short-lived; None when it was loaded at a random address."""
        if program.kind != ET_EXEC:
            return None
        maps = ProcMaps(
            [
                MapEntry(load.vaddr, load.vaddr + load.memory_size, "r-xp", load.offset, 0, 0, 1, PROGRAM)
                for load in program.segments
                if load.is_executable
            ]
        )
        self._images[image] = ProcessSymbols(maps, lambda _entry: program.view)
        return self._images[image]

    def adopt(self, image: Image, parent: Image) -> None:
        """Name a child that runs its parent's image by the parent's symbols, when it was too short-lived to be opened itself."""
        if image not in self._images and parent in self._images:
            self._images[image] = self._images[parent]

    def knows(self, image: Image) -> bool:
        """Return whether the image was opened."""
        return image in self._images

    def resolve(self, image: Image, ips: tuple[int, ...]) -> tuple[tuple[SiteFrame, ...], bool]:
        """Return the frames of a stack, leaf first, and whether it is cut off."""
        symbols = self._images.get(image)
        if symbols is None:
            return tuple(SiteFrame(function="?") for _ in ips), len(ips) >= MAX_FRAMES
        frames = symbols.resolve(ips)
        if image not in self._refreshed and any(
            frame.function == "?" and frame.file is None for frame in frames
        ):
            self._refreshed.add(
                image
            )  # a library that was loaded since; once is enough for code made at run time
            if self.open(image) is not None:
                frames = symbols.resolve(ips)
        return frames, len(ips) >= MAX_FRAMES and not frames[-1].function.startswith(_ROOTS)

    def go_statement(self, image: Image, gopc: int) -> SiteFrame | None:
        """Return the frame of the ``go`` statement that started a goroutine; None when unknown or the runtime's own."""
        frames, _ = self.resolve(image, (gopc,))
        return frames[0] if frames and frames[0].function != "?" and frames[0].role != "runtime" else None

    def symbols(self, image: Image) -> ProcessSymbols | None:
        """Return the symbols of an image, None when it was not opened."""
        return self._images.get(image)

    def build_info(self, image: Image) -> GoBuildInfo | None:
        """Return what the main binary of an image says of itself, None when it is not Go or was not opened."""
        return _build_info(self._images.get(image))

    def problems(self) -> tuple[str, ...]:
        """Return what could not be read of the objects that stacks led to, in processes that still live."""
        found: dict[str, None] = {}
        for (pid, _), symbols in self._images.items():
            try:
                self._host.read_proc(f"{pid}/stat")
            except AccessError:
                continue  # what a process had mapped is gone with it
            found.update(dict.fromkeys(symbols.problems))
        return tuple(found)


def _build_info(symbols: ProcessSymbols | None) -> GoBuildInfo | None:
    main = None if symbols is None else symbols.main_object()
    return None if main is None or main.go is None else main.go.build_info


def go_version(symbols: ProcessSymbols | None) -> str | None:
    """Return the Go version of the main binary, None for other languages."""
    info = _build_info(symbols)
    return None if info is None else info.go_version


def go_offsets(version: str | None, machine: str) -> GoOffsets | None:
    """Return where a goroutine keeps its identity, None when this release is not in the table."""
    table = None if version is None else lookup(version, machine)
    if table is None:
        return None
    return GoOffsets(
        goid=table.need("g.goid"),
        parent_goid=table["g.parentGoid"] or 0,
        gopc=table.need("g.gopc"),
        self_at=table.need("g.sched") + table.need("gobuf.g"),
    )


def join_places(symbols: ProcessSymbols | None) -> list[JoinPlace]:
    """Return the function entries at which a goroutine asks others to dial; empty when the program does not dial that way.

    ``queueForDial`` runs on the asking goroutine, and only when no pooled connection serves the request: keep-alive traffic
    never gets there.
    """
    if symbols is None:
        return []
    wanted = [*((name, False) for name in ASKERS), *((name, True) for name in RELAYS)]
    return [
        JoinPlace(offset, relays=relays)
        for name, relays in wanted
        if (offset := symbols.function_offset(name)) is not None
    ]


def starters(symbols: ProcessSymbols | None) -> list[tuple[int, int]]:
    """Return the run-time addresses of the functions that start goroutines which dial for others."""
    if symbols is None:
        return []
    return [found for name in STARTERS if (found := symbols.function_range(name)) is not None]
