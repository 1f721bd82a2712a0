"""Growth of the descriptor table without BPF: tables are compared at intervals.

What it sees: which descriptors appeared and went between two looks, their kind, and for sockets and files where they
lead; how many of each group are alive over time; ages since they were first seen.
What it cannot see: who opened them (no stacks); descriptors that lived shorter than the interval; a number that was
closed and given to the same file again in between. So births and deaths are lower bounds.
Requirements: none for one's own processes; CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for others'.
Overhead: looks at every tick, but never more than a twentieth of one CPU: large tables are looked at less often. The
target is not touched.
Sources: Linux fs/proc/fd.c; net/ipv4/inet_diag.c.
"""

from leadline.probes.trace_snapshots.snapshots import PROBE, TraceSnapshots

__all__ = ["PROBE", "TraceSnapshots"]
