"""Control groups: where a process is, what its group may use, and which container, pod or unit it belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leadline.model import Malformed

__all__ = [
    "CgroupEntry",
    "CgroupMount",
    "container_id",
    "cpu_max",
    "find_entry",
    "memory_limit",
    "parse_cgroup",
    "parse_flat_counters",
    "parse_mountinfo_cgroups",
    "pod_uid",
    "unit_name",
]

_UNLIMITED_BYTES = 1 << 62
_HEX_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")
_POD_UID = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")
_POD_STATIC_UID = re.compile(r"pod([0-9a-f]{32})(?=[./]|$)")
_UNIT_SUFFIXES = (".service", ".scope", ".socket", ".mount", ".swap")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class CgroupEntry:
    """One line of proc/PID/cgroup: ``controllers`` is empty for the unified (v2) hierarchy."""

    hierarchy: int
    controllers: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class CgroupMount:
    """One mounted hierarchy.

    Attributes:
        root: path of the group that is visible at the mount point; not ``/`` inside containers.
        mount_point: where it is mounted.
        version: 1 or 2.
        controllers: of a v1 hierarchy, else empty.
    """

    root: str
    mount_point: str
    version: int
    controllers: tuple[str, ...]

    def directory(self, path: str) -> str | None:
        """Return the directory of a group, None when it lies outside of what is mounted here.

        >>> CgroupMount("/docker/ab", "/sys/fs/cgroup", 2, ()).directory("/docker/ab/sub")
        '/sys/fs/cgroup/sub'
        """
        if "/.." in path:  # outside of our cgroup namespace
            return None
        root = self.root.rstrip("/")
        if path != root and not path.startswith(root + "/"):
            return None
        return (self.mount_point.rstrip("/") + path[len(root) :]).rstrip("/")


def parse_cgroup(text: bytes) -> tuple[CgroupEntry, ...]:
    r"""Return the groups of one process, in the order of the file.

    >>> parse_cgroup(b"4:memory:/docker/ab\n2:cpu,cpuacct:/\n0::/system.slice/web.service\n")[2]
    CgroupEntry(hierarchy=0, controllers=(), path='/system.slice/web.service')

    Raises:
        Malformed: a line is not ``number:controllers:/path``.

    Source: Linux kernel/cgroup/cgroup.c, proc_cgroup_show; cgroups(7).
    """
    entries = []
    for line in text.split(b"\n"):
        if not line:
            continue
        number, _, rest = line.partition(b":")
        controllers, colon, path = rest.partition(b":")
        if not number.isdigit() or len(number) > 10 or not colon or not path.startswith(b"/"):
            raise Malformed("proc/PID/cgroup", "not number:controllers:/path", sample=line)
        names = controllers.decode("utf-8", "surrogateescape")
        entries.append(
            CgroupEntry(
                int(number),
                tuple(names.split(",")) if names else (),
                path.decode("utf-8", "surrogateescape").removesuffix(" (deleted)"),
            )
        )
    return tuple(entries)


def find_entry(entries: tuple[CgroupEntry, ...], controller: str | None) -> CgroupEntry | None:
    """Return the group of a v1 controller, or of the unified hierarchy for None."""
    for entry in entries:
        if (controller is None and not entry.controllers) or controller in entry.controllers:
            return entry
    return None


def parse_mountinfo_cgroups(text: bytes) -> tuple[CgroupMount, ...]:
    r"""Return the cgroup hierarchies in a proc/PID/mountinfo file.

    >>> parse_mountinfo_cgroups(b"22 27 0:21 / /proc rw - proc proc rw\n"
    ...     b"31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    ...     b"32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n")
    ... # doctest: +NORMALIZE_WHITESPACE
    (CgroupMount(root='/', mount_point='/sys/fs/cgroup/cpu,cpuacct', version=1, controllers=('cpu', 'cpuacct')),
     CgroupMount(root='/', mount_point='/sys/fs/cgroup/unified', version=2, controllers=()))

    Raises:
        Malformed: a line has too few fields.

    Source: Linux fs/proc_namespace.c, show_mountinfo; proc_pid_mountinfo(5).
    """
    mounts = []
    for line in text.split(b"\n"):
        if not line:
            continue
        before, dash, after = line.partition(b" - ")
        words, ends = before.split(b" "), after.split(b" ")
        if not dash or len(words) < 6 or len(ends) < 2:
            raise Malformed("proc/PID/mountinfo", "too few fields", sample=line)
        if ends[0] not in {b"cgroup", b"cgroup2"}:
            continue
        version = 2 if ends[0] == b"cgroup2" else 1
        options = ends[-1].decode("utf-8", "surrogateescape").split(",")
        controllers = tuple(word for word in options if word not in {"rw", "ro"}) if version == 1 else ()
        mounts.append(CgroupMount(_path(words[3]), _path(words[4]), version, controllers))
    return tuple(mounts)


def _path(raw: bytes) -> str:
    """Undo mountinfo's octal escapes of space, tab, newline and backslash."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), raw).decode("utf-8", "surrogateescape")


def memory_limit(text: bytes) -> int | None:
    r"""Return a memory limit in bytes; ``max`` (v2) and 2**62 or more (v1's page-rounded maximum) are None: unlimited.

    >>> memory_limit(b"268435456\n"), memory_limit(b"max\n"), memory_limit(b"9223372036854771712\n")
    (268435456, None, None)

    Raises:
        Malformed: not ``max`` and not a number.
    """
    word = text.strip()
    if word == b"max":
        return None
    if not word.isdigit() or len(word) > 20:
        raise Malformed("cgroup memory limit", "not max and not a number", offset_bytes=0, sample=text)
    return None if int(word) >= _UNLIMITED_BYTES else int(word)


def cpu_max(text: bytes) -> tuple[int | None, int]:
    r"""Return quota (None: unlimited) and period in microseconds from a v2 ``cpu.max`` file.

    >>> cpu_max(b"50000 100000\n"), cpu_max(b"max 100000\n")
    ((50000, 100000), (None, 100000))

    Raises:
        Malformed: not a quota and a period.
    """
    words = text.split()
    if len(words) != 2 or not words[1].isdigit() or len(words[1]) > 20:
        raise Malformed("cpu.max", "not a quota and a period", offset_bytes=0, sample=text)
    if words[0] == b"max":
        return None, int(words[1])
    if not words[0].isdigit() or len(words[0]) > 20:
        raise Malformed("cpu.max", "quota is not a number", offset_bytes=0, sample=text)
    return int(words[0]), int(words[1])


def parse_flat_counters(text: bytes, *, source: str) -> dict[str, int]:
    r"""Return the counters of a file of ``name value`` lines: cpu.stat, memory.events, memory.oom_control.

    >>> parse_flat_counters(b"nr_periods 31\nnr_throttled 31\nthrottled_time 3300000000\n", source="cpu.stat")
    {'nr_periods': 31, 'nr_throttled': 31, 'throttled_time': 3300000000}

    Raises:
        Malformed: a line is not a name and a number.

    Source: Linux Documentation/admin-guide/cgroup-v2.rst, "Format": flat keyed.
    """
    counters = {}
    for line in text.split(b"\n"):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdigit() or len(words[1]) > 20:
            raise Malformed(source, "not a name and a number", sample=line)
        counters[words[0].decode("utf-8", "replace")] = int(words[1])
    return counters


def container_id(path: str) -> str | None:
    """Return the 64 hexadecimal digits of the innermost container in a cgroup path.

    Docker, containerd, CRI-O and Podman all put them in the path: ``/docker/ID``, ``/system.slice/docker-ID.scope``,
    ``/kubepods/burstable/podUID/ID``, ``cri-containerd-ID.scope``, ``crio-ID.scope``, ``libpod-ID.scope``,
    ``/machine.slice/libpod-ID.scope/container``.

    >>> container_id("/system.slice/docker-" + "ab" * 32 + ".scope")[:12], container_id("/user.slice/x.scope")
    ('abababababab', None)
    """
    matches = _HEX_ID.findall(path)
    return matches[-1] if matches else None


def pod_uid(path: str) -> str | None:
    """Return the uid of the pod in a cgroup path, with dashes as kubelet's directories have them.

    The systemd driver writes underscores; mirror pods of static manifests have 32 digits without dashes.

    >>> pod_uid("/kubepods.slice/kubepods-pod8f1c2d3e_0000_4abc_9def_001122334455.slice/cri-containerd-ab.scope")
    '8f1c2d3e-0000-4abc-9def-001122334455'
    """
    match = _POD_UID.search(path)
    if match:
        return match[1].replace("_", "-")
    match = _POD_STATIC_UID.search(path)
    return match[1] if match else None


def unit_name(path: str) -> str | None:
    r"""Return the innermost systemd unit in a cgroup path, unescaped as systemctl writes it.

    >>> unit_name("/system.slice/web.service"), unit_name("/system.slice/system-getty.slice/getty@tty1.service/sub")
    ('web.service', 'getty@tty1.service')
    >>> unit_name("/user.slice/user-1000.slice"), unit_name("/")
    ('user-1000.slice', None)
    """
    parts = [part for part in path.split("/") if part]
    for part in reversed(parts):
        if part.endswith(_UNIT_SUFFIXES):
            return part
    for part in reversed(parts):
        if part.endswith(".slice"):
            return part
    return None
