"""Errors, sorted by what the reader can do next.

Expected absence is data (:class:`leadline.model.Gap`); these classes are for surprises. They are caught in one
place only, the face, which prints message and remedy and exits 2.
"""

from __future__ import annotations

__all__ = [
    "AccessError",
    "BundleError",
    "DeadlineExceeded",
    "LeadlineError",
    "Malformed",
    "NotPermitted",
    "TargetGone",
    "Unsupported",
    "UsageError",
]


class LeadlineError(Exception):
    """Base of all errors that leadline raises on purpose: a message, and a remedy where one is known."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(LeadlineError):
    """The command line or a target cannot be understood; exit 2."""


class BundleError(LeadlineError):
    """A case file is of an unknown version, damaged, or not a case file."""


class AccessError(LeadlineError):
    """The machine refused or failed a read; ``errno_raw`` is the kernel's number, None when there is none."""

    def __init__(self, message: str, *, remedy: str = "", errno_raw: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.errno_raw = errno_raw


class Unsupported(AccessError):
    """This kernel or build does not have the feature; other means may exist."""


class NotPermitted(AccessError):
    """A right is missing; the message names the capability, user or setting."""


class TargetGone(AccessError):
    """The process ended (or became another one) while it was being read: normal, never a crash."""


class DeadlineExceeded(AccessError):
    """A wait ended by its deadline; the message names the phase."""


class Malformed(LeadlineError):
    """Bytes from outside do not have the expected form.

    Attributes:
        source: what was being decoded, such as ``proc/net/netstat`` or ``.gopclntab``.
        offset_bytes: where in it, None when unknown.
        sample: the first 64 bytes at that place.
    """

    def __init__(
        self, source: str, reason: str, *, offset_bytes: int | None = None, sample: bytes = b""
    ) -> None:
        where = "" if offset_bytes is None else f" at byte {offset_bytes}"
        super().__init__(f"{source}: {reason}{where}")
        self.source = source
        self.offset_bytes = offset_bytes
        self.sample = sample[:64]
