"""Words of the domain: verdicts, gaps, errors, units. No I/O, no third-party code but msgspec."""

from leadline.model.errors import (
    AccessError,
    BundleError,
    DeadlineExceeded,
    LeadlineError,
    Malformed,
    NotPermitted,
    TargetGone,
    Unsupported,
    UsageError,
)
from leadline.model.printable import printable
from leadline.model.units import format_bytes, format_duration, parse_duration_ns, parse_size_bytes
from leadline.model.verdict import (
    Because,
    Cleared,
    Finding,
    Gap,
    GapReason,
    Layer,
    NotJudged,
    Severity,
    Site,
    SiteFrame,
    Verdict,
)

__all__ = [
    "AccessError",
    "Because",
    "BundleError",
    "Cleared",
    "DeadlineExceeded",
    "Finding",
    "Gap",
    "GapReason",
    "Layer",
    "LeadlineError",
    "Malformed",
    "NotJudged",
    "NotPermitted",
    "Severity",
    "Site",
    "SiteFrame",
    "TargetGone",
    "Unsupported",
    "UsageError",
    "Verdict",
    "format_bytes",
    "format_duration",
    "parse_duration_ns",
    "parse_size_bytes",
    "printable",
]
