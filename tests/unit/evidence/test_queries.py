from __future__ import annotations

import msgspec

from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    Descriptor,
    DescriptorKind,
    Origin,
    ProcessInfo,
    Stack,
    TimelineSample,
)
from leadline.evidence.queries import (
    age_ns,
    birthplaces,
    by_kind,
    by_origin,
    duplicates,
    endpoint,
    final_sockets,
    headroom,
    joined,
    open_counts,
    stacks,
    target,
    whole_stack,
)
from report_samples import LEAK_COUNT, S, sample_evidence


def test_counts_by_kind_and_origin() -> None:
    evidence = sample_evidence()
    assert by_kind(evidence) == (("tcp", LEAK_COUNT + 5), ("device", 3), ("eventpoll", 1), ("file", 1))
    assert by_origin(evidence, pid=4711) == (("traced", LEAK_COUNT + 4), ("before", 5), ("unknown", 1))
    assert by_kind(evidence, pid=1) == ()


def test_headroom_is_of_the_process_and_unknown_stays_unknown() -> None:
    evidence = sample_evidence()
    process = target(evidence)
    assert process is not None
    room = headroom(evidence, process, open_counts(evidence))
    assert (room.open_count, room.soft, room.used_ratio) == (33, 1024, 33 / 1024)
    unknown = headroom(Evidence(), msgspec.structs.replace(process, nofile_soft=None), {})
    assert (unknown.open_count, unknown.used_ratio, unknown.host_open) == (None, None, None)


def test_without_a_table_the_last_count_is_taken() -> None:
    evidence = Evidence()
    evidence.put_all(
        TimelineSample, [TimelineSample(pid=1, mono_ns=number, alive=number + 5) for number in range(3)]
    )
    assert open_counts(evidence) == {1: 7}
    evidence.put_all(Descriptor, [])
    process = ProcessInfo(pid=1, start_boot_ns=0, comm="a", nofile_soft=10)
    assert headroom(evidence, process, open_counts(evidence)).open_count == 0


def test_duplicates_are_known_by_file_or_by_socket() -> None:
    def descriptor(
        fd: int, kind: DescriptorKind, *, file_ref: int | None = None, inode: int | None = None
    ) -> Descriptor:
        return Descriptor(
            pid=1,
            fd=fd,
            kind=kind,
            origin=Origin.BEFORE,
            file_ref=file_ref,
            inode=inode,
            name=f"n{fd}",
            seen_since_mono_ns=0,
        )

    evidence = Evidence()
    evidence.put_all(
        Descriptor,
        [
            descriptor(3, DescriptorKind.FILE, file_ref=1, inode=9),
            descriptor(
                4, DescriptorKind.FILE, file_ref=2, inode=9
            ),  # the same file opened twice is no duplicate
            descriptor(5, DescriptorKind.FILE, file_ref=1, inode=9),
            descriptor(6, DescriptorKind.TCP, inode=50),
            descriptor(7, DescriptorKind.TCP, inode=50),
            descriptor(8, DescriptorKind.TCP, inode=50),
            descriptor(9, DescriptorKind.FILE, inode=9),  # without a reference a file's inode tells nothing
            descriptor(10, DescriptorKind.FILE, inode=9),
        ],
    )
    assert [(one.kind, one.holders) for one in duplicates(evidence)] == [
        ("tcp", ((1, 6), (1, 7), (1, 8))),
        ("file", ((1, 3), (1, 5))),
    ]


def test_descriptors_are_joined_with_socket_and_birthplace_in_order() -> None:
    rows = list(joined(sample_evidence()))
    assert [descriptor.fd for descriptor, _, _ in rows] == sorted(descriptor.fd for descriptor, _, _ in rows)
    leaked = [
        (socket.state, place.id)
        for _, socket, place in rows
        if socket is not None and place is not None and place.id == 1
    ]
    assert leaked == [("CLOSE_WAIT", 1)] * LEAK_COUNT
    assert len(final_sockets(sample_evidence())) == LEAK_COUNT + 5


def test_age_is_unknown_before_the_watch() -> None:
    evidence = sample_evidence()
    ages = {descriptor.fd: age_ns(evidence, descriptor) for descriptor in evidence.all(Descriptor)}
    assert (ages[0], ages[10], ages[32]) == (None, 29 * S, 7 * S)


def test_most_living_birthplaces_come_first() -> None:
    assert [place.id for place in birthplaces(sample_evidence())] == [1, 2]
    assert [place.id for place in birthplaces(sample_evidence(leaking=False))] == [2, 1]


def test_the_whole_stack_goes_from_the_call_to_the_one_who_asked() -> None:
    evidence = sample_evidence()
    place = evidence.all(Birthplace)[0]
    functions = [frame.function for frame in whole_stack(place, stacks(evidence))]
    assert functions[0] == "syscall.Socket"
    assert functions.index("net/http.(*Transport).dialConn") + 1 == functions.index(
        "net/http.(*Transport).roundTrip"
    )
    assert functions.count("runtime.goexit") == 1
    lost = {number: stack for number, stack in stacks(evidence).items() if number != 1}
    assert next(frame.function for frame in whole_stack(place, lost)) == "net/http.(*Transport).roundTrip"
    assert [frame.function for frame in whole_stack(place, {})] == ["main.fetchQuote"]
    assert whole_stack(msgspec.structs.replace(place, site=None), {}) == ()
    assert all(isinstance(stack, Stack) for stack in stacks(evidence).values())


def test_endpoints_are_written_as_people_write_them() -> None:
    assert [endpoint("10.0.0.1", 80), endpoint("::1", 80), endpoint("::1", None), endpoint("", None), endpoint("", 53)] == [
        "10.0.0.1:80", "[::1]:80", "[::1]", "", ":53",
    ]  # fmt: skip
