"""Which functions use a package variable, for stripped programs, where variables have no names.

Code refers to a package variable by a distance from the instruction. On amd64 that is a 32-bit displacement behind a ModRM byte
with mod 00 and r/m 101, counted from the end of the instruction, so the opcode tells how many immediate bytes follow. On arm64
it is ADRP (the page) and, in the next instruction, ADD or a load or store with the offset in the page.

The whole text is searched once. A place inside a variable is given to the nearest lower address that code refers to, at
most 4 KiB away: that is where the variable, or a field of it, begins.

Source: Intel SDM volume 2, 2.1.5 (ModRM) and 2.2.1.6 (RIP-relative addressing), appendix A (opcode maps); Arm ARM C6.2
(ADRP, ADD immediate, LDR and STR immediate with unsigned offset).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import GoProcess, Words

__all__ = ["GlobalUsers", "amd64_references", "arm64_references"]

_CHUNK_BYTES = 4 << 20
_OVERLAP_BYTES = 16
_MAX_TEXT_BYTES = 512 << 20
_MAX_VARIABLE_BYTES = 4096
_MAX_USERS = 5
_MAX_ASKED = 200


def _immediates() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return how many immediate bytes follow by opcode: of the one-byte map, of the map behind 0F. 0x80 marks F6 and F7."""
    one, two = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    one[[0x6B, 0x80, 0x82, 0x83, 0xC0, 0xC1, 0xC6]] = 1
    one[[0x69, 0x81, 0xC7]] = 4
    one[0xF6], one[0xF7] = 0x81, 0x84  # only TEST (reg field 0 or 1) has one
    two[[0x70, 0x71, 0x72, 0x73, 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6]] = 1
    return one, two


_ONE_BYTE, _TWO_BYTE = _immediates()


def amd64_references(code: bytes, address: int, low: int, high: int) -> tuple[Words, Words]:
    """Return (addresses of opcodes, targets): where code refers to addresses in [low, high).

    Args:
        code: machine code.
        address: where it lies.
        low: the lowest target that is wanted.
        high: the first that is not wanted any more.

    >>> [hex(int(x[0])) for x in amd64_references(bytes.fromhex("488b05f9ffffff"), 0x1000, 0, 0x2000)]
    ['0x1001', '0x1000']
    """
    raw = np.frombuffer(code, np.uint8)
    if len(raw) < 6:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    at = np.flatnonzero((raw[1:-4] & 0xC7) == 0x05) + 1
    distances = raw[at[:, None] + np.arange(1, 5)].copy().view("<i4").ravel().astype(np.int64)
    near = at + 5 + distances + address
    kept = (near >= low - 8) & (near < high)
    at, near = at[kept], near[kept]
    opcode, before = raw[at - 1], raw[np.maximum(at - 2, 0)]
    is_two = before == 0x0F
    sizes = np.where(is_two, _TWO_BYTE[opcode], _ONE_BYTE[opcode])
    is_test = (sizes & 0x80) != 0
    sizes = np.where(is_test, np.where((raw[at] >> 4) & 3 == 0, sizes & 0x7F, 0), sizes)
    is_short = ~is_two & (sizes == 4) & (before == 0x66)
    is_short |= ~is_two & (sizes == 4) & ((before & 0xF0) == 0x40) & (raw[np.maximum(at - 3, 0)] == 0x66)
    sizes = np.where(is_short, 2, sizes)
    targets = near + sizes
    fits = (targets >= low) & (targets < high)
    return (at[fits] - 1 + address).astype(np.uint64), targets[fits].astype(np.uint64)


def arm64_references(code: bytes, address: int, low: int, high: int) -> tuple[Words, Words]:
    """Return (instruction addresses, targets) as ``amd64_references`` does: of ADRP and the instruction behind it."""
    words = np.frombuffer(code[: len(code) // 4 * 4], "<u4").astype(np.int64)
    if len(words) < 2:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    first, second = words[:-1], words[1:]
    is_pair = ((first & 0x9F000000) == 0x90000000) & (((second >> 5) & 31) == (first & 31))
    is_add = (second & 0xFFC00000) == 0x91000000
    is_memory = (second & 0x3B000000) == 0x39000000
    at = np.flatnonzero(is_pair & (is_add | is_memory))
    first, second = first[at], second[at]
    immediate = ((first >> 29) & 3) | (((first >> 5) & 0x7FFFF) << 2)
    pages = np.where(immediate >= 1 << 20, immediate - (1 << 21), immediate) << 12
    scale = np.where((second & 0x3B000000) == 0x39000000, (second >> 30) & 3, 0)
    is_wide = ((second & 0x3F800000) == 0x3D800000) & ((second >> 30) & 3 == 0)  # 128-bit vector registers
    offsets = ((second >> 10) & 0xFFF) << np.where(is_wide, 4, scale)
    places = address + at * 4
    targets = (places & ~0xFFF) + pages + offsets
    fits = (targets >= low) & (targets < high)
    return places[fits].astype(np.uint64), targets[fits].astype(np.uint64)


class GlobalUsers:
    """The functions that use package variables of one process; the code is read at the first question."""

    def __init__(self, process: GoProcess) -> None:
        self._process = process
        self._found: tuple[Words, Words] | None = None
        self._known: dict[int, tuple[str, ...]] = {}

    def of(self, address: int) -> tuple[str, ...]:
        """Return the functions that refer to the variable at an address, at most five; those of the program come first."""
        if address not in self._known:
            self._known[address] = self._search(address)
        return self._known[address]

    def _search(self, address: int) -> tuple[str, ...]:
        places, targets = self._references()
        end = int(np.searchsorted(targets, np.uint64(address), side="right"))
        if not end or address - int(targets[end - 1]) > _MAX_VARIABLE_BYTES:
            return ()
        begin = int(np.searchsorted(targets, targets[end - 1], side="left"))
        names: dict[str, str] = {}
        for place in places[begin : min(end, begin + _MAX_ASKED)].tolist():
            found = self._process.names.function_around(place)
            if found is not None and not found[0].startswith(("type:", "type..")):
                frames = self._process.names.resolve((place,))
                names.setdefault(found[0], frames[-1].role if frames else "")
        ordered = sorted(names, key=lambda name: (names[name] != "app", name.startswith("runtime."), name))
        return tuple(ordered[:_MAX_USERS])

    def _references(self) -> tuple[Words, Words]:
        """Return (places in the code, targets), by target."""
        if self._found is None:
            process = self._process
            low, high = process.module("noptrdata"), process.module("enoptrbss")
            text, end = process.module("text"), process.module("etext")
            search = amd64_references if process.machine == "x86_64" else arm64_references
            pieces = []
            for at in range(text, min(end, text + _MAX_TEXT_BYTES), _CHUNK_BYTES):
                code = process.memory.read(at, min(_CHUNK_BYTES + _OVERLAP_BYTES, end - at))
                pieces.append(search(code, at, low, high))
            places = np.concatenate([np.zeros(0, np.uint64), *(piece[0] for piece in pieces)])
            targets = np.concatenate([np.zeros(0, np.uint64), *(piece[1] for piece in pieces)])
            order = np.lexsort((places, targets))
            self._found = places[order], targets[order]
        return self._found
