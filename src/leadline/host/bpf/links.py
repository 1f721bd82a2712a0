"""Attaching programs: every function returns descriptors, and closing them detaches."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from leadline.host.bpf.syscalls import bpf, close_quietly, make_attr, perf_event_open
from leadline.model import Unsupported

__all__ = [
    "ATTACH_UPROBE_MULTI",
    "attach_tracepoint",
    "attach_uprobes_multi",
    "attach_uprobes_perf",
    "link_iterator",
    "read_iterator",
]

_ATTACH_ITER: Final = 28
_ATTACH_PERF_EVENT: Final = 41
ATTACH_UPROBE_MULTI: Final = 48
_PERF_ATTR_BYTES: Final = 112
_READ_BYTES: Final = 1 << 18
_UPROBE_TYPE_FILE: Final = Path("/sys/bus/event_source/devices/uprobe/type")


def attach_tracepoint(program_fd: int) -> int:
    """Attach a tp_btf program; the tracepoint is part of the program."""
    return bpf("RAW_TRACEPOINT_OPEN", make_attr(16, (8, 4, program_fd)))


def attach_uprobes_multi(
    program_fd: int, path: str, places: Sequence[tuple[int, int]], pid: int | None
) -> int:
    """Attach one program to many (file offset, cookie) places of a file by one link (Linux 6.6+)."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    offsets = (ctypes.c_uint64 * len(places))(*(offset for offset, _ in places))
    cookies = (ctypes.c_uint64 * len(places))(*(cookie for _, cookie in places))
    return bpf(
        "LINK_CREATE",
        make_attr(
            64,
            (0, 4, program_fd),
            (8, 4, ATTACH_UPROBE_MULTI),
            (16, 8, ctypes.addressof(name)),
            (24, 8, ctypes.addressof(offsets)),
            (40, 8, ctypes.addressof(cookies)),
            (48, 4, len(places)),
            (56, 4, pid or 0),
        ),
    )


def attach_uprobes_perf(
    program_fd: int, path: str, places: Sequence[tuple[int, int]], pid: int | None
) -> list[int]:
    """Attach one program to places of a file by one perf event and one link each (kernels before 6.6)."""
    try:
        kind = int(_UPROBE_TYPE_FILE.read_text())
    except (OSError, ValueError) as exc:
        raise Unsupported("this kernel has no uprobes (CONFIG_UPROBE_EVENTS)") from exc
    name = ctypes.create_string_buffer(os.fsencode(path))
    opened: list[int] = []
    try:
        for offset, cookie in places:
            attr = make_attr(
                _PERF_ATTR_BYTES,
                (0, 4, kind),
                (4, 4, _PERF_ATTR_BYTES),
                (56, 8, ctypes.addressof(name)),
                (64, 8, offset),
            )
            event = perf_event_open(attr, -1 if pid is None else pid, 0 if pid is None else -1)
            opened.append(event)
            opened.append(
                bpf(
                    "LINK_CREATE",
                    make_attr(
                        24, (0, 4, program_fd), (4, 4, event), (8, 4, _ATTACH_PERF_EVENT), (16, 8, cookie)
                    ),
                )
            )
    except BaseException:
        for fd in reversed(opened):
            close_quietly(fd)
        raise
    return opened


def link_iterator(program_fd: int, pid: int | None) -> int:
    """Attach an iterator program, to all tasks or to one process (``bpf_iter_link_info.task.pid``, Linux 6.1+)."""
    if pid is None:
        return bpf("LINK_CREATE", make_attr(32, (0, 4, program_fd), (8, 4, _ATTACH_ITER)))
    info = ctypes.create_string_buffer(
        bytes(make_attr(16, (4, 4, pid))), 16
    )  # union: task.tid, task.pid, task.pid_fd
    return bpf(
        "LINK_CREATE",
        make_attr(
            32, (0, 4, program_fd), (8, 4, _ATTACH_ITER), (16, 8, ctypes.addressof(info)), (24, 4, len(info))
        ),
    )


def read_iterator(link_fd: int) -> bytes:
    """Run an iterator once and return all that its program wrote."""
    fd = bpf("ITER_CREATE", make_attr(8, (0, 4, link_fd)))
    chunks: list[bytes] = []
    try:
        while True:
            try:
                chunk = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                continue  # a million tasks without output: the kernel asks to be called again
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
    finally:
        close_quietly(fd)
