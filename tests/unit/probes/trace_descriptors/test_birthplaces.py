"""Sites become birthplaces: merged by application frames, named by the line a person should read."""

from __future__ import annotations

from leadline.evidence.kinds import (
    Birthplace,
    BirthSample,
    Descriptor,
    DescriptorKind,
    LifetimeBucket,
    Origin,
    SocketState,
)
from leadline.model import SiteFrame
from leadline.probes.trace_descriptors.birthplaces import BirthplaceBuilder, RawSite, peer_of, pick_site


def frame(function: str, role: str = "std", line: int = 1) -> SiteFrame:
    return SiteFrame(function=function, file=f"{function}.go", line=line, role=role)


STACKS = {
    1: (
        frame("syscall.Socket"),
        frame("net.socket"),
        frame("main.fetch", "app", 42),
        frame("main.main", "app", 9),
    ),
    2: (
        frame("syscall.Socket"),
        frame("net.other"),
        frame("main.fetch", "app", 42),
        frame("main.main", "app", 9),
    ),
    3: (frame("syscall.Socket"), frame("net/http.(*Transport).dialConn"), frame("net/http.func1")),
    4: (
        frame("net/http.(*Transport).queueForDial"),
        frame("main.get", "app", 7),
        frame("runtime.goexit", "runtime"),
    ),
    5: (frame("main.fetch", "app", 43), frame("main.main", "app", 9)),
}


def builder() -> BirthplaceBuilder:
    return BirthplaceBuilder(
        lambda _pid, stack: (STACKS[stack], False), lambda _pid, _gopc: frame("main.spawn", "app", 77)
    )


def site(
    stack: int,
    *,
    births: int = 3,
    alive: int = 2,
    callers: tuple[int, ...] = (),
    gopc: int = 0,
    syscall: str = "socket",
) -> RawSite:
    return RawSite(
        image=(7, 0), stack=stack, callers=callers, gopc=gopc, syscall=syscall, kind=DescriptorKind.TCP, births=births,
        lifetimes=(LifetimeBucket(10, 20, births - alive),) if births > alive else (),
        samples=(BirthSample(100, 1, 0, 1), BirthSample(200, births, births - alive, alive)),
        ages_ns=tuple(range(1, alive + 1)),
    )  # fmt: skip


def build(*sites: RawSite, listens: bool = False) -> tuple[list[Birthplace], dict[RawSite, int]]:
    return builder().build(sites, lambda s: s.kind, lambda _s: listens, (50, 100, 200, 300))


def test_two_ways_through_the_library_are_one_birthplace() -> None:
    (birthplace,), ids = build(site(1), site(2, births=5, alive=5))
    assert (birthplace.births, birthplace.deaths, birthplace.alive) == (8, 1, 7)
    assert birthplace.site == frame("main.fetch", "app", 42)
    assert birthplace.lifetimes == (LifetimeBucket(10, 20, 1),)
    assert birthplace.ages_ns == (1, 1, 2, 2, 3, 4, 5)
    assert birthplace.series == (
        BirthSample(50, 0, 0, 0), BirthSample(100, 2, 0, 2), BirthSample(200, 8, 1, 7), BirthSample(300, 8, 1, 7),
    )  # fmt: skip
    assert set(ids.values()) == {1}


def test_another_line_is_another_birthplace() -> None:
    birthplaces, _ = build(site(1), site(5))
    assert [b.site.line for b in birthplaces if b.site] == [42, 43]


def test_a_dial_on_a_helper_goroutine_is_named_by_its_caller() -> None:
    (birthplace,), _ = build(site(3, callers=(4,)))
    assert (birthplace.site, birthplace.site_role) == (frame("main.get", "app", 7), "caller")


def test_without_a_caller_the_go_statement_is_named() -> None:
    (birthplace,), _ = build(site(3, gopc=99))
    assert (birthplace.site, birthplace.site_role) == (frame("main.spawn", "app", 77), "created-by")


def test_roles_tell_dialed_accepted_opened_and_listeners() -> None:
    assert build(site(1))[0][0].role == "dialed"
    assert build(site(1), listens=True)[0][0].role == "created"
    assert build(site(1, syscall="accept4"))[0][0].role == "accepted"
    assert build(site(1, syscall="openat"))[0][0].role == "opened"
    assert build(site(1, syscall="fcntl"))[0][0].role == "duplicated"


def test_most_alive_comes_first_and_numbers_are_stable() -> None:
    birthplaces, _ = build(site(1, alive=1), site(5, births=9, alive=9))
    again, _ = build(site(5, births=9, alive=9), site(1, alive=1))
    assert birthplaces[0].alive == 9
    assert [(b.id, b.site) for b in birthplaces] == [(b.id, b.site) for b in again]


def test_a_module_frame_is_read_only_when_there_is_no_application_frame() -> None:
    module, app = frame("github.com/x/y.Do", "module"), frame("main.run", "app")
    assert pick_site([("acquired", (module, app))]) == (app, "acquired")
    assert pick_site([("acquired", (module,)), ("caller", (app,))]) == (app, "caller")
    assert pick_site([("acquired", (frame("net.x"), module))]) == (module, "acquired")
    assert pick_site([("acquired", ())]) == (None, "acquired")


def test_peers_replace_numbers_of_paths_but_keep_addresses() -> None:
    file = Descriptor(
        pid=1,
        fd=3,
        kind=DescriptorKind.FILE,
        origin=Origin.TRACED,
        name="/tmp/job-0017/deadbeef01/a.txt",
        seen_since_mono_ns=0,
    )
    assert peer_of(file, None) == "/tmp/job-#/#/a.txt"
    tcp = SocketState(
        inode=1,
        protocol="tcp",
        family="inet",
        state="ESTABLISHED",
        laddr="127.0.0.1",
        lport=9,
        raddr="10.0.0.1",
        rport=80,
    )
    assert peer_of(file, tcp) == "10.0.0.1:80"
