"""What a probe is: it looks at a machine through a Host and puts evidence and gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from leadline.contracts.host import Host
from leadline.evidence import Evidence

__all__ = ["Observation", "Probe", "ProbeInfo"]


@dataclass(frozen=True, slots=True)
class ProbeInfo:
    """Identity and price of a probe.

    Attributes:
        kinds: names of the evidence kinds it yields.
        capabilities: capabilities it works best with; it does less without.
        features: kernel features it asks for (never versions).
        cost: ``none``, ``per-look`` or ``per-event``; the page has the figure.
        stops_target: always False here: leadline never stops a target.
    """

    name: str
    kinds: tuple[str, ...]
    capabilities: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    cost: str = "per-look"
    stops_target: bool = False


class Observation(Protocol):
    """A probe at work on one target. The app calls ``tick`` about twice a second and ``finish`` once, in every case."""

    def tick(self) -> None:
        """Look again; must return within about 100 ms."""

    def finish(self, evidence: Evidence) -> None:
        """Detach and put what was seen. Called also when the target is gone."""


class Probe(Protocol):
    """Starts observations."""

    INFO: ProbeInfo

    def begin(self, host: Host, pid: int, evidence: Evidence) -> Observation:
        """Attach to a process. Expected absence is put as a Gap; surprise raises."""
