"""Which findings are consequences of others, so that a report leads with the cause."""

__all__ = ["CONSEQUENCE_OF"]

_LEAKS = ("FDL101", "FDL102", "FDL103", "FDL104", "FDL105", "FDL110")

CONSEQUENCE_OF: dict[str, tuple[str, ...]] = {
    "FDL110": ("FDL102", "FDL101", "FDL103", "FDL104", "FDL105"),
    "FDL201": ("FDL102", "FDL101", "FDL110"),
    "FDL301": (*_LEAKS, "FDL201", "FDL202"),
    "FDL302": (*_LEAKS, "FDL201", "FDL202", "FDL301"),
    "FDL401": ("FDL105",),
    "FDL501": ("FDL502",),
    "NET101": ("FDL302", "FDL301", *_LEAKS),
}
"""Code of a consequence to the codes of its possible causes, likeliest first."""
