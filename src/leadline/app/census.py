"""One look at the descriptors of one process, or of all that may be read."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from leadline.app.capabilities import host_info
from leadline.app.case import Case
from leadline.app.collect import CollectOptions, Collector
from leadline.app.diagnose import diagnose
from leadline.app.probes import census_probes
from leadline.app.targets import resolve
from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, ProcessInfo
from leadline.evidence.redaction import redacted
from leadline.formats.proclimits import parse_limits
from leadline.formats.procstat import parse_stat
from leadline.formats.proctable import descriptors_from_links
from leadline.host import LiveHost
from leadline.model import AccessError, Malformed, TargetGone, printable
from leadline.report.census import process_rows
from leadline.report.census_text import render_processes

if TYPE_CHECKING:
    from leadline.contracts import Host

__all__ = ["census_all", "census_target"]

NS_PER_TICK = 10_000_000
MAX_WIDTH = 120


def census_target(target: str) -> Case:
    """Return the descriptors of one process, judged by the rules that need a single look only.

    Raises:
        UsageError: the target names no process, or several. NotPermitted: it may not be read at all.
    """
    host = LiveHost()
    found = resolve(host, target)
    collector = Collector(host, found.pid, CollectOptions(duration_ns=0, probes=census_probes()))
    collector.begin()
    collector.evidence.put(host_info(host, is_traced=True))
    evidence = redacted(collector.finish("duration"))
    return Case(evidence=evidence, diagnosis=diagnose(evidence), subject=target)


def census_all(*, as_json: bool, verbose: bool) -> str:
    """Return every process that may be read, fullest first, as a table or a JSON document."""
    evidence = Evidence()
    unread_count = _read_all(LiveHost(), evidence)
    rows = process_rows(evidence)
    if as_json:
        return _document(evidence, [row.pid for row in rows], unread_count)
    width = min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return render_processes(rows, width=width, color=color, verbose=verbose, unread_count=unread_count)


def _document(evidence: Evidence, order: list[int], unread_count: int) -> str:
    """Return the processes as a JSON document, in numbers, in the order of the table."""
    kinds: dict[int, Counter[str]] = {}
    for descriptor in evidence.all(Descriptor):
        kinds.setdefault(descriptor.pid, Counter())[descriptor.kind.value] += 1
    processes = {process.pid: process for process in evidence.all(ProcessInfo)}
    rows = [
        {
            "pid": pid,
            "comm": printable(processes[pid].comm),
            "open_descriptors": kinds.get(pid, Counter()).total(),
            "nofile_soft": processes[pid].nofile_soft,
            "nofile_hard": processes[pid].nofile_hard,
            "by_kind": dict(kinds.get(pid, Counter()).most_common()),
        }
        for pid in order
    ]
    document = {"schema_version": 1, "processes": rows, "unread": unread_count}
    return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"


def _read_all(host: Host, evidence: Evidence) -> int:
    """Put every process that may be read; return how many may not."""
    unread_count = 0
    evidence.put_all(ProcessInfo, ())
    evidence.put_all(Descriptor, ())
    for pid in sorted(int(name) for name in host.list_proc(".") if name.isdigit()):
        try:
            seen = _read(host, pid)
        except TargetGone:
            continue  # it ended between the listing and the look, or during it
        except (AccessError, Malformed):
            unread_count += 1
            continue
        if seen is not None:
            process, descriptors = seen
            evidence.put(process)
            evidence.put_all(Descriptor, descriptors)
    return unread_count


def _read(host: Host, pid: int) -> tuple[ProcessInfo, list[Descriptor]] | None:
    """Return a process and its table, None for a kernel thread; raises as the reads of ``Host``, and Malformed."""
    stat = parse_stat(host.read_proc(f"{pid}/stat"))
    files = parse_limits(host.read_proc(f"{pid}/limits")).get("Max open files")
    links = host.fd_links(pid)
    if not links and not host.read_proc(f"{pid}/cmdline"):
        return None
    process = ProcessInfo(
        pid=pid,
        start_boot_ns=stat.start_ticks * NS_PER_TICK,
        comm=stat.comm,
        nofile_soft=None if files is None else files.soft,
        nofile_hard=None if files is None else files.hard,
    )
    now_ns = host.clock.mono_ns()
    kinds = host.socket_kinds(pid, links)
    return process, list(descriptors_from_links(pid, links, seen_mono_ns=now_ns, socket_kinds=kinds))
