"""Rows of the kernel's descriptor table as evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.evidence.kinds import Descriptor, DescriptorKind, Origin
from leadline.formats.procfd import descriptor_kind, link_inode
from leadline.probes.trace_descriptors.reconcile import Seen
from leadline.probes.trace_descriptors.surface import kind_of, owner_goid

if TYPE_CHECKING:
    from leadline.contracts import FdLink
    from leadline.contracts.bpf import Rows

__all__ = ["descriptor_of", "left_open"]

_ORIGINS = {
    Seen.TRACED: Origin.TRACED,
    Seen.BEFORE: Origin.BEFORE,
    Seen.INHERITED: Origin.INHERITED,
    Seen.UNKNOWN: Origin.UNKNOWN,
}


def descriptor_of(pid: int, row: Rows, link: FdLink | None, references: dict[int, int]) -> Descriptor:
    """Return one row of the reconciled table, with its name; ``references`` numbers the open file descriptions."""
    inode = int(row["inode"])
    name = "" if link is None else link.name
    if link is not None and (link.inode or link_inode(name) or inode) != inode:
        name = ""  # the number was given to another file between the two looks
    kind = kind_of(int(row["kind"]))
    if kind is DescriptorKind.OTHER and name:
        kind = descriptor_kind(name)
    is_traced = int(row["origin"]) == Seen.TRACED
    return Descriptor(
        pid=pid,
        fd=int(row["fd"]),
        kind=kind,
        origin=_ORIGINS[Seen(int(row["origin"]))],
        inode=inode,
        device=int(row["device"]),
        file_ref=references.setdefault(int(row["file"]), len(references) + 1),
        name=name,
        flags_raw=int(row["flags"]),
        cloexec=bool(row["cloexec"]),
        birthplace=int(row["site"]) if is_traced else None,
        born_mono_ns=int(row["born_ns"]) if is_traced else None,
        seen_since_mono_ns=int(row["seen_since_ns"]),
        goid=owner_goid(int(row["owner"])) if is_traced else None,
        tid=int(row["birth_tid"]) if is_traced else None,
    )


def left_open(pid: int, row: Rows, begin_ns: int) -> Descriptor:
    """Return a descriptor that was open in the moment before its process ended."""
    born_ns = int(row["born_ns"])
    return Descriptor(
        pid=pid,
        fd=int(row["fd"]),
        kind=kind_of(int(row["kind"])),
        origin=Origin.TRACED if born_ns else Origin.UNKNOWN,
        birthplace=int(row["site"]) if born_ns else None,
        born_mono_ns=born_ns or None,
        seen_since_mono_ns=born_ns or begin_ns,
        goid=owner_goid(int(row["owner"])),
        tid=int(row["tid"]) or None,
        at_exit=True,
    )
