"""Protocols between the rooms, and their Info records."""

from leadline.contracts.host import Clock, Host
from leadline.contracts.probe import Observation, Probe, ProbeInfo
from leadline.contracts.rule import Rule, RuleInfo, Stage

__all__ = ["Clock", "Host", "Observation", "Probe", "ProbeInfo", "Rule", "RuleInfo", "Stage"]
