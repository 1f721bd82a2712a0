"""The BPF subsystem of this machine, behind ``contracts.Bpf``."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import numpy as np

from leadline.contracts.bpf import ProgramCost, Rows, UprobeAttachment
from leadline.host.bpf import links
from leadline.host.bpf.loader import Loaded, run_skeleton
from leadline.host.bpf.maps import LiveMap, possible_cpus
from leadline.host.bpf.skeleton import Skeleton, read_skeleton
from leadline.host.bpf.stats import enable_stats, program_cost
from leadline.host.bpf.syscalls import close_quietly
from leadline.model import AccessError, Malformed, NotPermitted, TargetGone, Unsupported

__all__ = ["LiveBpf", "LiveObject"]

_POSSIBLE_CPUS: Final = Path("/sys/devices/system/cpu/possible")


class LiveObject:
    """A loaded object: owns its maps, programs and links as descriptors."""

    def __init__(self, skeleton: Skeleton, loaded: Loaded, sizes: Mapping[str, int], *, multi: bool) -> None:
        self._skeleton = skeleton
        self._programs = loaded.programs
        self._map_fds = loaded.maps
        self._links: list[int] = []
        self._iterators: dict[tuple[str, int | None], int] = {}
        self._filtered_iterators = True
        self._multi = multi
        cpus = possible_cpus(_POSSIBLE_CPUS.read_text())
        self._maps = {
            entry.name: LiveMap(
                loaded.maps[entry.name],
                msgspec.structs.replace(entry, max_entries=sizes.get(entry.name, entry.max_entries)),
                (skeleton.dtype(entry.key), skeleton.dtype(entry.value)),
                cpus=cpus,
            )
            for entry in skeleton.maps
            if entry.value
        }

    @property
    def enums(self) -> Mapping[str, Mapping[str, int]]:
        """Return the object's named constants by enumeration."""
        return self._skeleton.enums

    def layout(self, struct: str) -> np.dtype[np.void]:
        """Return the layout of one of the object's records."""
        return self._skeleton.dtype(f"struct:{struct}")

    def map(self, name: str) -> LiveMap:
        """Return a map by name."""
        return self._maps[name]

    def attach_tracepoint(self, program: str) -> None:
        """Attach a tp_btf program."""
        self._links.append(links.attach_tracepoint(self._programs[program]))

    def attach_uprobes(
        self, program: str, path: str, places: Sequence[tuple[int, int]], *, pid: int | None
    ) -> UprobeAttachment:
        """Attach an entry uprobe program by one multi link, or by perf events where the kernel knows no such link."""
        fd = self._programs[program]
        if self._multi:
            link = links.attach_uprobes_multi(fd, path, places, pid)
            attached = UprobeAttachment("multi", len(places), (link,))
        else:
            several = tuple(links.attach_uprobes_perf(fd, path, places, pid))
            attached = UprobeAttachment("perf", len(places), several)
        self._links += attached.links
        return attached

    def detach_uprobes(self, attached: UprobeAttachment) -> None:
        """Close the links of some entry probes."""
        for link in attached.links:
            if link in self._links:
                self._links.remove(link)
                close_quietly(link)

    def iterate(self, program: str, record: str, *, pid: int | None = None) -> Rows:
        """Run an iterator program; a process that is gone raises TargetGone."""
        rows = self.layout(record)
        link = self._iterator(program, pid if self._filtered_iterators else None)
        raw = links.read_iterator(link)
        if pid is not None and not raw:
            _must_exist(pid)
        if len(raw) % rows.itemsize:
            raise Malformed(program, f"{len(raw)} bytes are no whole number of {record}", sample=raw)
        if pid is not None and self._filtered_iterators:
            # The filter holds a pid number, which another process may get later: make it anew each time.
            close_quietly(self._iterators.pop((program, pid)))
        return np.frombuffer(raw, rows)

    def _iterator(self, program: str, pid: int | None) -> int:
        known = self._iterators.get((program, pid))
        if known is not None:
            return known
        try:
            link = links.link_iterator(self._programs[program], pid)
        except Unsupported as error:
            if pid is None:
                raise
            if error.errno_raw == errno.ENOENT:
                raise TargetGone(f"process {pid} is gone", errno_raw=errno.ESRCH) from error
            self._filtered_iterators = False
            return self._iterator(program, None)
        self._iterators[program, pid] = link
        return link

    def cost(self) -> tuple[ProgramCost, ...]:
        """Return run time and runs per program."""
        return tuple(program_cost(name, fd) for name, fd in self._programs.items())

    def close(self) -> None:
        """Detach and unload everything: links first, so that no program runs on half of its maps."""
        for fd in (
            *self._links,
            *self._iterators.values(),
            *self._programs.values(),
            *self._map_fds.values(),
        ):
            close_quietly(fd)
        self._links, self._iterators, self._programs, self._map_fds, self._maps = [], {}, {}, {}, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _must_exist(pid: int) -> None:
    """Tell a process without descriptors from none: the iterator is silent about both."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError as exc:
        raise TargetGone(f"process {pid} is gone", errno_raw=exc.errno) from exc
    except PermissionError:
        return


class LiveBpf:
    """Loads objects into this machine's kernel."""

    def __init__(self) -> None:
        self._stats = -1

    def load(
        self,
        folder: Traversable,
        name: str,
        *,
        settings: Mapping[str, int | bytes] | None = None,
        max_entries: Mapping[str, int] | None = None,
    ) -> LiveObject:
        """Load an object; uprobe programs as multi-uprobes first, and as plain ones where the kernel refuses that."""
        skeleton = read_skeleton(folder, name)
        sizes = dict(max_entries or {})
        image = skeleton.settings(settings or {})
        uprobes = [entry.name for entry in skeleton.programs if entry.attach_type_at is not None]
        for attach_type in (links.ATTACH_UPROBE_MULTI, 0):
            multi = bool(attach_type and uprobes)
            try:
                loaded = run_skeleton(
                    skeleton,
                    settings=image,
                    max_entries=sizes,
                    attach_types=dict.fromkeys(uprobes, attach_type),
                )
            except NotPermitted:
                raise
            except AccessError:
                if not multi:
                    raise
            else:
                return LiveObject(skeleton, loaded, sizes, multi=multi)
        raise AssertionError("unreachable")  # pragma: no cover

    def measure(self) -> None:
        """Switch run time statistics on; costs 20-30 ns per run of every BPF program of the host."""
        if self._stats < 0:
            self._stats = enable_stats()

    def stop_measuring(self) -> None:
        """Give the statistics up again."""
        if self._stats >= 0:
            close_quietly(self._stats)
            self._stats = -1
