"""Counters of the target's network namespace, before and after: netstat, snmp, snmp6, sockstat.

What it sees: what the kernel counted for the whole namespace while the target was watched, such as ListenOverflows,
ListenDrops, resets and retransmissions, and how many sockets there are.
What it cannot see: which process or socket a count belongs to; other processes of the namespace count, too.
Requirements: none for a process that one may read.
Overhead: five files per look, 0.3 ms. The target is not touched.
Sources: Linux net/ipv4/proc.c, net/ipv6/proc.c; Documentation/networking/snmp_counter.rst.
"""

from leadline.probes.snapshot_netcounters.netcounters import PROBE, SnapshotNetCounters

__all__ = ["PROBE", "SnapshotNetCounters"]
