"""Run a light skeleton: a BPF program that makes the maps and loads the programs inside the kernel.

The kernel does the CO-RE relocations (Linux 5.17+). What user space has to do is small: put the loader's data into a
map, load its instructions as a program of type SYSCALL, and run it with a context that holds sizes and settings and
receives the descriptors. Layout of the context: libbpf's skel_internal.h, see the comments below.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from leadline.host.bpf.skeleton import Skeleton
from leadline.host.bpf.syscalls import bpf, close_quietly, error_of, make_attr

__all__ = ["Loaded", "run_skeleton"]

_MAP_ARRAY: Final = 2
_PROG_SYSCALL: Final = 31
_F_SLEEPABLE: Final = 1 << 4
_CONTEXT_BYTES: Final = 24  # sz, flags, log_level, log_size: u32; log_buf: u64
_MAP_DESC: Final = struct.Struct("<iIQ")  # descriptor out; max_entries, address of the initial value in
_PROG_DESC: Final = struct.Struct("<i")
_LICENSE: Final = b"Dual BSD/GPL"


class Loaded(NamedTuple):
    """Descriptors of maps and programs by name; the caller owns them."""

    maps: dict[str, int]
    programs: dict[str, int]


def run_skeleton(
    skeleton: Skeleton,
    *,
    settings: bytes,
    max_entries: Mapping[str, int],
    attach_types: Mapping[str, int],
) -> Loaded:
    """Load an object.

    Args:
        skeleton: what to load.
        settings: initial contents of its read-only variables.
        max_entries: sizes of maps that differ from the built ones.
        attach_types: expected attach types of uprobe programs that differ from the built ones.

    Raises:
        NotPermitted, Unsupported: by the errno of the step that failed.
    """
    data = bytearray(skeleton.data)
    for program in skeleton.programs:
        if program.name in attach_types and program.attach_type_at is not None:
            struct.pack_into("<I", data, program.attach_type_at, attach_types[program.name])
    initial = ctypes.create_string_buffer(settings, len(settings))
    context = bytearray(_CONTEXT_BYTES)
    for entry in skeleton.maps:
        address = 0 if entry.value else ctypes.addressof(initial)
        context += _MAP_DESC.pack(0, max_entries.get(entry.name, 0), address)
    context += _PROG_DESC.pack(0) * len(skeleton.programs)
    struct.pack_into("<I", context, 0, len(context))
    data_map = loader = -1
    try:
        data_map = _data_map(data)
        loader = _load(skeleton.instructions, data_map)
        result = _run(loader, context)
    finally:
        for fd in (data_map, loader):
            if fd >= 0:
                close_quietly(fd)
    if result < 0:
        raise error_of("BPF_PROG_LOAD by the loader program", -result)
    maps = {
        entry.name: _MAP_DESC.unpack_from(context, _CONTEXT_BYTES + 16 * index)[0]
        for index, entry in enumerate(skeleton.maps)
    }
    programs_at = _CONTEXT_BYTES + 16 * len(skeleton.maps)
    programs = {
        entry.name: _PROG_DESC.unpack_from(context, programs_at + 4 * index)[0]
        for index, entry in enumerate(skeleton.programs)
    }
    return Loaded(maps, programs)


def _data_map(data: bytearray) -> int:
    attr = make_attr(72, (0, 4, _MAP_ARRAY), (4, 4, 4), (8, 4, len(data)), (12, 4, 1))
    attr[28:44] = b"leadline.data".ljust(16, b"\0")
    fd = bpf("MAP_CREATE", attr)
    try:
        key = ctypes.create_string_buffer(4)
        block = (ctypes.c_char * len(data)).from_buffer(data)
        bpf(
            "MAP_UPDATE_ELEM",
            make_attr(32, (0, 4, fd), (8, 8, ctypes.addressof(key)), (16, 8, ctypes.addressof(block))),
        )
    except BaseException:
        close_quietly(fd)
        raise
    return fd


def _load(instructions: bytes, data_map: int) -> int:
    code = ctypes.create_string_buffer(instructions, len(instructions))
    fds = (ctypes.c_int * 1)(data_map)
    text = ctypes.create_string_buffer(_LICENSE)
    attr = make_attr(
        128,
        (0, 4, _PROG_SYSCALL),
        (4, 4, len(instructions) // 8),
        (8, 8, ctypes.addressof(code)),
        (16, 8, ctypes.addressof(text)),
        (44, 4, _F_SLEEPABLE),
        (120, 8, ctypes.addressof(fds)),
    )
    attr[48:64] = b"leadline.loader\0"
    return bpf("PROG_LOAD", attr)


def _run(loader: int, context: bytearray) -> int:
    block = (ctypes.c_char * len(context)).from_buffer(context)
    attr = make_attr(
        80, (0, 4, loader), (40, 4, len(context)), (48, 8, ctypes.addressof(block))
    )  # ctx_size_in, ctx_in: copied back
    bpf("PROG_TEST_RUN", attr)
    return int.from_bytes(attr[4:8], "little", signed=True)
