"""The descriptor table of the target, once: numbers, kinds, inodes and names.

What it sees: every open descriptor at the end of the window, with the family of each socket. With CAP_BPF and
CAP_PERFMON also which descriptors are duplicates of one open file, and flags: the kernel's task-file iterator tells those.
What it cannot see: where a descriptor came from; from proc alone, duplicates of other things than sockets.
Requirements: none for one's own processes; for others' the two above, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.
Overhead: 18,000 descriptors in at most 0.1 s; see benchmarks/bench_census.py. The target is not touched.
Sources: Linux kernel/bpf/task_iter.c; fs/proc/fd.c; net/socket.c, sockfs_xattr_get.
"""

from leadline.probes.snapshot_descriptors.descriptors import PROBE, SnapshotDescriptors

__all__ = ["PROBE", "SnapshotDescriptors"]
