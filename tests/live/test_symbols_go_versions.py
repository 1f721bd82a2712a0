"""Symbols of Go binaries of all supported releases, against what Go itself says of the same addresses."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

import symbol_twins as twins_of
from leadline.formats.gooffsets import lookup

if TYPE_CHECKING:
    from pathlib import Path

QUICK_FLAVOURS = ("plain", "pie", "cgo")
JOIN_FUNCTIONS = (
    "net/http.(*Transport).queueForDial",
    "net/http.(*Transport).roundTrip",
    "net.(*Dialer).DialContext",
    "main.main",
)


def cases() -> list[object]:
    """Return (toolchain, flavour): of the installed Go three; all of all fetched releases with ``LEADLINE_ALL_GO=1``.

    ``python tools/go_offsets.py --fetch`` fetches them; all of them take about half an hour.
    """
    can_link_c = shutil.which("gcc") is not None
    installed = twins_of.installed_go()
    wanted = [(installed, flavour) for flavour in QUICK_FLAVOURS] if installed else []
    if os.environ.get("LEADLINE_ALL_GO", "") not in {"", "0"}:
        wanted += [(go, flavour) for go in twins_of.cached_toolchains() for flavour in twins_of.FLAVOURS]
    return [
        pytest.param((go, flavour), id=f"{go.version}-{flavour}", marks=pytest.mark.slow)
        for go, flavour in wanted
        if can_link_c or not flavour.startswith("cgo")
    ]


@pytest.fixture(scope="module", params=cases())
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> twins_of.Twins:
    go, flavour = request.param
    return twins_of.build(go, flavour, tmp_path_factory.mktemp("twins"))


def test_random_addresses_agree_with_addr2line(twins: twins_of.Twins) -> None:
    """Outer function, and file and line of the innermost inlined call, for 2,000 addresses anywhere in the text."""
    agreed, differences = twins_of.agreement(twins, count=2000)
    assert agreed == 2000, "\n".join(differences[:20])


def test_stacks_agree_with_callers_frames(twins: twins_of.Twins) -> None:
    """Every frame of every scene, inlined ones too, as the program itself prints them."""
    with twins_of.running(twins.stripped) as (symbols, scenes):
        assert len(scenes) >= 15
        for scene in scenes:
            assert twins_of.logical_frames(symbols, scene) == scene.frames, (
                f"{scene.name}: {symbols.problems}"
            )
        assert any(frame.inlined for scene in scenes for frame in symbols.resolve(scene.pcs))
        assert symbols.problems == ()


def test_functions_are_found_for_uprobes(twins: twins_of.Twins) -> None:
    """The file offset of a name leads to the same instructions as in the unstripped twin's symbol table."""
    stripped, full = twins_of.open_binary(twins.stripped), twins_of.open_binary(twins.full)
    for name in JOIN_FUNCTIONS:
        offset = stripped.function_offset(name)
        symbol = twins_of.symbol_table(full).find(name)
        assert offset is not None
        assert symbol is not None
        place = full.image.vaddr_to_offset(symbol.address)
        assert place is not None
        assert stripped.image.view[offset : offset + 16] == full.image.view[place : place + 16]
    assert stripped.function_offset("main.notThere") is None
    assert stripped.function_offset("") is None


def test_build_info_survives_stripping(twins: twins_of.Twins) -> None:
    binary = twins_of.open_binary(twins.stripped)
    assert binary.build_info is not None
    assert binary.build_info.go_version == f"go{twins.go.version}"
    assert binary.build_info.path == "symbols"
    assert binary.build_info.main is not None
    assert binary.build_info.main.path == "symbols"
    assert binary.build_info.settings["CGO_ENABLED"] == ("1" if twins.flavour.startswith("cgo") else "0")
    offsets = lookup(binary.build_info.go_version, binary.image.machine)
    assert offsets is not None
    assert offsets["moduledata.text"] == 176


def test_native_frames_of_cgo_have_names(twins: twins_of.Twins) -> None:
    """The Go side is named without symbols; C functions of a stripped binary have none, in the unstripped one they do."""
    with twins_of.running(twins.full) as (symbols, scenes):
        places = [scene.extra["native_middle"] for scene in scenes if "native_middle" in scene.extra]
        if not twins.flavour.startswith("cgo"):
            assert not places
            return
        [frame] = symbols.resolve((places[0],))
        assert (frame.function, frame.role) == ("native_middle", "native")


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["plain", "pie"])
def test_arm64_binaries_agree_with_addr2line(flavour: str, tmp_path: Path) -> None:
    go = twins_of.installed_go()
    if go is None:
        pytest.skip("no Go toolchain here; remedy: install Go 1.21 or later")
    twins = twins_of.build(go, flavour, tmp_path, arch="arm64")
    agreed, differences = twins_of.agreement(twins, count=2000)
    assert agreed == 2000, "\n".join(differences[:20])
    binary = twins_of.open_binary(twins.stripped)
    assert binary.image.machine == "aarch64"
    assert binary.table.has_inlining
    assert all(binary.function_offset(name) is not None for name in JOIN_FUNCTIONS)
