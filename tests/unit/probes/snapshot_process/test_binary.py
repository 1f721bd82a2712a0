"""What binaries say of themselves."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from leadline.model import Malformed, TargetGone
from leadline.probes.snapshot_process.binary import BinaryFacts, read_binary
from recorded_machines import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.process(41, "api")
    (tmp_path / "objects").mkdir()
    return machine


def test_a_go_binary_names_its_toolchain_modules_and_settings(machine: Machine) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain; remedy: install one")
    shutil.copy(Path(go).resolve(), machine.folder / "objects" / "41.exe")
    facts = read_binary(machine.host(), 41)
    assert facts is not None
    assert (facts.go_version or "").startswith("go1.")
    assert facts.main_package == "cmd/go"
    assert facts.build_settings["GOOS"] == "linux"
    assert facts.build_id


def test_another_language_has_a_build_id_at_most(machine: Machine) -> None:
    shutil.copy(Path(sys.executable).resolve(), machine.folder / "objects" / "41.exe")
    facts = read_binary(machine.host(), 41)
    assert facts is not None
    assert facts == BinaryFacts(build_id=facts.build_id)


def test_a_binary_that_may_not_be_read_is_unknown(machine: Machine) -> None:
    assert read_binary(machine.host(), 41) is None


def test_a_script_is_malformed(machine: Machine) -> None:
    (machine.folder / "objects" / "41.exe").write_text("#!/bin/sh\n" * 20)
    with pytest.raises(Malformed):
        read_binary(machine.host(), 41)


def test_a_process_that_is_not_there_is_gone(machine: Machine) -> None:
    with pytest.raises(TargetGone):
        read_binary(machine.host(), 99)
