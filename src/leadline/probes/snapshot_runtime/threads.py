"""Numbers of threads: the runtime notes them as its own pid namespace counts, proc as the host does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.model import AccessError

if TYPE_CHECKING:
    from leadline.contracts import Host

__all__ = ["host_tids"]


def host_tids(host: Host, pid: int) -> dict[int, int] | None:
    """Return the host's number of each thread by the number that the process itself sees; None when they are the same.

    Source: Linux, fs/proc/array.c (NSpid lists the numbers from the outermost namespace that proc shows to the innermost).
    """
    try:
        if _numbers(host, pid, pid)[-1:] == [pid]:
            return None
        tids = [int(name) for name in host.list_proc(f"{pid}/task") if name.isdigit()]
    except AccessError:
        return None
    found = {}
    for tid in tids:
        try:
            numbers = _numbers(host, pid, tid)
        except AccessError:  # it has ended meanwhile
            continue
        if numbers:
            found[numbers[-1]] = tid
    return found


def _numbers(host: Host, pid: int, tid: int) -> list[int]:
    for line in host.read_proc(f"{pid}/task/{tid}/status").split(b"\n"):
        if line.startswith(b"NSpid:"):
            return [int(word) for word in line.split()[1:] if word.isdigit()]
    return []
