"""Rules that hold for every test: pure rooms stay pure, live tests run or say why not, goldens are accepted."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from house import live, purity
from house.golden import Golden
from leadline.lab import find_go
from leadline.model import LeadlineError

if TYPE_CHECKING:
    from collections.abc import Generator

TESTS = Path(__file__).resolve().parent
PURE = (TESTS / "unit" / "rules", TESTS / "unit" / "formats")

# Examples are not kept between runs: a run depends on the checkout and its seed only. Time per example is no criterion
# on shared machines.
settings.register_profile(
    "leadline", database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("leadline")


def pytest_configure() -> None:
    """Put a Go on the path where none is: the one that the lab has fetched, or fetches where live tests must run."""
    if shutil.which("go") is None:
        with suppress(LeadlineError):
            go = find_go(may_install=live.must_run()).path
            os.environ["PATH"] = f"{go.parent}{os.pathsep}{os.environ['PATH']}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--accept``: rewrite golden files instead of comparing with them."""
    parser.addoption(
        "--accept", action="store_true", help="rewrite the golden files from what is printed now"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return the comparer of golden files; ``make accept`` makes it rewrite them."""
    return Golden(accept=bool(request.config.getoption("--accept")))


@pytest.fixture(autouse=True)
def _plain_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give unit tests the same terminal and no CI, whoever runs them."""
    if not request.path.is_relative_to(TESTS / "unit"):
        return
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES", "CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip live tests that cannot run here, with reason and remedy, or fail them where they must run."""
    if item.get_closest_marker("live") is None:
        return
    why = live.obstacle()
    if why is not None:
        pytest.skip(why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skips of live and end-to-end tests into failures where they must run."""
    report = yield
    marked = item.get_closest_marker("live") or item.get_closest_marker("e2e")
    if report.skipped and marked is not None and live.must_run() and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"LEADLINE_REQUIRE_LIVE is set, so this may not be skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run tests of pure rooms under the purity guard."""
    if not any(pyfuncitem.path.is_relative_to(room) for room in PURE):
        return (yield)
    with purity.refusing():
        return (yield)
