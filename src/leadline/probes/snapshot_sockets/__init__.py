"""Sockets of the target: states, queues, timers, tcp_info and memory, at the beginning and at the end.

What it sees: every TCP, UDP and unix socket that the target has a descriptor of, as the kernel's socket diagnosis
(NETLINK_SOCK_DIAG) tells it, in the target's network namespace.
What it cannot see: sockets that were made but never bound or connected (no dump lists those), sockets of other
namespaces that were passed to the target, and other families; they stay in the descriptor table without a state.
Requirements: none for a target in leadline's own network namespace; CAP_SYS_ADMIN for one in another.
Overhead: one dump per family and protocol, at most half the time of ``ss -tin`` for 50,000 sockets; see
benchmarks/bench_sockets.py. The target is not touched.
Sources: Linux net/ipv4/inet_diag.c, net/unix/diag.c.
"""

from leadline.probes.snapshot_sockets.sockets import PROBE, SnapshotSockets

__all__ = ["PROBE", "SnapshotSockets"]
