"""What happened beside births and deaths, as evidence: closes that failed, calls that were refused, children."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.evidence.kinds import CloseFailure, ProcessInfo, Refusal
from leadline.probes.trace_descriptors.closes import close_verdict, errno_name
from leadline.probes.trace_descriptors.surface import syscall_name

if TYPE_CHECKING:
    from leadline.contracts.bpf import Rows
    from leadline.probes.trace_descriptors.birthplaces import BirthplaceBuilder, Image
    from leadline.probes.trace_descriptors.names import Names
    from leadline.probes.trace_descriptors.tracker import Tracker

__all__ = ["children", "close_failures", "image_of", "refusals"]


def image_of(tracker: Tracker, row: Rows) -> Image:
    """Return the process and image that a row is about."""
    return tracker.pid_of(int(row["tgid"])), int(row["image"])


def close_failures(tracker: Tracker, builder: BirthplaceBuilder) -> list[CloseFailure]:
    """Return failing closes by error and stack, each with its verdict."""
    bits = tracker.failed_flags
    sites = tracker.sites()
    stacks = dict(zip(sites["id"].tolist(), sites["stack"].tolist(), strict=True))
    foreign = {
        site: strangers / deaths
        for site, strangers, deaths in zip(
            sites["id"].tolist(), sites["deaths_foreign"].tolist(), sites["deaths"].tolist(), strict=True
        )
        if deaths
    }
    records = []
    for number, row in enumerate(tracker.failures(), 1):
        image = image_of(tracker, row)
        stack, culprit = int(row["stack"]), int(row["culprit_stack"])
        victim = stacks.get(int(row["victim_site"]), 0)
        count = int(row["count"])
        records.append(
            CloseFailure(
                id=number,
                pid=image[0],
                error=errno_name(int(row["error"])),
                count=count,
                fds=tuple(sorted(set(row["fds"][: min(count, 16)].tolist()))),
                verdict=close_verdict(
                    int(row["error"]),
                    int(row["flags"]),
                    bits,
                    foreign_ratio=foreign.get(int(row["victim_site"])),
                ),
                stack=builder.stack_id(image, stack),
                site=builder.site_of(image, stack),
                victim_stack=builder.stack_id(image, victim),
                victim_site=builder.site_of(image, victim),
                culprit_stack=builder.stack_id(image, culprit),
                culprit_site=builder.site_of(image, culprit),
                first_mono_ns=int(row["first_ns"]),
                last_mono_ns=int(row["last_ns"]),
            )
        )
    return records


def refusals(tracker: Tracker, builder: BirthplaceBuilder) -> list[Refusal]:
    """Return calls that were refused a descriptor, by call and stack."""
    records = []
    for number, row in enumerate(tracker.refusals(), 1):
        image = image_of(tracker, row)
        records.append(
            Refusal(
                id=number,
                pid=image[0],
                error=errno_name(int(row["error"])),
                syscall=syscall_name(int(row["nr"])),
                count=int(row["count"]),
                stack=builder.stack_id(image, int(row["stack"])),
                site=builder.site_of(image, int(row["stack"])),
                first_mono_ns=int(row["first_ns"]),
                last_mono_ns=int(row["last_ns"]),
            )
        )
    return records


def children(tracker: Tracker, names: Names, target: int) -> list[ProcessInfo]:
    """Return who the children were, as far as it was seen while they lived."""
    found = []
    for row in tracker.processes():
        pid, number = tracker.pid_of(int(row["tgid"])), int(row["image"])
        if pid == target:
            continue
        info = names.build_info((pid, number))
        found.append(
            ProcessInfo(
                pid=pid,
                start_boot_ns=int(row["start_boot_ns"]),
                comm=bytes(row["comm"]).split(b"\0")[0].decode("utf-8", "replace"),
                parent_pid=tracker.pid_of(int(row["parent"])),
                go_version=None if info is None else info.go_version,
                main_package=None if info is None else info.path or None,
                main_module=None if info is None or info.main is None else info.main.path,
                ended_mono_ns=int(row["ended_ns"]) or None,
                exec_count=number,
            )
        )
    return found
