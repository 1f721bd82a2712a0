"""What the rules of forgotten connections share: which connections nobody uses, and whether that is settled.

No goroutine waits on a forgotten connection or was seen to work with it. That alone is no fault: pools of all kinds keep idle
connections that way. It is settled where the peer has closed, where data waits unread, or where they become more and more.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from leadline.evidence.owners import Hold
from leadline.model import Because, Layer, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from leadline.evidence.owners import Owner
    from leadline.rules.connections import Seen

__all__ = ["because", "is_forgotten", "is_left", "is_settled", "most_frequent", "reference", "states"]

MIN_LEFT_MS = 2000
"""As in FDL201: a server under load closes within milliseconds of the peer's FIN."""
MIN_UNREAD_MS = 1000
MIN_AGE_NS = 10**9
"""Younger ones may be between two steps of the program."""
_GONE = frozenset({"CLOSE_WAIT", "CLOSE", "LAST_ACK", "CLOSING"})


def is_forgotten(owner: Owner, seen: Seen) -> bool:
    """Return whether a connection of a process whose goroutines were read has none, and is not new."""
    if not seen.book.was_read(owner.pid) or owner.hold not in {Hold.NOBODY, Hold.UNKNOWN}:
        return False
    if owner.goroutine is not None or (owner.use is not None and owner.use.syscall_goids):
        return False
    if owner.descriptor is None or not owner.descriptor.kind.is_socket:
        return False
    if owner.socket is not None and owner.socket.state in {"LISTEN", "SYN_SENT"}:
        return False
    age_ns = seen.age_ns(owner)
    return age_ns is not None and age_ns >= MIN_AGE_NS


def is_left(owner: Owner) -> bool:
    """Return whether the peer has closed, long enough ago that a program which cares would have closed too."""
    socket = owner.socket
    if socket is None or socket.state not in _GONE:
        return False
    return socket.last_ack_recv_ms is None or socket.last_ack_recv_ms >= MIN_LEFT_MS


def is_settled(owner: Owner) -> bool:
    """Return whether the socket shows that nobody attends to it: the peer has left, or data waits unread."""
    socket = owner.socket
    if is_left(owner):
        return True
    return bool(
        socket is not None
        and socket.rqueue_bytes
        and socket.last_data_recv_ms is not None
        and socket.last_data_recv_ms >= MIN_UNREAD_MS
    )


def most_frequent(clauses: Iterable[str]) -> str:
    """Return the most frequent of some clauses, the first in order of the alphabet among equals; "" without any."""
    counts = Counter(clause for clause in clauses if clause)
    return min(counts, key=lambda clause: (-counts[clause], clause), default="")


def states(owners: Sequence[Owner]) -> str:
    """Return ``23 CLOSE_WAIT`` and the like; "" when sockets were not seen."""
    counts = Counter(owner.socket.state for owner in owners if owner.socket is not None)
    return ", ".join(
        f"{count} {state}" for state, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def reference(owner: Owner) -> str:
    """Return the evidence to point at: what keeps it reachable, else its use."""
    return f"{'retention' if owner.retention is not None else 'descriptor'}:{owner.fd}"


def because(owners: Sequence[Owner]) -> tuple[Because, ...]:
    """Return what sockets and goroutines say of forgotten connections."""
    count, sample = len(owners), owners[0]
    told = [
        Because(
            evidence=reference(sample),
            layer=Layer.RUNTIME,
            says=f"No goroutine waits on {count} of {count}, nor was one seen to work with them.",
        )
    ]
    found = states(owners)
    if found and sample.socket is not None:
        silent = [value for owner in owners if (value := owner.silent_ns) is not None]
        since = f"; no data has moved on one for {format_duration(max(silent))}" if silent else ""
        told.append(
            Because(
                evidence=f"socket:{sample.socket.inode}",
                layer=Layer.KERNEL,
                says=f"Their sockets: {found}{since}.",
            )
        )
    return tuple(told)
