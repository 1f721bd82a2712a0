"""Which findings are consequences of others, so that a report leads with the cause."""

__all__ = ["CONSEQUENCE_OF", "LARGEST_LEADS", "SAME_PLACE"]

_LEAKS = ("FDL101", "FDL102", "FDL103", "FDL104", "FDL105", "FDL110")
_KEPT = ("HTP101", "HTP102", "TLS102", "GOR101", "FDL403", "FDL402", "FDL604", "FDL603", "FDL601")
"""Why descriptors of one place stay open, by what the Go runtime tells of them; the most specific first."""
_CLIENTS = ("HTP103", "TLS101")

CONSEQUENCE_OF: dict[str, tuple[str, ...]] = {
    "FDL101": ("HTP101", "HTP102", "TLS102", "GOR101", "FDL403", "GOR301", "FDL601"),
    "FDL102": ("TLS102", "FDL604", "FDL603", "FDL601"),
    "FDL105": ("FDL402", "GOR101"),
    "FDL110": ("FDL102", "FDL101", "FDL103", "FDL104", "FDL105", *_KEPT),
    "FDL201": ("FDL102", "FDL101", "FDL110", "TLS102", "FDL604", "FDL603", "FDL601"),
    "FDL202": _CLIENTS,
    "FDL301": (*_KEPT, *_LEAKS, "FDL201", *_CLIENTS, "FDL202"),
    "FDL302": (*_KEPT, *_LEAKS, "FDL201", *_CLIENTS, "FDL202", "FDL301"),
    "FDL401": ("FDL402", "FDL105"),
    "FDL501": ("FDL502",),
    "FDL601": ("TLS102",),
    "FDL602": ("TLS102", "FDL604", "FDL102", "FDL101"),
    "GOR201": ("GOR202", "GOR101", "FDL603"),
    "NET101": ("FDL302", "FDL301", *_KEPT, *_LEAKS),
}
"""Code of a consequence to the codes of its possible causes, likeliest first.

A leak by births and deaths is the consequence of what the Go runtime tells of the same descriptors: why nobody closes them.
"""

SAME_PLACE = frozenset(
    {"FDL101", "FDL102", "FDL105", "FDL110", "FDL201", "FDL202", "FDL601", "FDL602", "GOR201"}
)
"""Consequences about the descriptors of one place: only a finding about the same place, or one that names none, explains them."""

LARGEST_LEADS = frozenset({"FDL301", "FDL302"})
"""Consequences of how many descriptors there are: the cause is the one about most of them that has no cause itself."""
