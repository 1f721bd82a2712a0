"""The loader, the links, the maps and the statistics on the real kernel, with the shipped object."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path

import pytest

from leadline.host.bpf import LiveBpf
from leadline.host.bpf.live import LiveObject
from leadline.host.bpf.loader import run_skeleton
from leadline.host.bpf.skeleton import read_skeleton
from leadline.host.bpf.syscalls import close_quietly
from leadline.model import AccessError

pytestmark = pytest.mark.live

FOLDER = resources.files("leadline.probes.trace_descriptors")


@pytest.fixture
def loaded() -> Iterator[LiveObject]:
    with LiveBpf().load(FOLDER, "descriptors", max_entries={"fds": 4096}) as found:
        yield found


def open_bpf() -> int:
    """Return how many descriptors of programs, maps and links this process holds."""
    held = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one by which the folder is read
            held += str(link.readlink()).startswith("anon_inode:bpf")
    return held


def test_every_map_and_program_gets_a_descriptor_of_its_own() -> None:
    skeleton = read_skeleton(FOLDER, "descriptors")
    before = open_bpf()
    found = run_skeleton(
        skeleton, settings=skeleton.settings({}), max_entries={}, attach_types={"on_join": 48}
    )
    try:
        fds = [*found.maps.values(), *found.programs.values()]
        assert len(set(fds)) == len(skeleton.maps) + len(skeleton.programs)
        assert open_bpf() - before == len(fds)
    finally:
        for fd in fds:
            close_quietly(fd)
    assert open_bpf() == before


def test_what_the_kernel_refuses_leaves_nothing_open() -> None:
    skeleton = read_skeleton(FOLDER, "descriptors")
    before = open_bpf()
    with pytest.raises(AccessError):
        run_skeleton(
            skeleton, settings=skeleton.settings({}), max_entries={"callers": 1 << 31}, attach_types={}
        )
    assert open_bpf() == before


def test_closing_an_object_closes_all_it_opened() -> None:
    before = open_bpf()
    found = LiveBpf().load(FOLDER, "descriptors", max_entries={"fds": 4096})
    found.attach_tracepoint("on_exec")
    found.iterate("on_table", "table_row", pid=os.getpid())
    assert open_bpf() > before
    found.close()
    found.close()
    assert open_bpf() == before
