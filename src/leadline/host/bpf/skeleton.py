"""Built BPF objects: the blob, and the layout that was committed with it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any

import msgspec
import numpy as np

from leadline.model import Malformed, Unsupported

__all__ = ["MapLayout", "Skeleton", "read_skeleton"]

FORMAT = 1


class MapLayout(msgspec.Struct, frozen=True):
    """One map; ``key`` and ``value`` are layouts as in ``Skeleton.dtype``, empty for the settings' own map."""

    name: str
    type: int = 0
    map_flags: int = 0
    max_entries: int = 0
    key: str = ""
    value: str = ""


class ProgramLayout(msgspec.Struct, frozen=True):
    """One program; ``attach_type_at`` is where in the loader's data its expected attach type stands (uprobes)."""

    name: str
    attach_type_at: int | None = None


class SettingsLayout(msgspec.Struct, frozen=True):
    """The read-only variables: (offset, size) by name, and the size of all."""

    size: int
    variables: dict[str, tuple[int, int]]


class StructLayout(msgspec.Struct, frozen=True):
    """One record: its size and (name, offset, layout) of each field."""

    size: int
    fields: list[tuple[str, int, str]]


class Skeleton(msgspec.Struct, frozen=True):
    """A built object for one architecture, as tools/build_bpf.py wrote it.

    Attributes:
        data_bytes: the blob is the loader's data of this size, then its instructions.
        maps, programs: in the order of the loader's context.
    """

    format: int
    object: str
    arch: str
    data_bytes: int
    sha256: str
    maps: list[MapLayout]
    programs: list[ProgramLayout]
    rodata: SettingsLayout
    structs: dict[str, StructLayout]
    enums: dict[str, dict[str, int]]
    tools: dict[str, str] = {}
    blob: bytes = b""

    @property
    def data(self) -> bytes:
        """Return the loader program's data."""
        return self.blob[: self.data_bytes]

    @property
    def instructions(self) -> bytes:
        """Return the loader program."""
        return self.blob[self.data_bytes :]

    def dtype(self, layout: str) -> np.dtype[np.void]:
        """Return the numpy type of a layout: ``struct:name``, or a plain one wrapped as the field ``value``."""
        if layout.startswith("struct:"):
            return self._struct(layout.removeprefix("struct:"))
        return np.dtype([("value", *self._field(layout))])

    def _field(self, layout: str) -> tuple[Any, ...]:
        if "*" in layout:
            element, count = layout.rsplit("*", 1)
            return (*self._field(element), (int(count),))
        return (self._struct(layout[7:]),) if layout.startswith("struct:") else (layout,)

    def _struct(self, name: str) -> np.dtype[np.void]:
        struct = self.structs[name]
        names, offsets, formats = [], [], []
        for field, offset, layout in struct.fields:
            names.append(field)
            offsets.append(offset)
            found = self._field(layout)
            formats.append(found[0] if len(found) == 1 else found)
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": struct.size})

    def settings(self, values: Mapping[str, int | bytes]) -> bytes:
        """Return the initial contents of the settings.

        Raises:
            KeyError: a name that the object does not have: an error of ours.
        """
        image = bytearray(self.rodata.size)
        for name, value in values.items():
            offset, size = self.rodata.variables[name]
            raw = value.to_bytes(size, "little") if isinstance(value, int) else value
            image[offset : offset + len(raw[:size])] = raw[:size]
        return bytes(image)


def read_skeleton(folder: Traversable, name: str, *, arch: str | None = None) -> Skeleton:
    """Return a built object.

    Raises:
        Unsupported: none was built for this architecture. Malformed: blob and layout do not belong together.
    """
    arch = arch or platform.machine()
    source = f"{name}.{arch}.json"
    try:
        text = (folder / source).read_bytes()
        blob = (folder / f"{name}.{arch}.lskel").read_bytes()
    except FileNotFoundError as exc:
        raise Unsupported(
            f"no BPF programs were built for {arch}", remedy="x86_64 and arm64 (aarch64) are shipped"
        ) from exc
    try:
        found = msgspec.json.decode(text, type=Skeleton)
    except msgspec.DecodeError as exc:
        raise Malformed(source, str(exc), sample=text) from exc
    if found.format != FORMAT or hashlib.sha256(blob).hexdigest() != found.sha256:
        raise Malformed(source, "the blob beside it is another one; reinstall leadline", sample=text)
    return msgspec.structs.replace(found, blob=blob)
