"""Joins: sockets to descriptors, what looks the same, where a birthplace is."""

from __future__ import annotations

import msgspec
import pytest

from evidence_builders import HTTP_DIAL, PID, Scene
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    Descriptor,
    DescriptorKind,
    ProcessInfo,
    Refusal,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.model import SiteFrame
from leadline.rules.table import Table, path_pattern, place, sites_of


def joined(evidence: Evidence) -> Table:
    return Table.of(
        window=evidence.all(Window),
        birthplaces=evidence.get(Birthplace),
        descriptors=evidence.get(Descriptor),
        sockets=evidence.get(SocketState),
        stacks=evidence.get(Stack),
        processes=evidence.get(ProcessInfo),
        timeline=evidence.get(TimelineSample),
        refusals=evidence.get(Refusal),
    )


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/srv/page.tmpl", "/srv/page.tmpl"),
        ("/srv/data/17.seg (deleted)", "/srv/data/N.seg"),
        ("/cache/9f86d081884c7d65/x", "/cache/*/x"),
        ("/home/defaced/file", "/home/defaced/file"),
        ("/tmp/a1b2", "/tmp/aNbN"),
        ("", ""),
    ],
)
def test_path_patterns(path: str, pattern: str) -> None:
    assert path_pattern(path) == pattern


def test_keys_by_kind() -> None:
    scene = Scene()
    scene.place("tcp", "created").live(-5.0, state="LISTEN", local_port=80)
    scene.place("tcp", "accepted").live(1.0, local_port=80)
    scene.place("tcp", "dialed").live(1.0, peer=("2001:db8::1", 443))
    scene.place("file", "opened").live(1.0, path="/srv/7.txt")
    scene.place("eventfd", "created").live(1.0, path="anon_inode:[eventfd]")
    table = joined(scene.evidence())
    assert [table.key(descriptor) for descriptor in table.descriptors] == [
        "listening on 80",
        "accepted on port 80",
        "peer [2001:db8::1]:443",
        "path /srv/N.txt",
        "",
    ]


def test_older_ones_are_of_the_same_process_kind_and_key() -> None:
    scene = Scene()
    place_ = scene.place("tcp", "dialed")
    place_.all([-5.0] * 3)
    place_.all([-5.0] * 2, peer=("10.9.9.9", 1))
    place_.live(1.0)
    scene.place("file", "opened").live(-5.0)
    table = joined(scene.evidence())
    (birthplace,) = [found for found in table.birthplaces if found.kind is DescriptorKind.TCP]
    assert len(table.older(birthplace, {"peer 10.0.0.9:8080"})) == 3
    assert table.older(birthplace, set()) == []


def test_net_growth_needs_two_looks() -> None:
    scene = Scene(window_s=10.0)
    scene.place("file", "opened").all([-1.0, 1.0, 2.0])
    evidence = scene.evidence()
    assert joined(evidence).net_growth(PID, DescriptorKind.FILE) == 2
    assert joined(evidence).net_growth(PID, DescriptorKind.PIPE) == 0
    evidence._records[TimelineSample] = evidence._records[TimelineSample][1:]
    assert joined(evidence).net_growth(PID, DescriptorKind.FILE) is None


def test_full_means_refused_or_at_most_two_left() -> None:
    def full(used: int, refusals: int = 0) -> bool:
        scene = Scene(nofile_soft=20)
        scene.place("file", "opened").all([-1.0] * used)
        if refusals:
            scene.more.append(
                Refusal(id=1, pid=PID, error="EMFILE", syscall="openat", count=refusals, stack=None)
            )
        return joined(scene.evidence()).is_full(PID)

    assert full(18)
    assert not full(17)
    assert full(3, refusals=1)


def test_counting_begins_with_the_first_sample_and_ends_with_the_process() -> None:
    evidence = Scene(window_s=10.0).evidence()
    table = joined(evidence)
    begin_ns = table.window.begin_mono_ns
    assert table.begin_ns(PID) == begin_ns
    evidence._records[TimelineSample] = evidence._records[TimelineSample][4:]
    evidence._records[ProcessInfo] = [
        msgspec.structs.replace(evidence.all(ProcessInfo)[0], ended_mono_ns=begin_ns + 7 * 10**9)
    ]
    table = joined(evidence)
    assert table.begin_ns(PID) == begin_ns + 2 * 10**9
    assert table.end_ns(PID) == begin_ns + 7 * 10**9


def frame(function: str, role: str = "app", line: int | None = 3) -> SiteFrame:
    return SiteFrame(function=function, file="/src/x.go", line=line, role=role)


def test_places_in_words() -> None:
    assert place(None) == "an unknown place"
    assert place(frame("main.f")) == "main.f (x.go:3)"
    assert place(frame("main.f", line=None)) == "main.f (x.go)"
    assert place(SiteFrame(function="?")) == "?"


def test_sites_lead_with_the_application_and_keep_the_system_calls_stack() -> None:
    scene = Scene()
    scene.place("tcp", "dialed", below=HTTP_DIAL).live(1.0)
    evidence = scene.evidence()
    dial = (frame("net.dial", "std"), frame("net/http.(*Transport).dialConn", "std"))
    asker = (frame("net/http.(*Client).do", "std"), frame("main.fetch"))
    birthplace = msgspec.structs.replace(
        evidence.all(Birthplace)[0],
        stack=1,
        callers=(2,),
        site=frame("main.fetch"),
        site_role="caller",
        created_by=frame("net/http.(*Transport).start", "std"),
    )
    table = joined(evidence)
    table.stacks = {1: Stack(id=1, pid=PID, frames=dial), 2: Stack(id=2, pid=PID, frames=asker)}
    sites = sites_of(table, birthplace)
    assert [(site.function, site.role) for site in sites] == [
        ("main.fetch", "caller"),
        ("net.dial", "acquired"),
        ("net/http.(*Transport).start", "created-by"),
    ]
    assert sites[0].stack == asker
    assert sites[1].stack == dial
    assert table.functions(birthplace) == (
        "net.dial",
        "net/http.(*Transport).dialConn",
        "net/http.(*Client).do",
        "main.fetch",
    )


def test_a_birthplace_without_any_stack_has_no_sites() -> None:
    scene = Scene()
    scene.place("file", "opened").live(1.0)
    evidence = scene.evidence()
    birthplace = msgspec.structs.replace(evidence.all(Birthplace)[0], stack=None, site=None)
    assert sites_of(joined(evidence), birthplace) == ()
