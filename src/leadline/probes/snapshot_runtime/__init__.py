"""Reads the Go runtime of a live process from its memory: goroutines, who waits on what, who holds which connection."""

from leadline.probes.snapshot_runtime.observe import DEFAULT_CAP_BYTES, PROBE, SnapshotRuntime

__all__ = ["DEFAULT_CAP_BYTES", "PROBE", "SnapshotRuntime"]
