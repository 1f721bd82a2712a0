"""The report as one JSON document with a stable schema (``leadline ... --json``).

The schema is shipped beside this file as ``report.schema.json``. Fields are added, never changed in meaning, within one
``schema_version``. Strings hold what the target calls things; characters that are not printable are written as JSON escapes, so
that the document may be shown on a terminal.
"""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import msgspec

from leadline import __version__
from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    GoRuntime,
    ProcessInfo,
    Retention,
    SelfCost,
    Window,
)
from leadline.evidence.queries import (
    birthplaces,
    by_kind,
    by_origin,
    duplicates,
    headroom,
    open_counts,
    target,
)
from leadline.model import Because, Cleared, Finding, Gap, NotJudged, Site, SiteFrame, printable

__all__ = ["SCHEMA_VERSION", "document", "encode", "encode_value", "schema"]

SCHEMA_VERSION = 1
MAX_DUPLICATES = 100
MAX_PEERS = 8


def encode(evidence: Evidence, verdicts: Verdicts) -> bytes:
    """Return the document as indented UTF-8 text, ending with a newline."""
    return encode_value(document(evidence, verdicts))


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document."""
    text = importlib.resources.files("leadline.export").joinpath("report.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def document(evidence: Evidence, verdicts: Verdicts) -> dict[str, Any]:
    """Return the document as plain values, in the order of its schema."""
    process = target(evidence)
    window = evidence.first(Window)
    cost = evidence.first(SelfCost)
    runtime = evidence.first(GoRuntime)
    counts = open_counts(evidence)
    return {
        "schema_version": SCHEMA_VERSION,
        "leadline": __version__,
        "target": None if process is None else _process(evidence, process, counts),
        "window": None if window is None else _window(window),
        "findings": [_finding(finding) for finding in verdicts.findings],
        "cleared": [_cleared(cleared) for cleared in verdicts.cleared],
        "not_judged": [_not_judged(not_judged) for not_judged in verdicts.not_judged],
        "gaps": [_gap(gap) for gap in (*evidence.all(Gap), *verdicts.gaps)],
        "self": None if cost is None else _cost(cost),
        "descriptors": _descriptors(evidence),
        "birthplaces": [_birthplace(place) for place in birthplaces(evidence)],
        "children": [_process(evidence, child, counts) for child in evidence.all(ProcessInfo)[1:]],
        "runtime": _record(runtime),
        "connections": [
            _record(one) for one in sorted(evidence.all(Connection), key=lambda one: (one.pid, one.fd))
        ],
        "retention": [_record(one) for one in evidence.all(Retention)],
    }


def encode_value(value: object) -> bytes:
    """Return any plain value as indented JSON in which every unprintable character is an escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if not text.isascii() or "\x7f" in text:
        text = "".join(char if char == "\n" or char.isprintable() else _escape(char) for char in text)
    return text.encode() + b"\n"


def _escape(character: str) -> str:
    if 0xD800 <= ord(character) <= 0xDFFF:  # a byte that is not UTF-8: no JSON string can hold it
        return printable(character).replace("\\", "\\\\")
    units = character.encode("utf-16-be")
    return "".join(f"\\u{int.from_bytes(units[i : i + 2], 'big'):04x}" for i in range(0, len(units), 2))


def _process(evidence: Evidence, process: ProcessInfo, counts: dict[int, int]) -> dict[str, Any]:
    room = headroom(evidence, process, counts)
    return {
        "pid": process.pid,
        "start_boot_ns": process.start_boot_ns,
        "comm": process.comm,
        "exe": process.exe,
        "cmdline": process.cmdline,
        "go_version": process.go_version,
        "main_package": process.main_package,
        "main_module": process.main_module,
        "build_id": process.build_id,
        "container_id": process.container_id,
        "cgroup_path": process.cgroup_path,
        "ended": process.ended_mono_ns is not None,
        "open_descriptors": room.open_count,
        "nofile_soft": room.soft,
        "nofile_hard": room.hard,
        "listening": [
            {
                "address": one.address,
                "port": one.port,
                "accept_queue": one.accept_queue,
                "backlog": one.backlog,
            }
            for one in process.listeners
        ],
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        "start_unix_ns": window.begin_unix_ns,
        "duration_ns": window.duration_ns,
        "mode": window.mode,
        "ended_by": window.ended_by,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "confidence": finding.confidence,
        "layer": finding.layer.value,
        "title": finding.title,
        "explanation": finding.explanation,
        "remedy": finding.remedy,
        "verify": finding.verify,
        "kind": finding.kind,
        "count": finding.count,
        "rate_per_s": finding.rate_per_s,
        "sites": [_site(site) for site in finding.sites],
        "because": [_because(because) for because in finding.because],
        "against": [_because(against) for against in finding.against],
        "related": list(finding.related),
        "pid": finding.pid,
        "explained_by": finding.explained_by,
    }


def _cleared(cleared: Cleared) -> dict[str, Any]:
    return {
        "code": cleared.code,
        "name": cleared.name,
        "subject": cleared.subject,
        "reason": cleared.reason,
        "pattern": cleared.pattern,
        "kind": cleared.kind,
        "count": cleared.count,
        "sites": [_site(site) for site in cleared.sites],
        "because": [_because(because) for because in cleared.because],
    }


def _not_judged(verdict: NotJudged) -> dict[str, Any]:
    return {
        "code": verdict.code,
        "name": verdict.name,
        "subject": verdict.subject,
        "missing": verdict.missing,
        "remedy": verdict.remedy,
        "kind": verdict.kind,
        "count": verdict.count,
        "sites": [_site(site) for site in verdict.sites],
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "what": gap.what,
        "reason": gap.reason.value,
        "detail": gap.detail,
        "remedy": gap.remedy,
        "lost_count": gap.lost_count,
        "probe": gap.probe,
    }


def _cost(cost: SelfCost) -> dict[str, Any]:
    return {
        "cpu_s": cost.cpu_ns / 1e9,
        "rss_bytes": cost.rss_bytes,
        "bpf_ns": cost.bpf_ns,
        "bpf_runs": cost.bpf_runs,
        "births_seen": cost.births_seen,
        "deaths_seen": cost.deaths_seen,
        "lost_events": cost.lost_events,
        "stale_dropped": cost.stale_dropped,
        "unknown_found": cost.unknown_found,
        "uprobe_hits": cost.uprobe_hits,
        "uprobe_note": cost.uprobe_note,
        "reconciles": cost.reconciles,
        "attach_ns": cost.attach_ns,
    }


def _descriptors(evidence: Evidence) -> dict[str, Any]:
    found = duplicates(evidence)
    return {
        "by_kind": dict(by_kind(evidence)),
        "by_origin": dict(by_origin(evidence)),
        "duplicate_count": len(found),
        "duplicates": [
            {
                "kind": one.kind,
                "name": one.name,
                "holders": [{"pid": pid, "fd": fd} for pid, fd in one.holders],
            }
            for one in found[:MAX_DUPLICATES]
        ],
    }


def _birthplace(place: Birthplace) -> dict[str, Any]:
    return {
        "id": place.id,
        "pid": place.pid,
        "kind": place.kind.value,
        "syscall": place.syscall,
        "role": place.role,
        "births": place.births,
        "deaths": place.deaths,
        "alive": place.alive,
        "oldest_age_ns": place.ages_ns[-1] if place.ages_ns else None,
        "site_role": place.site_role,
        "site": None if place.site is None else _frame(place.site),
        "peers": [{"peer": peer, "count": count} for peer, count in place.peers[:MAX_PEERS]],
    }


def _record(value: object) -> Any:  # noqa: ANN401  plain JSON
    """Return every field of a record of evidence as plain values, without its tag; None stays None."""
    if isinstance(value, msgspec.Struct):
        return {name: _record(getattr(value, name)) for name in value.__struct_fields__}
    return [_record(one) for one in value] if isinstance(value, tuple) else value


def _site(site: Site) -> dict[str, Any]:
    return {
        "function": site.function,
        "file": site.file,
        "line": site.line,
        "role": site.role,
        "stack": [_frame(frame) for frame in site.stack],
        "source": [{"line": line, "text": text} for line, text in site.source],
    }


def _frame(frame: SiteFrame) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(frame)
    return fields


def _because(because: Because) -> dict[str, Any]:
    return {"evidence": because.evidence, "layer": because.layer.value, "says": because.says}
