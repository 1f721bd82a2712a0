"""proc/PID/status: owner, capabilities and namespace pids of one process."""

from __future__ import annotations

from dataclasses import dataclass

from leadline.model import Malformed

__all__ = ["CAPABILITY_BITS", "ProcStatus", "parse_status"]

CAPABILITY_BITS = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_RESOURCE": 24,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}
"""Bits of the capabilities that matter to leadline (include/uapi/linux/capability.h)."""


@dataclass(frozen=True, slots=True)
class ProcStatus:
    """The fields of proc/PID/status that leadline uses.

    Attributes:
        uid, effective_uid: real and effective user.
        namespace_pids: NSpid, outermost (that of the proc mount) first; empty on kernels before 4.1.
        threads: number of threads.
        rss_bytes: VmRSS; None for kernel threads and zombies, which have no memory.
        effective_capabilities: CapEff as a bit mask.
        is_kernel_thread: Kthread line (in v6.4); None when the kernel does not tell.
    """

    name: str
    state: str
    pid: int
    parent_pid: int
    uid: int
    effective_uid: int
    namespace_pids: tuple[int, ...]
    threads: int
    rss_bytes: int | None
    effective_capabilities: int
    is_kernel_thread: bool | None

    def has_capability(self, name: str) -> bool:
        """Return whether the effective set holds a capability of ``CAPABILITY_BITS``."""
        return bool(self.effective_capabilities >> CAPABILITY_BITS[name] & 1)


def parse_status(text: bytes) -> ProcStatus:
    r"""Return the fields of a whole proc/PID/status file.

    >>> status = parse_status(b"Name:\tserver\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t41\nPid:\t41\nPPid:\t1\n"
    ...     b"Uid:\t1000\t0\t0\t0\nNSpid:\t41\t7\nVmRSS:\t    1712 kB\nThreads:\t9\nCapEff:\t000000c000000000\n")
    >>> status.uid, status.namespace_pids, status.rss_bytes, status.has_capability("CAP_BPF")
    (1000, (41, 7), 1753088, True)

    Raises:
        Malformed: a needed line is missing or does not hold what it should.

    Source: Linux fs/proc/array.c, proc_pid_status.
    """
    lines: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        key, colon, value = line.partition(b":")
        if colon:
            lines.setdefault(key, value.strip())
    try:
        uids = lines[b"Uid"].split()
        resident = lines.get(b"VmRSS")
        kernel_thread = lines.get(b"Kthread")
        return ProcStatus(
            name=lines[b"Name"].decode("utf-8", "surrogateescape"),
            state=lines[b"State"][:1].decode("ascii"),
            pid=int(lines[b"Tgid"]),
            parent_pid=int(lines[b"PPid"]),
            uid=int(uids[0]),
            effective_uid=int(uids[1]),
            namespace_pids=tuple(int(word) for word in lines.get(b"NSpid", b"").split()),
            threads=int(lines[b"Threads"]),
            rss_bytes=None if resident is None else int(resident.split()[0]) * 1024,
            effective_capabilities=int(lines[b"CapEff"], 16),
            is_kernel_thread=None if kernel_thread is None else bool(int(kernel_thread)),
        )
    except KeyError as exc:
        name = exc.args[0].decode("ascii")
        raise Malformed("proc/PID/status", f"no line {name!r}", sample=text) from exc
    except (ValueError, IndexError) as exc:
        raise Malformed("proc/PID/status", f"unexpected value: {exc}", sample=text) from exc
