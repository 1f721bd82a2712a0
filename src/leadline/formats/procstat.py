"""proc/PID/stat: name, parent, start time and CPU time of one process."""

from __future__ import annotations

from dataclasses import dataclass

from leadline.model import Malformed

__all__ = ["ProcStat", "parse_stat"]

_PF_KTHREAD = 0x00200000


@dataclass(frozen=True, slots=True)
class ProcStat:
    """The fields of proc/PID/stat that leadline uses.

    Attributes:
        comm: name of the main thread (surrogateescape), at most 15 bytes, without the parentheses.
        state: one letter; ``Z`` and ``X`` are dead.
        is_kernel_thread: flag PF_KTHREAD: it has no program and no descriptors.
        user_ticks, system_ticks: CPU time of all threads, in clock ticks (sysconf CLK_TCK, 100 on Linux).
        start_ticks: time of start after boot (CLOCK_BOOTTIME), in clock ticks; with pid the identity.
        rss_pages: resident pages of the host's page size.
    """

    pid: int
    comm: str
    state: str
    parent_pid: int
    is_kernel_thread: bool
    user_ticks: int
    system_ticks: int
    threads: int
    start_ticks: int
    rss_pages: int


def parse_stat(text: bytes) -> ProcStat:
    """Return the fields of one proc/PID/stat line.

    The name may hold spaces and parentheses, so fields are counted from the last ``)``.

    >>> stat = parse_stat(b"8561 (tmux: (server)) R 8552 8552 3031 0 -1 4194304 102 0 0 0 7 9 0 0 20 0 1 0 615447 "
    ...     b"3133440 384 18446744073709551615 9395 9395 1407 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 9395 9395 9395 1 2 3 4 0")
    >>> stat.comm, stat.parent_pid, stat.user_ticks, stat.threads, stat.start_ticks, stat.rss_pages
    ('tmux: (server)', 8552, 7, 1, 615447, 384)

    Raises:
        Malformed: no name in parentheses, too few fields, or a field is not a number.

    Source: Linux fs/proc/array.c, do_task_stat; proc_pid_stat(5).
    """
    before, bracket, rest = text.partition(b" (")
    name, closing, tail = rest.rpartition(b") ")
    fields = tail.split()
    if not bracket or not closing or len(fields) < 22:
        raise Malformed("proc/PID/stat", "not a stat line", offset_bytes=0, sample=text)
    try:
        return ProcStat(
            pid=int(before),
            comm=name.decode("utf-8", "surrogateescape"),
            state=fields[0].decode("ascii"),
            parent_pid=int(fields[1]),
            is_kernel_thread=bool(int(fields[6]) & _PF_KTHREAD),
            user_ticks=int(fields[11]),
            system_ticks=int(fields[12]),
            threads=int(fields[17]),
            start_ticks=int(fields[19]),
            rss_pages=int(fields[21]),
        )
    except ValueError as exc:
        raise Malformed("proc/PID/stat", f"not a number: {exc}", sample=text) from exc
