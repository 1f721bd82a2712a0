"""Memory and CPU quota of a process's control group, v1, v2 and both at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.evidence.kinds import CgroupState
from leadline.formats.cgroup import (
    CgroupEntry,
    CgroupMount,
    cpu_max,
    find_entry,
    memory_limit,
    parse_cgroup,
    parse_flat_counters,
    parse_mountinfo_cgroups,
)
from leadline.formats.procsys import parse_number
from leadline.model import AccessError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadline.contracts import Host

__all__ = ["group_path", "read_cgroup"]

_SYS = "/sys/"
_MOST_ANCESTORS = 32


@dataclass(frozen=True, slots=True)
class _Memory:
    used_bytes: int | None = None
    limit_bytes: int | None = None
    oom_kill_total: int | None = None


@dataclass(frozen=True, slots=True)
class _Cpu:
    quota_us: int | None = None
    period_us: int | None = None
    nr_periods: int | None = None
    nr_throttled: int | None = None
    throttled_ns: int | None = None


def read_cgroup(host: Host, pid: int, when: str) -> CgroupState:
    """Return what the process's control group uses and may use.

    A limit of an ancestor binds as much as its own. So memory is of the group, on the way from its own to the root, that is
    nearest to its limit, and CPU of the one with the smallest quota; without any limit both are of its own group.

    Raises:
        TargetGone: the process has ended. NotPermitted. Malformed.
    """
    entries = parse_cgroup(host.read_proc(f"{pid}/cgroup"))
    mounts = parse_mountinfo_cgroups(host.read_proc("self/mountinfo"))
    unified = find_entry(entries, None)
    of_memory = find_entry(entries, "memory") or unified
    of_cpu = find_entry(entries, "cpu") or unified
    memory = _memory(host, of_memory, mounts)
    cpu = _cpu(host, of_cpu, mounts)
    return CgroupState(
        pid=pid,
        when=when,
        version=1 if of_memory is not None and of_memory.controllers else 2,
        path=group_path(entries),
        memory_bytes=memory.used_bytes,
        memory_limit_bytes=memory.limit_bytes,
        oom_kill_total=memory.oom_kill_total,
        cpu_quota_us=cpu.quota_us,
        cpu_period_us=cpu.period_us,
        nr_periods=cpu.nr_periods,
        nr_throttled=cpu.nr_throttled,
        throttled_ns=cpu.throttled_ns,
    )


def group_path(entries: tuple[CgroupEntry, ...]) -> str:
    """Return the most telling path: the deepest of those that name the process's place."""
    wanted = (None, "memory", "name=systemd", "cpu", "pids")
    paths = [entry.path for entry in (find_entry(entries, name) for name in wanted) if entry is not None]
    return max(paths, key=lambda path: path.rstrip("/").count("/") if path != "/" else -1, default="/")


def _directories(entry: CgroupEntry | None, mounts: tuple[CgroupMount, ...]) -> Iterator[str]:
    """Yield directories below sys from the group's own up to the visible root."""
    if entry is None:
        return
    version = 1 if entry.controllers else 2
    for mount in mounts:
        if mount.version != version or (version == 1 and not set(mount.controllers) & set(entry.controllers)):
            continue
        directory = mount.directory(entry.path)
        if directory is None or not directory.startswith(_SYS):
            continue
        for _ in range(_MOST_ANCESTORS):
            yield directory.removeprefix(_SYS)
            if directory == mount.mount_point:
                return
            directory = directory.rpartition("/")[0]
        return


def _memory(host: Host, entry: CgroupEntry | None, mounts: tuple[CgroupMount, ...]) -> _Memory:
    read = _memory_v1 if entry is not None and entry.controllers else _memory_v2
    groups = [read(host, directory) for directory in _directories(entry, mounts)]
    limited = [group for group in groups if group.limit_bytes is not None and group.used_bytes is not None]
    if limited:
        return min(limited, key=lambda group: (group.limit_bytes or 0) - (group.used_bytes or 0))
    return groups[0] if groups else _Memory()


def _memory_v1(host: Host, directory: str) -> _Memory:
    used = _read(host, f"{directory}/memory.usage_in_bytes")
    limit = _read(host, f"{directory}/memory.limit_in_bytes")
    control = _read(host, f"{directory}/memory.oom_control")
    kills = (
        None if control is None else parse_flat_counters(control, source="memory.oom_control").get("oom_kill")
    )
    return _Memory(
        _number(used, "memory.usage_in_bytes"), None if limit is None else memory_limit(limit), kills
    )


def _memory_v2(host: Host, directory: str) -> _Memory:
    used = _read(host, f"{directory}/memory.current")
    limit = _read(host, f"{directory}/memory.max")
    events = _read(host, f"{directory}/memory.events")
    kills = None if events is None else parse_flat_counters(events, source="memory.events").get("oom_kill")
    return _Memory(_number(used, "memory.current"), None if limit is None else memory_limit(limit), kills)


def _cpu(host: Host, entry: CgroupEntry | None, mounts: tuple[CgroupMount, ...]) -> _Cpu:
    read = _cpu_v1 if entry is not None and entry.controllers else _cpu_v2
    groups = [read(host, directory) for directory in _directories(entry, mounts)]
    limited = [group for group in groups if group.quota_us is not None and group.period_us]
    if limited:
        return min(limited, key=lambda group: (group.quota_us or 0) / (group.period_us or 1))
    return groups[0] if groups else _Cpu()


def _cpu_v1(host: Host, directory: str) -> _Cpu:
    quota = _number(_read(host, f"{directory}/cpu.cfs_quota_us"), "cpu.cfs_quota_us")
    period = _number(_read(host, f"{directory}/cpu.cfs_period_us"), "cpu.cfs_period_us")
    counters = _counters(host, directory)
    return _Cpu(
        quota_us=None if quota is None or quota < 0 else quota,
        period_us=period,
        nr_periods=counters.get("nr_periods"),
        nr_throttled=counters.get("nr_throttled"),
        throttled_ns=counters.get("throttled_time"),
    )


def _cpu_v2(host: Host, directory: str) -> _Cpu:
    text = _read(host, f"{directory}/cpu.max")
    quota, period = (None, None) if text is None else cpu_max(text)
    counters = _counters(host, directory)
    throttled = counters.get("throttled_usec")
    return _Cpu(
        quota_us=quota,
        period_us=period,
        nr_periods=counters.get("nr_periods"),
        nr_throttled=counters.get("nr_throttled"),
        throttled_ns=None if throttled is None else throttled * 1000,
    )


def _counters(host: Host, directory: str) -> dict[str, int]:
    text = _read(host, f"{directory}/cpu.stat")
    return {} if text is None else parse_flat_counters(text, source="cpu.stat")


def _read(host: Host, path: str) -> bytes | None:
    """Return a file of a group, None when it has none: root groups and disabled controllers lack most."""
    try:
        return host.read_sys(path)
    except AccessError:
        return None


def _number(text: bytes | None, source: str) -> int | None:
    return None if text is None else parse_number(text, source)
