"""What there is: rules, probes, exporters, and the pages of rules."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import msgspec

from leadline.model import UsageError

__all__ = ["catalogue", "rule_page"]


def rule_page(code: str) -> str:
    """Return the page of a rule, by code or name.

    Raises:
        UsageError: there is no such rule.
    """
    from leadline.rules._index import RULES  # noqa: PLC0415  the index is a plain table of strings

    for known, path in RULES.items():
        module = importlib.import_module(path)
        if code.upper() == known or code == module.INFO.name:
            return f"{inspect.getdoc(module) or ''}\n"
    raise UsageError(f"there is no rule {code}", remedy="leadline list rules")


def catalogue(what: str, *, as_json: bool) -> str:
    """Return the list of rules, probes or exporters as text or JSON.

    Raises:
        UsageError: another word.
    """
    lists = {"rules": _rules, "probes": _probes, "exporters": _exporters}
    if what not in lists:
        raise UsageError(f"there is no list of {what}", remedy="leadline list rules, probes or exporters")
    rows = lists[what]()
    if as_json:
        return msgspec.json.format(msgspec.json.encode({"schema_version": 1, what: rows})).decode() + "\n"
    keys = list(rows[0]) if rows else []
    widths = {key: max(len(str(row[key])) for row in rows) for key in keys[:-1]}
    lines = [
        "  ".join([*(str(row[key]).ljust(widths[key]) for key in keys[:-1]), str(row[keys[-1]])])
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _rules() -> list[dict[str, Any]]:
    from leadline.rules._index import RULES  # noqa: PLC0415

    rows = []
    for code, path in RULES.items():
        module = importlib.import_module(path)
        rows.append(
            {
                "code": code,
                "severity": module.INFO.severity.value,
                "name": module.INFO.name,
                "finds": _first_line(module),
            }
        )
    return rows


def _probes() -> list[dict[str, Any]]:
    from leadline.app.probes import PROBES  # noqa: PLC0415

    rows = []
    for path in PROBES:
        module = importlib.import_module(path)
        rows.append(
            {"name": module.PROBE.INFO.name, "cost": module.PROBE.INFO.cost, "sees": _first_line(module)}
        )
    return rows


def _exporters() -> list[dict[str, Any]]:
    from leadline.export._index import EXPORTERS  # noqa: PLC0415

    return [
        {"name": name, "writes": _first_line(importlib.import_module(path))}
        for name, path in EXPORTERS.items()
    ]


def _first_line(module: Any) -> str:  # noqa: ANN401  any module
    return (inspect.getdoc(module) or "").partition("\n")[0]
