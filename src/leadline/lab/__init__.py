"""Small Go services, each with one known fault, and their healthy twins: what leadline claims can be tried here."""

from leadline.lab.build import Flavour, build, build_all
from leadline.lab.catalog import PROGRAMS, PROGRAMS_DIR, LabProgram, OtherEnd, Want, find, source, wants
from leadline.lab.go_tool import GoTool, find_go
from leadline.lab.run import Running, second_process, start

__all__ = [
    "PROGRAMS",
    "PROGRAMS_DIR",
    "Flavour",
    "GoTool",
    "LabProgram",
    "OtherEnd",
    "Running",
    "Want",
    "build",
    "build_all",
    "find",
    "find_go",
    "second_process",
    "source",
    "start",
    "wants",
]
