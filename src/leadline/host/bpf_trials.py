"""Tiny BPF programs that are loaded and thrown away, to learn what the kernel allows."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

from leadline.host.bpf.syscalls import bpf, close_quietly, make_attr
from leadline.model import Malformed, Unsupported

if TYPE_CHECKING:
    from leadline.host.files import FileTree

__all__ = ["find_btf_ids", "try_iterator", "try_raw_tracepoint", "try_tp_btf", "try_uprobe_multi"]

_KPROBE, _RAW_TRACEPOINT, _TRACING = 2, 17, 26
_ATTACH_RAW_TP, _ATTACH_ITER, _ATTACH_UPROBE_MULTI = 23, 28, 48
_RETURN_ZERO = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
_LICENSE = b"GPL\0"
_ATTR_BYTES = 128
_KIND_FUNC, _KIND_TYPEDEF = 12, 8

# Bytes that follow the 12 of struct btf_type, by kind: fixed, and per member.
_FOLLOWING = {
    1: (4, 0),  # INT
    3: (12, 0),  # ARRAY
    4: (0, 12),  # STRUCT
    5: (0, 12),  # UNION
    6: (0, 8),  # ENUM
    13: (0, 8),  # FUNC_PROTO
    14: (4, 0),  # VAR
    15: (0, 12),  # DATASEC
    17: (4, 0),  # DECL_TAG
    19: (0, 12),  # ENUM64
}
_LARGEST_KIND = 19


def try_raw_tracepoint() -> None:
    """Load a raw tracepoint program: needs CAP_BPF and CAP_PERFMON. Raises NotPermitted, Unsupported."""
    _load(_RAW_TRACEPOINT, 0, 0)


def try_tp_btf(files: FileTree) -> None:
    """Load a program for a typed tracepoint. Raises NotPermitted, Unsupported."""
    _load(_TRACING, _ATTACH_RAW_TP, _btf_id(files, "btf_trace_sys_exit", _KIND_TYPEDEF))


def try_iterator(files: FileTree) -> None:
    """Load a program for the task-file iterator. Raises NotPermitted, Unsupported."""
    _load(_TRACING, _ATTACH_ITER, _btf_id(files, "bpf_iter_task_file", _KIND_FUNC))


def try_uprobe_multi() -> None:
    """Load a program for one link to many uprobes (Linux 6.6). Raises NotPermitted, Unsupported."""
    _load(_KPROBE, _ATTACH_UPROBE_MULTI, 0)


def _load(kind: int, attach: int, btf_id: int) -> None:
    instructions = ctypes.create_string_buffer(_RETURN_ZERO, len(_RETURN_ZERO))
    license_text = ctypes.create_string_buffer(_LICENSE, len(_LICENSE))
    attr = make_attr(
        _ATTR_BYTES,
        (0, 4, kind),
        (4, 4, len(_RETURN_ZERO) // 8),
        (8, 8, ctypes.addressof(instructions)),
        (16, 8, ctypes.addressof(license_text)),
        (68, 4, attach),
        (108, 4, btf_id),
    )
    close_quietly(bpf("PROG_LOAD", attr))


def _btf_id(files: FileTree, name: str, kind: int) -> int:
    found = find_btf_ids(files.read_sys("kernel/btf/vmlinux", limit_bytes=64 << 20), ((name, kind),))
    if name not in found:
        raise Unsupported(f"this kernel has no {name} in its BTF")
    return found[name]


def find_btf_ids(btf: bytes, wanted: tuple[tuple[str, int], ...]) -> dict[str, int]:
    """Return the type ids of (name, kind) pairs in a BTF blob; those that it lacks are left out.

    Raises:
        Malformed: not BTF, or a kind whose size is not known.

    Source: Linux Documentation/bpf/btf.rst; include/uapi/linux/btf.h.
    """
    if len(btf) < 24:
        raise Malformed("btf", "header is cut short", offset_bytes=0, sample=btf)
    magic, _, _, header_bytes, types_at, types_bytes, names_at, names_bytes = struct.unpack_from(
        "<HBBIIIII", btf
    )
    if magic != 0xEB9F:
        raise Malformed("btf", "not BTF", offset_bytes=0, sample=btf)
    names = btf[header_bytes + names_at :][:names_bytes]
    offsets = {
        (at + 1, kind): name
        for name, kind in wanted
        if (at := names.find(b"\0" + name.encode("ascii") + b"\0")) >= 0
    }
    found: dict[str, int] = {}
    area = btf[header_bytes + types_at :][:types_bytes]
    at, number = 0, 0
    while at + 12 <= len(area) and len(found) < len(offsets):
        name_at, info, _ = struct.unpack_from("<III", area, at)
        number += 1
        kind, members = info >> 24 & 0x1F, info & 0xFFFF
        if not 0 < kind <= _LARGEST_KIND:
            raise Malformed("btf", f"unknown kind {kind}", offset_bytes=at)
        name = offsets.get((name_at, kind))
        if name is not None:
            found.setdefault(name, number)
        fixed, each = _FOLLOWING.get(kind, (0, 0))
        at += 12 + fixed + each * members
    return found
