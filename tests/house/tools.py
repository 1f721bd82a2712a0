"""Loads the scripts of ``tools`` as modules."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from house.files import ROOT

__all__ = ["load_tool"]


def load_tool(name: str) -> ModuleType:
    """Return ``tools/<name>.py`` as a module."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
