"""Who the target is: names, limits, start, threads, memory, Go build, control group, listening ports.

What it sees: proc/PID, the target's binary, and the control group files, at the beginning and at the end of the window.
What it cannot see: names inside other user's processes without the rights named below; limits set on io_uring instances.
Requirements: none for one's own processes; CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for others'.
Overhead: about 2 ms per look, and reading the binary's build information once. The target is not touched.
Sources: proc_pid_stat(5), proc_pid_status(5), proc_pid_limits(5), cgroups(7); Linux fs/proc/array.c.
"""

from leadline.probes.snapshot_process.process import PROBE, SnapshotProcess, read_process

__all__ = ["PROBE", "SnapshotProcess", "read_process"]
