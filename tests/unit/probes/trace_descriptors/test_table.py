"""Rows of the kernel's table become descriptors; names that belong to another file are not believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leadline.contracts import FdLink
from leadline.evidence.kinds import DescriptorKind, Origin
from leadline.probes.trace_descriptors.reconcile import Seen
from leadline.probes.trace_descriptors.surface import THREAD_OWNER
from leadline.probes.trace_descriptors.table import descriptor_of, left_open

REGULAR, ANONYMOUS = 2, 7


def row(**values: int) -> Any:
    fields = {
        "origin": Seen.TRACED, "fd": 9, "inode": 77, "device": 5, "file": 0xFFFF1, "flags": 2, "cloexec": 1, "kind": REGULAR,
        "site": 123, "born_ns": 1000, "seen_since_ns": 1000, "owner": 42, "birth_tid": 11, "tid": 11,
    }  # fmt: skip
    fields.update(values)
    out = np.zeros(1, [(name, "<u8") for name in fields])
    for name, value in fields.items():
        out[name] = value
    return out[0]


def test_a_traced_descriptor_keeps_its_birth() -> None:
    found = descriptor_of(7, row(), FdLink(9, "/tmp/x", 0o100644, 77, 5), {})
    assert (found.origin, found.birthplace, found.born_mono_ns, found.goid, found.tid) == (
        Origin.TRACED,
        123,
        1000,
        42,
        11,
    )
    assert (found.kind, found.name, found.cloexec) == (DescriptorKind.FILE, "/tmp/x", True)


@pytest.mark.parametrize(
    ("seen", "origin"),
    [(Seen.BEFORE, Origin.BEFORE), (Seen.INHERITED, Origin.INHERITED), (Seen.UNKNOWN, Origin.UNKNOWN)],
)
def test_others_have_no_birthplace(seen: Seen, origin: Origin) -> None:
    found = descriptor_of(7, row(origin=seen, site=0, born_ns=0), None, {})
    assert (found.origin, found.birthplace, found.born_mono_ns, found.goid) == (origin, None, None, None)


def test_a_name_of_another_file_is_not_believed() -> None:
    assert descriptor_of(7, row(), FdLink(9, "/tmp/other", 0o100644, 78, 5), {}).name == ""
    assert descriptor_of(7, row(), FdLink(9, "socket:[5]"), {}).name == ""


def test_anonymous_inodes_are_told_by_their_name() -> None:
    found = descriptor_of(7, row(kind=ANONYMOUS), FdLink(9, "anon_inode:[eventfd]"), {})
    assert found.kind is DescriptorKind.EVENTFD


def test_equal_files_have_equal_small_numbers() -> None:
    references: dict[int, int] = {}
    numbers = [descriptor_of(7, row(file=file), None, references).file_ref for file in (5, 6, 5)]
    assert numbers == [1, 2, 1]


def test_what_was_open_at_exit_says_so() -> None:
    found = left_open(7, row(owner=THREAD_OWNER | 11), 500)
    assert (found.at_exit, found.origin, found.goid, found.tid) == (True, Origin.TRACED, None, 11)
    unseen = left_open(7, row(born_ns=0), 500)
    assert (unseen.origin, unseen.birthplace, unseen.seen_since_mono_ns) == (Origin.UNKNOWN, None, 500)
