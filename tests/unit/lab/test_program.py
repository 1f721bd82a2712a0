"""Tests of the record that describes a lab program."""

from __future__ import annotations

from leadline.lab.program import LabProgram


def test_a_program_without_expected_findings_is_healthy() -> None:
    assert LabProgram(name="calm", story="is calm", healthy="plateau").is_healthy
    assert not LabProgram(name="bad", story="is bad", expects=("FDL103",)).is_healthy


def test_the_source_is_in_the_folder_of_its_name_unless_said_otherwise() -> None:
    assert LabProgram(name="calm", story="is calm").source_folder == "calm"
    assert LabProgram(name="calm-too", story="is calm", folder="calm").source_folder == "calm"
