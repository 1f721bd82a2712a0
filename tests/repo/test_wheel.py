"""The wheel: pure Python, small, complete, and the same as the checkout says."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from house.files import ROOT, SRC, files

LIMIT_BYTES = 2 << 20
# Sources of BPF programs are not needed where the blobs run; everything else of the package is.
NOT_SHIPPED = re.compile(r"\.(bpf\.c|h|o)$")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from the checkout with the backend that is installed."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(out.glob("*.whl"))


def names(wheel: Path) -> set[str]:
    """Return the names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_runs_on_every_python_and_machine(wheel: Path) -> None:
    assert re.fullmatch(r"leadline-[\d.]+-py3-none-any\.whl", wheel.name)


def test_it_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size <= LIMIT_BYTES, f"{wheel.stat().st_size} bytes"


def test_it_holds_the_whole_package_and_no_sources_of_bpf_programs(wheel: Path) -> None:
    shipped = {name for name in names(wheel) if name.startswith("leadline/")}
    wanted = {
        f"leadline/{path.relative_to(SRC).as_posix()}"
        for path in files()
        if path.is_relative_to(SRC) and not NOT_SHIPPED.search(path.name)
    }
    assert wanted - shipped == set(), "missing from the wheel"
    assert shipped - wanted == set(), "in the wheel but not of the package"


def test_it_holds_what_is_loaded_by_name(wheel: Path) -> None:
    shipped = names(wheel)
    for pattern in (
        r"leadline/py\.typed",
        r"leadline/probes/trace_descriptors/\w+\.x86_64\.lskel",
        r"leadline/export/report\.schema\.json",
        r"leadline/lab/programs/go\.mod",
        r"leadline/lab/programs/[\w-]+/main\.go",
        r"leadline-[\d.]+\.dist-info/licenses/LICENSE",
    ):
        assert any(re.fullmatch(pattern, name) for name in shipped), pattern


def test_it_names_the_licence_and_the_floor_of_python(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
