"""Failing closes: harmless, or the trace of a descriptor that somebody else closed.

close(2) with EBADF says only that the number was not open. What matters is who had closed it. The kernel side keeps the last
life of every number: who made it, who closed it, and whether that closer had closed the life before as well.
"""

from __future__ import annotations

import errno

__all__ = ["close_verdict", "errno_name"]


def errno_name(number: int) -> str:
    """Return the name of an error number, such as ``EBADF``."""
    return errno.errorcode.get(number, f"errno {number}")


def close_verdict(error: int, flags: int, names: dict[str, int]) -> str:
    """Return ``somebody-elses``, ``double``, ``never-open`` or ``error`` for a group of failing closes.

    Args:
        error: errno.
        flags: bits as the kernel side recorded them.
        names: values of the bits by name (``FAILED_KNOWN`` ...), from the built object.

    A close is somebody else's fault when the maker of the descriptor now fails to close it and the one who did close it is
    another goroutine or thread that had closed the life before, too: it closed the same number twice.
    """
    if error != errno.EBADF:
        return "error"
    is_set = {name: bool(flags & bit) for name, bit in names.items()}
    if not is_set["FAILED_KNOWN"]:
        return "never-open"
    if (
        is_set["FAILED_CALLER_OWNED"]
        and not is_set["FAILED_CLOSER_OWNED"]
        and is_set["FAILED_CLOSER_REPEATED"]
    ):
        return "somebody-elses"
    return "double"
