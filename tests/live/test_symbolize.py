"""Symbols through the real host: a deleted Go binary, and a C library and the vdso of a Python process."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import pytest

import symbol_twins as twins_of
from leadline.formats.procmaps import ProcMaps, parse_maps
from leadline.formats.symbolize import ProcessSymbols
from leadline.host import LiveHost
from leadline.probes.trace_descriptors.birthplaces import pick_site

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live


def symbols_of(pid: int) -> tuple[ProcessSymbols, ProcMaps]:
    host = LiveHost()
    maps = parse_maps(host.read_proc(f"{pid}/maps"))
    return ProcessSymbols(maps, lambda entry: host.open_object(pid, entry)), maps


def test_a_deleted_and_stripped_binary_is_named(tmp_path: Path) -> None:
    go = twins_of.installed_go()
    if go is None:
        pytest.skip("no Go toolchain here; remedy: install Go 1.21 or later")
    twins = twins_of.build(go, "plain", tmp_path)
    with twins_of.launched(twins.stripped) as (pid, scenes):
        twins.stripped.unlink()
        symbols, _ = symbols_of(pid)
        main = symbols.main_object()
        assert main is not None
        assert main.name == str(twins.stripped)
        [scene] = [scene for scene in scenes if scene.name == "inlined across packages"]
        assert twins_of.logical_frames(symbols, scene) == scene.frames
        frames = symbols.resolve(scene.pcs)
        shown = tuple(frame for frame in frames if frame.function != "main.record")
        site, _ = pick_site([("acquired", shown)])
        assert site is not None
        assert (site.function, site.role) == ("main.main.func1", "app")
        assert symbols.function_offset("net/http.(*Transport).queueForDial") is not None
        found = symbols.function_range("main.record")
        assert found is not None
        assert found[0] < scene.pcs[0] <= found[1]


def test_functions_of_the_c_library_are_named() -> None:
    address = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    assert address is not None
    symbols, _ = symbols_of(os.getpid())
    [frame] = symbols.resolve((address,))
    assert frame.function in {"getpid", "__getpid"}
    assert frame.role == "native"
    assert frame.file is not None
    assert "libc" in frame.file


def test_functions_of_the_vdso_are_named() -> None:
    symbols, maps = symbols_of(os.getpid())
    [vdso] = [entry for entry in maps if entry.path == "[vdso]"]
    names = {
        frame.function for address in range(vdso.start, vdso.end, 16) for frame in symbols.resolve((address,))
    }
    assert any("clock_gettime" in name for name in names)
    assert symbols.problems == ()
