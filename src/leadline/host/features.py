"""What this host and these rights allow, tried one by one; a kernel's version says nothing about it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from leadline.evidence.kinds import HostInfo
from leadline.formats.cgroup import parse_mountinfo_cgroups
from leadline.formats.procstatus import parse_status
from leadline.formats.procsys import parse_file_nr, parse_number
from leadline.formats.sockdiag import AF_INET, AF_INET6, AF_UNIX
from leadline.host import bpf_trials
from leadline.model import AccessError, LeadlineError, NotPermitted, Unsupported

if TYPE_CHECKING:
    from leadline.host.live import LiveHost

__all__ = ["YES", "Feature", "probe_features", "read_host_info"]

Value = TypeVar("Value")

YES = "yes"
_LISTEN_STATE = 1 << 10
_TCP, _UDP = 6, 17
_TRACING_CAPS = "run as root, or give leadline CAP_BPF and CAP_PERFMON"
_READING_CAPS = "run as root, or give leadline CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that the host may allow.

    Attributes:
        name: stable word, as in ``HostInfo.features``.
        status: ``yes``, or the reason why not.
        adds: what leadline can do with it.
        remedy: how to get it; empty when it is there, or cannot be got.
    """

    name: str
    status: str
    adds: str
    remedy: str = ""

    @property
    def is_there(self) -> bool:
        """Return whether it can be used."""
        return self.status == YES


@dataclass(frozen=True, slots=True)
class _Trial:
    name: str
    adds: str
    remedy: str
    run: Callable[[LiveHost], str | None]  # a status other than yes, or None


def probe_features(host: LiveHost, trial_load: Callable[[], None] | None = None) -> list[Feature]:
    """Return every feature with its status, those for tracing first; takes about 0.1 s and leaves nothing behind.

    Args:
        host: the machine.
        trial_load: loads leadline's own tracing programs and unloads them; raises as ``Bpf.load`` does.
    """
    trials = list(_TRIALS)
    if trial_load is not None:
        run = _without_host(trial_load)
        adds = "every birth and death of a descriptor, with the stack that made it"
        trials.insert(0, _Trial("descriptor_tracing", adds, f"{_TRACING_CAPS}; needs BTF", run))
    return [_try(host, trial) for trial in trials]


def read_host_info(host: LiveHost, features: list[Feature]) -> HostInfo:
    """Return the machine as evidence."""
    file_nr = _attempt(lambda: parse_file_nr(host.read_proc("sys/fs/file-nr")))
    return HostInfo(
        kernel_release=platform.release(),
        machine=platform.machine(),
        cpu_count=os.cpu_count() or 1,
        features={feature.name: feature.status for feature in features},
        file_nr=None if file_nr is None else file_nr.allocated,
        file_max=None if file_nr is None else file_nr.maximum,
        nr_open=_attempt(lambda: parse_number(host.read_proc("sys/fs/nr_open"), "proc/sys/fs/nr_open")),
    )


def _attempt(read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except LeadlineError:
        return None


def _try(host: LiveHost, trial: _Trial) -> Feature:
    try:
        status = trial.run(host) or YES
    except LeadlineError as exc:
        return Feature(
            trial.name, exc.message, trial.adds, trial.remedy if isinstance(exc, AccessError) else ""
        )
    return Feature(trial.name, status, trial.adds, "" if status == YES else trial.remedy)


def _without_host(run: Callable[[], None]) -> Callable[[LiveHost], None]:
    return lambda _: run()


# -- trials --------------------------------------------------------------------------------------------------


def _btf(host: LiveHost) -> None:
    host.read_sys("kernel/btf/vmlinux", limit_bytes=16)


def _tp_btf(host: LiveHost) -> None:
    bpf_trials.try_tp_btf(host)


def _iterators(host: LiveHost) -> None:
    bpf_trials.try_iterator(host)


def _uprobe_multi(_: LiveHost) -> None:
    try:
        bpf_trials.try_uprobe_multi()
    except NotPermitted:
        raise
    except AccessError as exc:
        raise Unsupported("needs Linux 6.6; one perf event per place is used instead") from exc


def _raw_tracepoints(_: LiveHost) -> None:
    bpf_trials.try_raw_tracepoint()


def _sock_diag(family: int, protocol: int) -> Callable[[LiveHost], None]:
    def run(host: LiveHost) -> None:
        host.sock_diag(0, family, protocol, _LISTEN_STATE, 0)

    return run


def _other_netns(host: LiveHost) -> str | None:
    return _capability("CAP_SYS_ADMIN")(host)


def _capability(name: str) -> Callable[[LiveHost], str | None]:
    def run(host: LiveHost) -> str | None:
        status = parse_status(host.read_proc("self/status"))
        return None if status.has_capability(name) else "not in the effective set"

    return run


def _others_descriptors(host: LiveHost) -> str | None:
    """Try the table of one process of each other user, of the first 512 that there are."""
    own = parse_status(host.read_proc("self/status"))
    refused: set[int] = set()
    read: set[int] = {own.effective_uid}
    for name in sorted((name for name in host.list_proc(".") if name.isdigit()), key=int)[:512]:
        try:
            uid = parse_status(host.read_proc(f"{name}/status")).uid
            if uid not in read:
                host.list_proc(f"{name}/fd")
                read.add(uid)
        except NotPermitted:
            refused.add(uid)
        except LeadlineError:
            continue
    refused -= read
    if not refused and len(read) == 1 and own.effective_uid != 0 and not own.has_capability("CAP_SYS_PTRACE"):
        return "not in the effective set: CAP_SYS_PTRACE (no other user's process to try)"
    return f"EACCES for users {', '.join(map(str, sorted(refused)[:4]))}" if refused else None


def _map_files(host: LiveHost) -> None:
    names = host.list_proc("self/map_files")
    for name in names:
        try:
            os.close(os.open(f"{host.proc_root}/self/map_files/{name}", os.O_RDONLY | os.O_CLOEXEC))
        except PermissionError as exc:
            raise NotPermitted("EPERM") from exc
        except OSError:
            continue
        return
    raise Unsupported("no mapped file to try")


def _perf_paranoid(host: LiveHost) -> str | None:
    level = parse_number(host.read_proc("sys/kernel/perf_event_paranoid"), "perf_event_paranoid")
    status = parse_status(host.read_proc("self/status"))
    is_allowed = level < 2 or status.has_capability("CAP_PERFMON") or status.has_capability("CAP_SYS_ADMIN")
    return None if is_allowed else f"kernel.perf_event_paranoid is {level} and CAP_PERFMON is missing"


def _unprivileged_bpf(host: LiveHost) -> str | None:
    value = parse_number(host.read_proc("sys/kernel/unprivileged_bpf_disabled"), "unprivileged_bpf_disabled")
    status = parse_status(host.read_proc("self/status"))
    is_allowed = value == 0 or status.has_capability("CAP_BPF") or status.has_capability("CAP_SYS_ADMIN")
    return None if is_allowed else f"kernel.unprivileged_bpf_disabled is {value} and CAP_BPF is missing"


def _psi(host: LiveHost) -> None:
    host.read_proc("pressure/cpu")


def _cgroup(version: int) -> Callable[[LiveHost], str | None]:
    def run(host: LiveHost) -> str | None:
        mounts = parse_mountinfo_cgroups(host.read_proc("self/mountinfo"))
        return None if any(mount.version == version for mount in mounts) else "not mounted"

    return run


def _pidfd(host: LiveHost) -> None:
    host.open_process(os.getpid()).close()


def _memory(host: LiveHost) -> str | None:
    status = parse_status(host.read_proc("self/status"))
    if status.has_capability("CAP_SYS_PTRACE"):
        return None
    scope = _attempt(lambda: parse_number(host.read_proc("sys/kernel/yama/ptrace_scope"), "ptrace_scope"))
    return f"kernel.yama.ptrace_scope is {scope} and CAP_SYS_PTRACE is missing" if scope else None


_TRIALS = (
    _Trial(
        "btf",
        "programs that fit this kernel without being compiled on it",
        "a kernel with CONFIG_DEBUG_INFO_BTF",
        _btf,
    ),
    _Trial("bpf", "any tracing in the kernel", _TRACING_CAPS, _unprivileged_bpf),
    _Trial("raw_tracepoint", "tracing of system calls", _TRACING_CAPS, _raw_tracepoints),
    _Trial("tp_btf", "births and deaths of descriptors, with stacks", f"{_TRACING_CAPS}; needs BTF", _tp_btf),
    _Trial(
        "iter_task_file",
        "descriptor tables of all processes, fast and exact",
        f"{_TRACING_CAPS}; needs BTF",
        _iterators,
    ),
    _Trial(
        "uprobe_multi",
        "joining connections to the goroutines that asked, at lower cost",
        "Linux 6.6 or later",
        _uprobe_multi,
    ),
    _Trial("perf_event", "joining connections to the goroutines that asked", _TRACING_CAPS, _perf_paranoid),
    _Trial(
        "sock_diag_tcp4",
        "states, queues and timers of IPv4 connections",
        "load the kernel module tcp_diag",
        _sock_diag(AF_INET, _TCP),
    ),
    _Trial(
        "sock_diag_tcp6",
        "states, queues and timers of IPv6 connections",
        "load the kernel module tcp_diag",
        _sock_diag(AF_INET6, _TCP),
    ),
    _Trial(
        "sock_diag_udp4",
        "states and drops of IPv4 UDP sockets",
        "load the kernel module udp_diag",
        _sock_diag(AF_INET, _UDP),
    ),
    _Trial(
        "sock_diag_udp6",
        "states and drops of IPv6 UDP sockets",
        "load the kernel module udp_diag",
        _sock_diag(AF_INET6, _UDP),
    ),
    _Trial(
        "sock_diag_unix",
        "names and peers of unix sockets",
        "load the kernel module unix_diag",
        _sock_diag(AF_UNIX, 0),
    ),
    _Trial(
        "other_netns",
        "sockets of targets in containers",
        "run as root, or give leadline CAP_SYS_ADMIN",
        _other_netns,
    ),
    _Trial("others_descriptors", "targets of other users", _READING_CAPS, _others_descriptors),
    _Trial(
        "memory",
        "symbols of the vdso, state of goroutines",
        "run as root, or give leadline CAP_SYS_PTRACE",
        _memory,
    ),
    _Trial(
        "map_files",
        "symbols of deleted programs and libraries",
        "run as root, or give leadline CAP_CHECKPOINT_RESTORE",
        _map_files,
    ),
    _Trial("pidfd", "never mistaking a recycled pid for the target", "Linux 5.3 or later", _pidfd),
    _Trial("psi", "pressure of CPU, memory and I/O", "boot with psi=1", _psi),
    _Trial("cgroup_v1", "limits of containers on older hosts", "", _cgroup(1)),
    _Trial("cgroup_v2", "limits of containers", "", _cgroup(2)),
    *(
        _Trial(name, adds, f"run as root, or give leadline {name}", _capability(name))
        for name, adds in {
            "CAP_BPF": "loading programs into the kernel",
            "CAP_PERFMON": "programs that trace, stacks",
            "CAP_SYS_PTRACE": "looking into other users' processes",
            "CAP_DAC_READ_SEARCH": "files of other users' processes",
            "CAP_SYS_ADMIN": "sockets of containers",
            "CAP_CHECKPOINT_RESTORE": "symbols of deleted programs without CAP_SYS_ADMIN",
        }.items()
    ),
)
