"""Typed facts and the bundle that keeps them."""

from leadline.evidence.store import Evidence

__all__ = ["Evidence"]
