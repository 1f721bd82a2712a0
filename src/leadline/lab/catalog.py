"""What each lab program does, which finding it must cause, and which line is guilty.

The guilty lines are marked in the Go source itself (``// want: acquired``), so that no line number is written down twice:
:func:`wants` reads function, file and line from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from leadline.lab.faults import FAULTS
from leadline.lab.healthy import HEALTHY
from leadline.lab.program import LabProgram, OtherEnd
from leadline.model import UsageError

__all__ = ["PROGRAMS", "PROGRAMS_DIR", "LabProgram", "OtherEnd", "Want", "find", "source", "wants"]

PROGRAMS_DIR = Path(__file__).parent / "programs"
"""The Go module with one folder per program."""

PROGRAMS: dict[str, LabProgram] = {program.name: program for program in (*FAULTS, *HEALTHY)}
"""Every program by its name: those with a fault first, each group in the order in which one should read them."""

_MARKER = re.compile(r"//\s*want:\s*(?P<roles>[a-z][a-z, -]*)$")
_FUNCTION = re.compile(
    r"func (?:\((?:\w+ )?(?P<pointer>\*?)(?P<receiver>\w+)(?:\[\w+\])?\) )?(?P<name>\w+)[(\[]"
)


@dataclass(frozen=True, slots=True)
class Want:
    """A line that a finding must name.

    Attributes:
        role: as in :class:`leadline.model.Site`: ``acquired``, ``caller``, ``created-by``, ``closed`` or ``parked``; also
            ``victim`` (birth of a descriptor that somebody else closed) and ``refused`` (call that got EMFILE).
        function: as Go prints it, with the package as the linker names it: ``main.(*server).serve``.
        file: relative to the module, such as ``accept-leak/main.go``; a binary built without ``-trimpath`` has an absolute
            path that ends so.
        line: 1-based.
    """

    role: str
    function: str
    file: str
    line: int


def find(name: str) -> LabProgram:
    """Return the program of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return PROGRAMS[name]
    except KeyError:
        raise UsageError(
            f"no lab program is called {name!r}", remedy="see `leadline lab list` for the names"
        ) from None


def source(name: str) -> tuple[Path, ...]:
    """Return the Go files of a program, ``main.go`` first."""
    folder = PROGRAMS_DIR / find(name).source_folder
    files = sorted(folder.rglob("*.go"), key=lambda path: (path.name != "main.go", path))
    return tuple(files)


def wants(name: str) -> tuple[Want, ...]:
    """Return the guilty lines of a program in the order of its files and lines; empty for a healthy one.

    >>> [(want.role, want.function) for want in wants("accept-leak")]
    [('acquired', 'main.(*server).serve')]
    """
    found: list[Want] = []
    home = PROGRAMS_DIR / find(name).source_folder
    for path in source(name):
        text = path.read_text(encoding="utf-8")
        inside = path.relative_to(PROGRAMS_DIR)
        package = "main" if path.parent == home else f"lab/{inside.parent.as_posix()}"
        function = ""
        for number, line in enumerate(text.splitlines(), start=1):
            if head := _FUNCTION.match(line):
                receiver = head["receiver"] and (
                    f"(*{head['receiver']})" if head["pointer"] else head["receiver"]
                )
                function = ".".join(part for part in (package, receiver, head["name"]) if part)
            if marker := _MARKER.search(line):
                found.extend(
                    Want(role.strip(), function, inside.as_posix(), number)
                    for role in marker["roles"].split(",")
                )
    return tuple(found)
