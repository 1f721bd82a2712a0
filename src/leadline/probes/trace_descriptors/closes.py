"""Failing closes: harmless, or the trace of a descriptor that somebody else closed.

close(2) with EBADF says only that the number was not open. What matters is who had closed it. The kernel side keeps the last
life of every number: who made it, who closed it, and whether that closer had closed the life before as well.
"""

from __future__ import annotations

import errno

__all__ = ["close_verdict", "errno_name"]


MAX_FOREIGN = 0.1
"""Up to here closing by others is taken for the fault itself, not for the custom of the place."""


def errno_name(number: int) -> str:
    """Return the name of an error number, such as ``EBADF``."""
    return errno.errorcode.get(number, f"errno {number}")


def close_verdict(
    error: int, flags: int, names: dict[str, int], *, foreign_ratio: float | None = None
) -> str:
    """Return ``somebody-elses``, ``double``, ``never-open`` or ``error`` for a group of failing closes.

    Args:
        error: errno.
        flags: bits as the kernel side recorded them.
        names: values of the bits by name (``FAILED_KNOWN`` ...), from the built object.
        foreign_ratio: share of the descriptors born where the last one was that are closed by another goroutine or thread than
            their maker; None when unknown.

    It is a plain double close when the failing caller, or the maker, had closed that life itself. It is somebody else's fault
    when another one closed it that had closed the life before, too (it closed one number twice), or when makers of that
    birthplace otherwise close what they make and this maker found its descriptor gone.
    """
    if error != errno.EBADF:
        return "error"
    is_set = {name: bool(flags & bit) for name, bit in names.items()}
    if not is_set["FAILED_KNOWN"] or is_set["FAILED_ALIVE"]:
        return "never-open"
    if is_set["FAILED_CALLER_CLOSED"] or is_set["FAILED_CLOSER_OWNED"] or not is_set["FAILED_BORN"]:
        return "double"
    makers_close = foreign_ratio is not None and foreign_ratio <= MAX_FOREIGN
    if is_set["FAILED_CLOSER_REPEATED"] or (is_set["FAILED_CALLER_OWNED"] and makers_close):
        return "somebody-elses"
    return "double"
