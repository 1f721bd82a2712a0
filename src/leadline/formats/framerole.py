"""Whose code a frame is: the user's own (app), a third-party module, the Go standard library, the Go runtime, native.

A report names the nearest frame of the user's own code, so this decides what a person on call reads. The binary's
build info tells the modules; file paths decide where it is silent (Bazel, GOPATH, builds from files).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote

from leadline.formats.gobuildinfo import GoBuildInfo
from leadline.model import SiteFrame

__all__ = ["RoleBook", "package_of", "shown_name", "site_of"]

# Packages below runtime/ that users call; the rest is the runtime's own machinery.
_RUNTIME_PUBLIC = tuple(
    f"runtime/{name}" for name in ("cgo", "coverage", "debug", "metrics", "pprof", "race", "trace")
)
_RUNTIME_HELPERS = ("internal/abi", "internal/bytealg", "internal/cpu", "internal/runtime")
_MAIN_PACKAGES = ("main", "main_test", "command-line-arguments", "command-line-arguments_test")
_GLUE = re.compile(r"(?:^|[./])_(?:Cfunc|Cmacro|Ctype|cgoexp|cgo)_|^_cgoexp_|^_cgo_|^x_cgo_|^crosscall|^cgo")
_MODULE_FILE = re.compile(r"/pkg/mod/|@v\d|(?:^|/)vendor/|^external/")


def package_of(function: str) -> str:
    """Return the import path of a Go function name, empty for assembly without a package and generated symbols.

    >>> package_of("net/http.(*Transport).roundTrip"), package_of("main.Map[...].func1")
    ('net/http', 'main')
    >>> package_of("gopkg.in/yaml%2ev3.(*Decoder).Decode"), package_of("type:.eq.net/http.T"), package_of("memeqbody")
    ('gopkg.in/yaml.v3', '', '')
    """
    if function.startswith(("type:", "type..", "go:", "go.")) and not function.startswith("go.opentelemetry"):
        # "go." was the prefix of generated symbols before 1.20; "go.uber.org/zap.L" has a slash in its path.
        head = function.split("[", 1)[0]
        if not (head.startswith("go.") and "/" in head):
            return ""
    head = function.split("[", 1)[0].split("(", 1)[0]
    slash = head.rfind("/")
    dot = head.find(".", slash + 1)
    return unquote(head[:dot]) if dot > 0 else ""


def shown_name(function: str) -> str:
    """Return a Go function name as tracebacks print it: without type arguments, which may be pages long.

    >>> shown_name("main.Map[go.shape.int,go.shape.[]uint8].func1"), shown_name("main.main")
    ('main.Map[...].func1', 'main.main')
    """
    before, bracket, rest = function.partition("[")
    return f"{before}[...]{rest.rpartition(']')[2]}" if bracket else function


class RoleBook:
    """Decides roles for one binary.

    Args:
        build_info: None when the binary has none: file paths decide.
        goroot: of the build, empty when trimmed, None when unknown.
    """

    def __init__(self, build_info: GoBuildInfo | None, goroot: str | None) -> None:
        self._goroot = goroot
        self._modules: dict[str, str] = {}
        self._has_modules = False
        if build_info is not None:
            for module in build_info.deps:
                self._modules[module.path] = "app" if module.is_in_workspace else "module"
            if build_info.main is not None and build_info.main.path:
                self._modules[build_info.main.path] = "app"
            self._has_modules = bool(self._modules)
        self._package_role = lru_cache(maxsize=4096)(self._role_of_package)

    def role(self, function: str, file: str | None) -> str:
        """Return ``app``, ``module``, ``std`` or ``runtime`` for a frame of a Go binary's own code."""
        if _GLUE.search(function) or (file is not None and file.endswith("_cgo_gotypes.go")):
            return "runtime"
        package = package_of(function)
        if not package:
            return "runtime"
        known = self._package_role(package)
        return known or self._role_of_file(package, file)

    def _role_of_package(self, package: str) -> str:
        """Return the role that names alone decide, empty when the file must decide."""
        if package in _MAIN_PACKAGES:
            return "app"
        plain = package.removesuffix("_test")
        prefix = plain
        while prefix:
            if prefix in self._modules:
                return self._modules[prefix]
            prefix = prefix.rpartition("/")[0]
        if _is_below(plain, ("runtime",)):
            return "std" if _is_below(plain, _RUNTIME_PUBLIC) else "runtime"
        if _is_below(plain, _RUNTIME_HELPERS):
            return "runtime"
        if package.startswith("vendor/golang.org/"):
            return "std"
        if self._has_modules:
            return "module" if "." in plain.partition("/")[0] else "std"
        return ""

    def _role_of_file(self, package: str, file: str | None) -> str:
        """Return the role for a binary without modules in its build info (GOPATH, Bazel, builds from files)."""
        is_dotted = "." in package.partition("/")[0]
        if file is None or file == "<autogenerated>":
            return "module" if is_dotted else "std"
        if self._goroot and file.startswith(self._goroot + "/src/"):
            return "std"
        if _MODULE_FILE.search(file):
            return "module"
        if is_dotted or (self._goroot and file.startswith("/")):
            return "app"
        return "std"


def _is_below(package: str, roots: tuple[str, ...]) -> bool:
    return any(package == root or package.startswith(root + "/") for root in roots)


def site_of(frames: Sequence[SiteFrame]) -> SiteFrame | None:
    """Return the frame that a report names: the nearest of the user's own code.

    Without one: the nearest of a third-party module, then of native code that has a name, then of the standard library.
    Frames come leaf first; None when there is none of these (only runtime frames or unknown addresses).
    """
    for role in ("app", "module", "native", "std"):
        for frame in frames:
            if frame.role == role and not frame.function.startswith("?"):
                return frame
    return None
