"""What keeps connections reachable, as rows: equal paths together."""

from __future__ import annotations

from dataclasses import dataclass

from leadline.evidence import Evidence
from leadline.evidence.kinds import Retention
from leadline.report.connections import reached_from

__all__ = ["RetentionView", "retention_views"]

MAX_FDS = 8


@dataclass(frozen=True, slots=True)
class RetentionView:
    """Connections that are reachable in the same way; ``path`` runs from the root to the connection."""

    path: str
    count: int
    says: str


def retention_views(evidence: Evidence) -> tuple[RetentionView, ...]:
    """Return the ways by which searched connections are reachable, most connections first."""
    groups: dict[str, list[Retention]] = {}
    for one in evidence.all(Retention):
        path = reached_from(one)
        if path:
            groups.setdefault(path, []).append(one)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(RetentionView(path, len(members), _says(members)) for path, members in ordered)


def _says(members: list[Retention]) -> str:
    fds = ", ".join(str(one.fd) for one in members[:MAX_FDS])
    more = f" and {len(members) - MAX_FDS:,} more" if len(members) > MAX_FDS else ""
    kinds = ", ".join(sorted({one.go_type for one in members if one.go_type}))
    others = sum(len(one.roots) > 1 for one in members)
    words = f"{kinds + ', ' if kinds else ''}descriptor{'s' if len(members) > 1 else ''} {fds}{more}"
    return f"{words}; {others:,} of them in another way too" if others else words
