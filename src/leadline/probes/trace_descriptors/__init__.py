"""Births and deaths of descriptors, counted in the kernel, with the stack that made each.

What it sees: every system call that makes or closes a descriptor of the target (and of its children on request), who made it
(goroutine, thread, stack of up to 64 frames), how long it lived, calls that were refused (EMFILE, ENFILE), closes that failed,
and the open descriptors of a process in the moment before its exit. Go connections that are dialed on a goroutine of their
own are joined to the goroutine that asked. The kernel's own table (the task_file iterator) has the last word: what the
event stream believes and the table does not contain is dropped, what it missed is shown with origin unknown.
What it cannot see: where a descriptor came from that was open before, that io_uring made, or that came by an ioctl that is not
in its list; these appear with origin before, inherited or unknown. Stacks of native code built without frame pointers are short.
Requirements: Linux 5.17 with BTF, CAP_BPF and CAP_PERFMON; CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for names of files and
frames in other users' processes. Without them `trace_snapshots` looks instead.
Overhead: about 0.1 us on every system call of the host while it is attached, and about 1.6 us for each birth with its death; see
benchmarks/results/. A join probe costs 2 to 3 us per dial, not per request. The target is never stopped, and only read.
Sources: Linux fs/file.c, kernel/bpf/task_iter.c; Go net/http/transport.go (queueForDial), net/dial.go (DialContext).
"""

from leadline.probes.trace_descriptors.observe import PROBE, TraceDescriptors

__all__ = ["PROBE", "TraceDescriptors"]
