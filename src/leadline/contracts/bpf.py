"""BPF as probes may use it: load a built object, read its maps, attach its programs.

Maps and iterators answer with structured numpy arrays whose layout comes from the object itself. Everything hangs on
file descriptors of this process and nothing is pinned, so nothing survives it, killed or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bpf", "BpfMap", "BpfObject", "ProgramCost", "Rows", "UprobeAttachment"]

Rows = NDArray[np.void]
"""Structured array: one element per record, fields by name."""


class ProgramCost(NamedTuple):
    """What one program cost since statistics were switched on; ``missed`` counts runs that the kernel skipped."""

    name: str
    run_ns: int
    runs: int
    missed: int


class UprobeAttachment(NamedTuple):
    """How entry probes were attached: ``way`` is ``multi`` (one link) or ``perf`` (one event each); ``links`` are theirs."""

    way: str
    places: int
    links: tuple[int, ...] = ()


class BpfMap(Protocol):
    """One map of a loaded object."""

    @property
    def key(self) -> np.dtype[np.void]:
        """Return the layout of keys; plain integers have the one field ``value``."""

    @property
    def value(self) -> np.dtype[np.void]:
        """Return the layout of values; plain integers have the one field ``value``."""

    def lookup(self, key: bytes) -> Rows | None:
        """Return the value as an array of one (per-CPU maps: one per possible CPU), None when absent."""

    def update(self, key: bytes, value: bytes) -> None:
        """Insert or replace a value. Raises Unsupported when the map is full."""

    def delete(self, key: bytes) -> bool:
        """Remove an entry; return whether it was there."""

    def delete_many(self, keys: Rows) -> int:
        """Remove entries; return how many were there."""

    def dump(self) -> tuple[Rows, Rows]:
        """Return all keys and values. An entry that changes meanwhile may be seen before or after the change."""


class BpfObject(Protocol):
    """A loaded object. Use as a context manager, or close it."""

    @property
    def enums(self) -> Mapping[str, Mapping[str, int]]:
        """Return the object's named constants by enumeration."""

    def layout(self, struct: str) -> np.dtype[np.void]:
        """Return the layout of one of the object's records."""

    def map(self, name: str) -> BpfMap:
        """Return a map by name."""

    def attach_tracepoint(self, program: str) -> None:
        """Attach a tp_btf program. Raises Unsupported, NotPermitted."""

    def attach_uprobes(
        self, program: str, path: str, places: Sequence[tuple[int, int]], *, pid: int | None
    ) -> UprobeAttachment:
        """Attach an entry uprobe program to file offsets of an executable.

        Args:
            program: name of the program.
            path: path of the executable as this process can open it (such as proc/PID/exe).
            places: (file offset, cookie that the program can read) pairs.
            pid: only this process; None is every process that maps the file.

        Raises:
            Unsupported: the kernel has no uprobes, or an offset is not at an instruction. NotPermitted. TargetGone.
        """

    def detach_uprobes(self, attached: UprobeAttachment) -> None:
        """Detach what ``attach_uprobes`` attached; nothing happens when it is detached already."""

    def iterate(self, program: str, record: str, *, pid: int | None = None) -> Rows:
        """Run an iterator program and return the records that it wrote.

        Args:
            program: name of the program.
            record: name of the record it writes.
            pid: visit this process only, where the kernel can (6.1+); else all are visited and the caller filters.

        Raises:
            TargetGone: no such process. Unsupported. NotPermitted.
        """

    def cost(self) -> tuple[ProgramCost, ...]:
        """Return run time and runs per program; zero while statistics are off."""

    def close(self) -> None:
        """Detach and unload everything. May be called twice."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


class Bpf(Protocol):
    """The BPF subsystem of a machine."""

    def load(
        self,
        folder: Traversable,
        name: str,
        *,
        settings: Mapping[str, int | bytes] | None = None,
        max_entries: Mapping[str, int] | None = None,
    ) -> BpfObject:
        """Load the object ``<name>.<arch>.lskel`` of a folder for this machine's architecture.

        Args:
            folder: package folder with the blobs.
            name: name of the object.
            settings: values of its read-only variables; integers are stored little endian in their size.
            max_entries: sizes of maps that differ from the built ones.

        Raises:
            Unsupported: the kernel lacks a feature, or there is no blob for this architecture.
            NotPermitted: CAP_BPF and CAP_PERFMON are missing.
            Malformed: the blob is damaged.
        """

    def measure(self) -> None:
        """Switch run time statistics of BPF programs on for as long as this process holds it (host-wide, 20-30 ns per run)."""

    def stop_measuring(self) -> None:
        """Give up what ``measure`` holds."""
