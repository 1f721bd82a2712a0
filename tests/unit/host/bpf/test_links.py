from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from leadline.host.bpf import links
from leadline.host.bpf.live import LiveObject
from leadline.host.bpf.loader import run_skeleton
from leadline.host.bpf.skeleton import read_skeleton
from leadline.model import AccessError

pytestmark = pytest.mark.live

FOLDER = resources.files("leadline.probes.trace_descriptors")
LIBC = ctypes.CDLL(None)


@contextmanager
def loaded(attach_type: int) -> Iterator[LiveObject]:
    skeleton = read_skeleton(FOLDER, "descriptors")
    found = run_skeleton(
        skeleton, settings=skeleton.settings({}), max_entries={}, attach_types={"on_join": attach_type}
    )
    with LiveObject(skeleton, found, {}, multi=bool(attach_type)) as held:
        yield held


def own_place() -> tuple[str, int]:
    """Return a mapped library and the file offset of its getppid."""
    address = ctypes.cast(LIBC.getppid, ctypes.c_void_p).value
    assert address is not None
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        if first <= address < last:
            return line.split()[5], address - first + int(line.split()[2], 16)
    raise AssertionError("libc is not mapped")


def hits(held: LiveObject) -> int:
    index = held.enums["counter"]["COUNT_JOIN_HITS"]
    found = held.map("counters").lookup(index.to_bytes(4, "little"))
    assert found is not None
    return int(found["value"].sum())


@pytest.mark.parametrize("attach_type", [links.ATTACH_UPROBE_MULTI, 0])
def test_entry_probes_hit_exactly_and_stop_with_the_object(attach_type: int) -> None:
    path, offset = own_place()
    with loaded(attach_type) as held:
        processes = held.map("processes")
        processes.update(os.getpid().to_bytes(4, "little"), np.zeros(1, processes.value).tobytes())
        attached = held.attach_uprobes("on_join", path, [(offset, 1)], pid=os.getpid())
        assert (attached.way, attached.places) == (("multi", 1) if attach_type else ("perf", 1))
        for _ in range(23):
            LIBC.getppid()
        assert hits(held) == 23
    for _ in range(7):
        LIBC.getppid()  # nothing is left to be hit


@pytest.mark.parametrize("attach_type", [links.ATTACH_UPROBE_MULTI, 0])
def test_a_probe_that_cannot_be_placed_is_refused_and_leaves_nothing(attach_type: int) -> None:
    path, offset = own_place()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with loaded(attach_type) as held:
        with pytest.raises(AccessError):
            held.attach_uprobes("on_join", "/nonexistent", [(offset, 1)], pid=None)
        with pytest.raises(AccessError):
            held.attach_uprobes("on_join", path, [(offset, 1), (1 << 40, 2)], pid=None)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_other_processes_are_not_hit() -> None:
    path, offset = own_place()
    with loaded(links.ATTACH_UPROBE_MULTI) as held:
        held.attach_uprobes("on_join", path, [(offset, 1)], pid=os.getpid())
        subprocess.run(
            [sys.executable, "-c", "import os; [os.getppid() for _ in range(5)]"], check=True, timeout=30
        )
        assert hits(held) == 0
