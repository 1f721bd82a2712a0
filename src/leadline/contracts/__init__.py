"""Protocols between the rooms, and their Info records."""

from leadline.contracts.gap import gap_of
from leadline.contracts.host import Clock, FdLink, Host, MappedFile, ProcessHandle
from leadline.contracts.probe import Observation, Probe, ProbeInfo
from leadline.contracts.rule import Rule, RuleInfo, Stage
from leadline.contracts.verdicts import Verdicts

__all__ = [
    "Clock",
    "FdLink",
    "Host",
    "MappedFile",
    "Observation",
    "Probe",
    "ProbeInfo",
    "ProcessHandle",
    "Rule",
    "RuleInfo",
    "Stage",
    "Verdicts",
    "gap_of",
]
