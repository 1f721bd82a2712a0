"""Exporters by name; each module has ``encode(evidence, verdicts) -> bytes`` and a docstring that says what it writes."""

__all__ = ["EXPORTERS"]

EXPORTERS: dict[str, str] = {
    "json": "leadline.export.json_document",
    "pprof": "leadline.export.pprof",
    "flame": "leadline.export.flame",
    "sarif": "leadline.export.sarif",
    "junit": "leadline.export.junit",
    "github": "leadline.export.github",
}
"""Name to module path, as a string, so that listing them loads none."""
