"""Go build information, as ``go version -m`` prints it: toolchain, modules and build settings of a binary.

It survives ``-s -w``, ``-trimpath`` and PIE. Two layouts exist: since Go 1.18 the strings follow the header; before,
the header points to them.

Source: Go, src/debug/buildinfo/buildinfo.go and src/runtime/debug/mod.go (ParseBuildInfo).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from leadline.formats.elfimage import ElfImage
from leadline.model import Malformed

__all__ = ["GoBuildInfo", "GoModule", "parse_go_build_info", "parse_module_text"]

_MAGIC = b"\xff Go buildinf:"
_ALIGN = 16
_HEADER_SIZE = 32
_MAX_TEXT_BYTES = 16 << 20
_MAX_SEARCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class GoModule:
    """One module; ``replaced_by`` is what ``replace`` put in its place.

    Attributes:
        version: empty or ``(devel)`` for the module that was built.
        sum: checksum as in go.sum; empty when there is none.
    """

    path: str
    version: str = ""
    sum: str = ""
    replaced_by: GoModule | None = None

    @property
    def is_in_workspace(self) -> bool:
        """Return whether it is of the builder's own tree, beside the main module (go.work): no version, no replacement."""
        return self.replaced_by is None and self.version in ("", "(devel)")


@dataclass(frozen=True, slots=True)
class GoBuildInfo:
    """What a Go binary says of itself.

    Attributes:
        go_version: such as ``go1.26.8``; may have a suffix (``go1.25.5 X:nocoverageredesign``).
        path: import path of the main package; ``command-line-arguments`` for builds from files; empty when unknown.
        main: main module, None for builds outside modules.
        deps: dependency modules in the order of the binary.
        settings: build settings such as ``-trimpath``, ``CGO_ENABLED``, ``GOARCH``, ``vcs.revision``.
    """

    go_version: str
    path: str = ""
    main: GoModule | None = None
    deps: tuple[GoModule, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)


def parse_go_build_info(image: ElfImage) -> GoBuildInfo | None:
    """Return the build information of a binary, None when it has none (not Go, or older than 1.13).

    Raises:
        Malformed: the header is there, but what follows does not have the expected form.
    """
    at = _find_header(image)
    if at is None:
        return None
    header = bytes(image.view[at : at + _HEADER_SIZE])
    if len(header) < _HEADER_SIZE:
        raise Malformed(".go.buildinfo", "header is cut short", offset_bytes=at, sample=header)
    flags = header[15]
    if flags & 2:
        version, after = _inline_string(image.view, at + _HEADER_SIZE)
        text, _ = _inline_string(image.view, after)
    else:
        pointer_size = header[14]
        if pointer_size not in (4, 8) or flags & 1:
            raise Malformed(".go.buildinfo", f"pointer size {pointer_size}, flags {flags}", offset_bytes=at)
        version, text = (
            _string_behind(
                image, int.from_bytes(header[start : start + pointer_size], "little"), pointer_size
            )
            for start in (16, 16 + pointer_size)
        )
    if not version:
        raise Malformed(".go.buildinfo", "no version", offset_bytes=at, sample=header)
    # The module text stands between two 16-byte marks (cmd/go/internal/modload.infoStart and infoEnd).
    body = text[16:-16] if len(text) >= 33 and text[-17:-16] == b"\n" else b""
    return parse_module_text(version.decode("utf-8", "replace"), body.decode("utf-8", "replace"))


def parse_module_text(go_version: str, text: str) -> GoBuildInfo:
    r"""Return build information from the lines of ``go version -m``, unknown lines left out.

    >>> parse_module_text("go1.26.8", "path\tdemo\nmod\tdemo\t(devel)\t\nbuild\tCGO_ENABLED=0\n").settings
    {'CGO_ENABLED': '0'}
    """
    path = ""
    main: GoModule | None = None
    deps: list[GoModule] = []
    settings: dict[str, str] = {}
    replaceable = ""  # which record a "=>" line belongs to
    for line in text.split("\n"):
        word, _, rest = line.partition("\t")
        columns = [*rest.split("\t"), "", "", ""]
        if word == "path":
            path = rest
        elif word == "mod":
            main, replaceable = GoModule(columns[0], columns[1], columns[2]), "main"
        elif word == "dep":
            deps.append(GoModule(columns[0], columns[1], columns[2]))
            replaceable = "dep"
        elif word == "=>" and replaceable:
            other = GoModule(columns[0], columns[1], columns[2])
            if replaceable == "dep":
                deps[-1] = GoModule(deps[-1].path, deps[-1].version, deps[-1].sum, other)
            elif main is not None:
                main = GoModule(main.path, main.version, main.sum, other)
            replaceable = ""
        elif word == "build":
            key, value = _setting(rest)
            if key:
                settings[key] = value
    return GoBuildInfo(go_version, path, main, tuple(deps), settings)


def _setting(rest: str) -> tuple[str, str]:
    """Return key and value; each may be a Go quoted string, as keys with spaces and values with newlines are."""
    match = re.match(r'("(?:[^"\\]|\\.)*"|`[^`]*`|[^=]*)=(.*)\Z', rest, re.DOTALL)
    return (_unquote(match[1]), _unquote(match[2])) if match else ("", "")


def _unquote(word: str) -> str:
    if len(word) >= 2 and word[0] == word[-1] == "`":
        return word[1:-1]
    if len(word) >= 2 and word[0] == word[-1] == '"':
        simple = {"n": "\n", "t": "\t", "r": "\r"}
        return re.sub(r"\\(.)", lambda found: simple.get(found[1], found[1]), word[1:-1], flags=re.DOTALL)
    return word


def _find_header(image: ElfImage) -> int | None:
    section = image.section(".go.buildinfo")
    areas = [] if section is None else [(section.offset, section.size)]
    # Without section headers: the linker puts it near the beginning of the data segment.
    areas += [(s.offset, s.file_size) for s in image.segments if s.kind == 1 and not s.is_executable]
    for offset, size in areas:
        area = image.view[offset : offset + min(size, _MAX_SEARCH_BYTES)]
        for match in re.finditer(re.escape(_MAGIC), area):
            if match.start() % _ALIGN == 0:
                return offset + match.start()
    return None


def _inline_string(view: memoryview, at: int) -> tuple[bytes, int]:
    length = shift = 0
    for byte in bytes(view[at : at + 10]):
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise Malformed(".go.buildinfo", "length without an end", offset_bytes=at)
    if length > _MAX_TEXT_BYTES or at + length > len(view):
        raise Malformed(".go.buildinfo", f"string of {length} bytes does not fit", offset_bytes=at)
    return bytes(view[at : at + length]), at + length


def _string_behind(image: ElfImage, address: int, pointer_size: int) -> bytes:
    # The header holds the address of a Go string: pointer and length. Position-independent files relocate it.
    start, length_raw = image.pointer_at(address), image.at_vaddr(address + pointer_size, pointer_size)
    if start is None or length_raw is None:
        return b""
    length = int.from_bytes(length_raw, "little")
    if length > _MAX_TEXT_BYTES:
        raise Malformed(".go.buildinfo", f"string of {length} bytes does not fit", offset_bytes=address)
    body = image.at_vaddr(start, length)
    return b"" if body is None else bytes(body)
