"""What the target's binary says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadline.formats.elfimage import ElfImage
from leadline.formats.gobuildinfo import GoBuildInfo, parse_go_build_info

if TYPE_CHECKING:
    from leadline.contracts import Host

__all__ = ["BinaryFacts", "read_binary"]


@dataclass(frozen=True, slots=True)
class BinaryFacts:
    """The fields of ``ProcessInfo`` that come from the binary; None and empty for other languages than Go."""

    go_version: str | None = None
    main_package: str | None = None
    main_module: str | None = None
    modules: tuple[tuple[str, str], ...] = ()
    build_settings: dict[str, str] = field(default_factory=dict)
    build_id: str | None = None


def read_binary(host: Host, pid: int) -> BinaryFacts | None:
    """Return what the binary of a process says of itself, None when it may not be read.

    Raises:
        TargetGone: the process has ended. Malformed: not an ELF file, or damaged build information.
    """
    view = host.open_program(pid)
    if view is None:
        return None
    image = ElfImage(view)
    build_id = image.build_id
    found = parse_go_build_info(image)
    return BinaryFacts(build_id=build_id) if found is None else _go_facts(found, build_id)


def _go_facts(found: GoBuildInfo, build_id: str | None) -> BinaryFacts:
    return BinaryFacts(
        go_version=found.go_version,
        main_package=found.path or None,
        main_module=None if found.main is None else found.main.path,
        modules=tuple((module.path, (module.replaced_by or module).version) for module in found.deps),
        build_settings=found.settings,
        build_id=build_id,
    )
