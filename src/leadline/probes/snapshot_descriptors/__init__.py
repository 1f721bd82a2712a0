"""The descriptor table of the target, once: numbers, kinds, inodes and names.

What it sees: every entry of proc/PID/fd at the end of the window, with the family of each socket.
What it cannot see: where a descriptor came from, and which are duplicates of one open file (sockets excepted).
Requirements: none for one's own processes; CAP_SYS_PTRACE (and CAP_DAC_READ_SEARCH) for others'.
Overhead: 18,000 descriptors in at most 0.1 s; see benchmarks/bench_census.py. The target is not touched.
Sources: Linux fs/proc/fd.c; net/socket.c, sockfs_xattr_get.
"""

from leadline.probes.snapshot_descriptors.descriptors import PROBE, SnapshotDescriptors

__all__ = ["PROBE", "SnapshotDescriptors"]
