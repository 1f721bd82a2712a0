"""FDL120: what a command left open at its own end, once per place; setup, pools and the toolchain are left alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evidence_builders import HTTP_DIAL, Place, Scene, steady
from judging import cleared, finding, is_silent_without, not_judged, verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import KINDS, Birthplace, Stack
from leadline.model import Finding, Severity
from leadline.rules.fdl.unclosed_at_exit import MAX_CLOSED, MIN_POOLED, MIN_REPEATED, RULE

WINDOW_S = 0.5


def run(**facts: Any) -> Scene:
    """Return a command that ran for half a second to its own end."""
    settings: dict[str, Any] = {"window_s": WINDOW_S, "ended_by": "command-ended"}
    return Scene(**(settings | facts))


def files(scene: Scene, count: int, **facts: Any) -> Place:
    place = scene.place("file", "opened", **({"function": "main.load"} | facts))
    place.all(steady(count, 0.1, 0.2))
    return place


def dials(scene: Scene, count: int) -> Place:
    place = scene.place("tcp", "dialed", function="main.fetch", below=HTTP_DIAL)
    place.all(steady(count, 0.1, 0.2))
    return place


def test_seven_of_one_place_are_found_with_their_line() -> None:
    scene = run()
    files(scene, MIN_REPEATED)
    found = finding(RULE, scene)
    assert (found.severity, found.count, found.kind) == (Severity.MEDIUM, 7, "file")
    assert found.title.startswith("7 files opened at main.load (main.go:42)")
    assert [(site.function, site.line) for site in found.sites[:1]] == [("main.load", 42)]
    assert "7 births, 0 deaths" in found.because[0].says
    assert found.against, "the doubt is told"


def test_six_are_listed_and_no_alarm() -> None:
    scene = run()
    files(scene, MIN_REPEATED - 1)
    found = finding(RULE, scene)
    assert (found.severity, found.count) == (Severity.INFO, 6)
    assert found.title == "6 descriptors of 1 place were open at exit"


def test_one_descriptor_is_told_in_the_singular() -> None:
    scene = run()
    files(scene, 1)
    assert finding(RULE, scene).title == "1 descriptor of 1 place was open at exit"


@pytest.mark.parametrize(
    ("count", "severity"), [(MIN_POOLED - 1, Severity.INFO), (MIN_POOLED, Severity.MEDIUM)]
)
def test_a_pool_may_keep_eleven_connections_not_twelve(count: int, severity: Severity) -> None:
    scene = run()
    dials(scene, count)
    found = finding(RULE, scene)
    assert (found.severity, found.count) == (severity, count)


def test_connections_dialed_without_a_pool_have_no_such_excuse() -> None:
    scene = run()
    scene.place("tcp", "dialed", function="main.dial", below=("net.(*sysDialer).dialTCP",)).all(
        steady(MIN_REPEATED, 0.1, 0.2)
    )
    assert finding(RULE, scene).severity is Severity.MEDIUM


@pytest.mark.parametrize(
    ("closed", "severity"), [(5, Severity.MEDIUM), (6, Severity.INFO), (100, Severity.INFO)]
)
def test_a_place_that_closes_much_of_what_it_opens_is_a_cache(closed: int, severity: Severity) -> None:
    assert 5 * MAX_CLOSED == 20
    scene = run()
    place = files(scene, 20)
    for born_s in steady(closed, 0.1, 0.2):
        place.live(born_s, born_s + 0.001)
    found = finding(RULE, scene)
    assert (found.severity, found.count) == (severity, 20)


@pytest.mark.parametrize(
    ("syscall", "closed", "severity"),
    [
        ("pipe2", 20, Severity.MEDIUM),  # the writing end of each
        ("pipe2", 30, Severity.MEDIUM),
        ("pipe2", 32, Severity.INFO),
        ("socketpair", 20, Severity.MEDIUM),
        ("eventfd2", 20, Severity.INFO),
    ],
)
def test_one_end_of_each_pair_may_be_closed_without_excusing_the_other(
    syscall: str, closed: int, severity: Severity
) -> None:
    scene = run()
    place = scene.place("pipe", "created", syscall=syscall)
    place.all(steady(20, 0.1, 0.2))
    for born_s in steady(closed, 0.1, 0.2):
        place.live(born_s, born_s + 0.001)
    found = finding(RULE, scene)
    assert (found.severity, found.count) == (severity, 20)


def test_what_was_closed_is_cleared() -> None:
    scene = run()
    place = scene.place("file", "opened")
    for born_s in steady(23, 0.1, 0.2):
        place.live(born_s, born_s + 0.01)
    assert "was closed before its exit" in cleared(RULE, scene).reason


@pytest.mark.parametrize("ended_by", ["duration", "interrupt", "sure", "target-gone"])
def test_only_a_command_that_ended_by_itself_is_judged(ended_by: str) -> None:
    scene = run(ended_by=ended_by)
    files(scene, 23)
    assert cleared(RULE, scene).pattern == "none"


def test_not_judged_without_exits_traced() -> None:
    scene = run(mode="snapshots")
    files(scene, 23)
    verdict = not_judged(RULE, scene)
    assert "before the exit" in verdict.missing
    assert "root" in verdict.remedy


def test_not_judged_without_evidence() -> None:
    assert is_silent_without(RULE)


@pytest.mark.parametrize("function", ["runtime.netpollinit", "runtime.netpollGenericInit"])
def test_the_runtimes_own_descriptors_are_left_out(function: str) -> None:
    """The runtime makes its epoll instance below whatever call of ours needs it first."""
    scene = run()
    scene.place("eventpoll", "created", below=(function,)).live(0.1)
    assert cleared(RULE, scene).pattern == "none"


@pytest.mark.parametrize("package", ["cmd/compile", "cmd/link", "cmd/go"])
def test_the_toolchains_programs_are_not_ours_to_mend(package: str) -> None:
    scene = run(main_package=package)
    files(scene, 23)
    assert cleared(RULE, scene).pattern == "none"


def test_a_program_whose_path_only_looks_like_it_is_judged() -> None:
    scene = run(main_package="example.com/cmd/server")
    files(scene, 23)
    assert finding(RULE, scene).severity is Severity.MEDIUM


def test_what_came_from_the_parent_is_left_out() -> None:
    """Standard streams and what a shell hands down have no birthplace."""
    scene = run()
    files(scene, 0).all([-1.0] * 23)
    assert cleared(RULE, scene).pattern == "none"


@pytest.mark.parametrize("role", ["app", "module", "native"])
def test_places_of_the_program_and_of_its_libraries_count(role: str) -> None:
    scene = run()
    files(scene, 7, frame_role=role)
    assert finding(RULE, scene).severity is Severity.MEDIUM


def test_what_the_runtime_reads_at_its_start_is_left_out_with_strict_too() -> None:
    """Go 1.25 and later keep the files of the CPU quota open: every frame of that stack is the runtime's."""
    scene = run()
    files(scene, 2, frame_role="runtime")
    full, seen = scene.evidence(), Evidence()
    for name in full.observed():
        for record in full.all(KINDS[name]):
            changed = record
            if isinstance(record, Birthplace):
                changed = msgspec.structs.replace(record, site=None)
            elif isinstance(record, Stack):
                frames = tuple(msgspec.structs.replace(frame, role="runtime") for frame in record.frames)
                changed = msgspec.structs.replace(record, frames=frames)
            seen.put(changed)
    assert [type(one).__name__ for one in verdicts(RULE, seen)] == ["Cleared"]


def test_the_runtime_as_a_place_does_not() -> None:
    scene = run()
    files(scene, 23, frame_role="runtime")
    assert cleared(RULE, scene).pattern == "none"


@pytest.mark.parametrize(("count", "is_told"), [(6, False), (7, True)])
def test_a_few_of_the_standard_library_are_its_own_many_are_not(count: int, is_told: bool) -> None:
    scene = run()
    files(scene, count, frame_role="std")
    (verdict,) = verdicts(RULE, scene)
    assert isinstance(verdict, Finding) is is_told


def test_a_place_that_another_rule_calls_leaking_is_not_told_twice() -> None:
    scene = run(window_s=12.0)
    scene.place("file", "opened", function="main.load").all(steady(23, 0.2, 11.7))
    assert cleared(RULE, scene).pattern == "none"


def test_each_place_is_a_finding_and_the_small_ones_are_one_entry() -> None:
    scene = run()
    files(scene, 7, function="main.first")
    files(scene, 8, function="main.second", line=50)
    files(scene, 1, function="main.third", line=60)
    files(scene, 2, function="main.fourth", line=70)
    found = [verdict for verdict in verdicts(RULE, scene) if isinstance(verdict, Finding)]
    assert sorted((one.severity.value, one.count) for one in found) == [
        ("info", 3),
        ("medium", 7),
        ("medium", 8),
    ]
    (listing,) = (one for one in found if one.severity is Severity.INFO)
    assert listing.title == "3 descriptors of 2 places were open at exit"
    assert {site.function for site in listing.sites} == {"main.third", "main.fourth"}


def test_the_same_small_place_in_two_processes_is_one_place() -> None:
    scene = run()
    files(scene, 1)
    files(scene, 1)
    found = finding(RULE, scene)
    assert (found.count, len(found.sites)) == (2, 1)
    assert "of 1 place " in found.title


def test_a_place_without_a_name_is_listed_and_no_alarm() -> None:
    """The program's stacks could not be read: it is said that something was left open, not that all was closed."""
    scene = run(go_version=None)
    files(scene, 23)
    full, nameless = scene.evidence(), Evidence()
    for name in full.observed():
        for record in full.all(KINDS[name]):
            is_place = isinstance(record, Birthplace)
            nameless.put(msgspec.structs.replace(record, site=None) if is_place else record)
    found = finding(RULE, nameless)
    assert (found.severity, found.count) == (Severity.INFO, 23)
    assert "an unknown place" in found.because[0].says
