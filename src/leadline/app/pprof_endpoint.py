"""Goroutines asked from a program's own net/http/pprof: a second source, used only when a person names its URL.

Asking makes the program work: it stops all its goroutines while ``debug=2`` is written, and the leak profile runs a garbage
collection first, which may close descriptors that nothing refers to any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.app.dump import dump_evidence
from leadline.evidence.redaction import redacted
from leadline.formats.godump import parse_dumps
from leadline.host.http_profiles import DEADLINE_S, fetch_profile

if TYPE_CHECKING:
    from leadline.evidence import Evidence

__all__ = ["fetch_goroutines", "fetch_leaked"]


def fetch_goroutines(url: str, *, debug: int = 2, deadline_s: float = DEADLINE_S) -> Evidence:
    """Return the goroutines that the program lists itself; secrets are taken out.

    Args:
        url: of the program (``http://localhost:6060``), of its ``/debug/pprof``, or of the profile itself.
        debug: 2 lists each goroutine, and stops the program meanwhile; 1 counts them by stack, which is quicker.
        deadline_s: for the whole answer.

    Raises:
        As :func:`fetch_profile`; Malformed: the answer is no dump.
    """
    content = fetch_profile(url, "goroutine", debug=debug, deadline_s=deadline_s)
    return redacted(dump_evidence(parse_dumps(content), source="pprof"))


def fetch_leaked(url: str, *, deadline_s: float = DEADLINE_S) -> frozenset[int]:
    """Return the numbers of goroutines that can never go on, as the program's garbage collector finds them now.

    This runs a garbage collection in the program. Goroutines that wait for a descriptor, and for channels or locks that anything
    can still reach, are never among them.

    Raises:
        As :func:`fetch_profile`; Unsupported: the program was built with a Go that has no such profile (before 1.27).
    """
    content = fetch_profile(url, "goroutineleak", debug=2, deadline_s=deadline_s)
    dumps = parse_dumps(content).dumps
    return frozenset(one.goid for dump in dumps for one in dump.goroutines if one.is_leaked)
