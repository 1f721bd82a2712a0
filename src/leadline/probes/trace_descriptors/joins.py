"""Join goroutines that dial for others to the ones that asked.

``net/http`` and ``net`` are known: their asking functions are probed at the start, and run once per dial. Other libraries dial
on goroutines of their own, too (gRPC, Redis clients, pools). Their asking function is learned: a place whose stacks hold no
application frame tells by the ``go`` statement of its goroutine which function started it; from then on the entry of that
function is probed as well, and later births at the place know who called it. A probe that is hit too often is given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.contracts import gap_of
from leadline.model import AccessError
from leadline.probes.trace_descriptors.names import go_version, join_places, starters
from leadline.probes.trace_descriptors.tracker import JoinPlace

if TYPE_CHECKING:
    from leadline.contracts.bpf import UprobeAttachment
    from leadline.evidence import Evidence
    from leadline.formats.symbolize import ProcessSymbols
    from leadline.probes.trace_descriptors.birthplaces import Image
    from leadline.probes.trace_descriptors.tracker import Tracker

__all__ = ["MAX_HITS_PER_S", "MAX_LEARNED", "Joins"]

MAX_HITS_PER_S = 5_000
"""A hit costs the target 2 to 3 us (trap and program): so many are 1 to 1.5 % of one core."""
MAX_LEARNED = 5
"""Of the 8 ranges that the kernel side compares with, 3 are those of net/http and net."""


@dataclass(slots=True)
class _Learned:
    name: str
    attached: UprobeAttachment | None
    hits_before: int
    since_ns: int


class Joins:
    """The entry probes of one trace.

    Args:
        probe: name of the probe, for gaps.
        is_wanted: False with ``--no-uprobes``.
    """

    def __init__(self, tracker: Tracker, *, probe: str, is_wanted: bool) -> None:
        self._tracker = tracker
        self._probe = probe
        self.is_wanted = is_wanted
        self._known = 0
        self._note = "" if is_wanted else "switched off"
        self._ranges: dict[Image, list[tuple[int, int]]] = {}
        self._learned: dict[tuple[Image, str], _Learned] = {}

    def attach(self, image: Image, symbols: ProcessSymbols, evidence: Evidence | None) -> None:
        """Probe what net/http and net are known for; a refusal is put as a gap when ``evidence`` is given."""
        if not self.is_wanted or go_version(symbols) is None:
            return
        self._ranges[image] = starters(symbols)
        places = join_places(symbols)
        if not places:
            return
        try:
            self._add(image, places)
        except AccessError as error:
            self._note = "could not be attached"
            if evidence is not None:
                what = "callers of connections that other goroutines dial"
                evidence.gap(gap_of(error, what=what, probe=self._probe))
            return
        self._known += len(places)

    def learn(self, image: Image, symbols: ProcessSymbols | None, gopc: int, now_ns: int) -> None:
        """Probe the function that started a goroutine which dials for somebody unknown; at most MAX_LEARNED of them."""
        if not self.is_wanted or symbols is None or image not in self._ranges:
            return
        found = symbols.function_around(gopc)
        if found is None or found[0].startswith("runtime.") or (image, found[0]) in self._learned:
            return
        if sum(one.attached is not None for one in self._learned.values()) >= MAX_LEARNED:
            return
        name, offset, addresses = found
        learned = _Learned(name, None, self.hits(), now_ns)
        self._learned[image, name] = learned
        self._ranges[image].append(addresses)
        try:
            learned.attached = self._add(image, [JoinPlace(offset, relays=True)])
        except AccessError:
            self._ranges[image].remove(addresses)  # this place stays named by its library

    def give_up_busy(self, now_ns: int) -> None:
        """Detach the learned probes when the hits since the last one came cost too much."""
        working = [one for one in self._learned.values() if one.attached is not None]
        if not working:
            return
        newest = max(working, key=lambda one: one.since_ns)
        elapsed_s = (now_ns - newest.since_ns) / 1e9
        if elapsed_s >= 1 and (self.hits() - newest.hits_before) / elapsed_s > MAX_HITS_PER_S:
            for one in working:
                if one.attached is not None:
                    self._tracker.remove_join_uprobes(one.attached)
                    one.attached = None

    def hits(self) -> int:
        """Return how often the probes were hit."""
        return self._tracker.counters()["count_join_hits"]

    @property
    def note(self) -> str:
        """Return in words which probes are on."""
        if self._note:
            return self._note
        if not self._known and not self._learned:
            return "not needed: the program does not dial by net/http or net.Dialer"
        learned = [one for one in self._learned.values() if one.attached is not None]
        given_up = len(self._learned) - len(learned)
        words = [f"on: {self._known + len(learned)} entry probes, hit once per dial"]
        if learned:
            words.append("learned: " + ", ".join(one.name for one in learned))
        if given_up:
            words.append(f"{given_up} given up")
        return "; ".join(words)

    def _add(self, image: Image, places: list[JoinPlace]) -> UprobeAttachment:
        pid = image[0]
        return self._tracker.add_join_uprobes(pid, f"/proc/{pid}/exe", places, {pid: self._ranges[image]})
