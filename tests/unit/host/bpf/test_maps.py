from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from leadline.host.bpf import LiveBpf
from leadline.host.bpf.live import LiveObject
from leadline.host.bpf.maps import possible_cpus
from leadline.model import Unsupported

FOLDER = resources.files("leadline.probes.trace_descriptors")


@pytest.fixture
def loaded() -> Iterator[LiveObject]:
    with LiveBpf().load(FOLDER, "descriptors", max_entries={"processes": 1009, "fds": 4096}) as found:
        yield found


@pytest.mark.parametrize(("text", "count"), [("0\n", 1), ("0-1\n", 2), ("0,2-3", 4), ("0-127", 128)])
def test_slots_are_counted_up_to_the_highest_cpu(text: str, count: int) -> None:
    assert possible_cpus(text) == count


@pytest.mark.live
def test_elements_are_inserted_found_and_removed(loaded: LiveObject) -> None:
    processes = loaded.map("processes")
    key = (41).to_bytes(4, "little")
    record = np.zeros(1, processes.value)
    record["parent"] = 7
    assert processes.lookup(key) is None
    processes.update(key, record.tobytes())
    found = processes.lookup(key)
    assert found is not None
    assert found["parent"].tolist() == [7]
    assert processes.delete(key)
    assert not processes.delete(key)


@pytest.mark.live
def test_a_dump_has_every_element_and_a_full_map_says_so(loaded: LiveObject) -> None:
    processes = loaded.map("processes")
    record = np.zeros(1, processes.value)
    for number in range(1009):
        record["parent"] = number + 1
        processes.update(number.to_bytes(4, "little"), record.tobytes())
    keys, values = processes.dump()
    assert sorted(keys["value"].tolist()) == list(range(1009))
    assert (values["parent"] == keys["value"] + 1).all()
    with pytest.raises(Unsupported, match="full"):
        processes.update((5000).to_bytes(4, "little"), record.tobytes())


@pytest.mark.live
def test_removing_many_counts_those_that_were_there(loaded: LiveObject) -> None:
    processes = loaded.map("processes")
    record = np.zeros(1, processes.value).tobytes()
    for number in (2, 3, 5, 7, 11):
        processes.update(number.to_bytes(4, "little"), record)
    keys = np.array([(n,) for n in (1, 2, 3, 4, 7, 8)], processes.key)
    assert processes.delete_many(keys) == 3
    assert sorted(processes.dump()[0]["value"].tolist()) == [5, 11]
    assert processes.delete_many(keys[:0]) == 0


@pytest.mark.live
def test_empty_maps_and_wrong_sizes(loaded: LiveObject) -> None:
    keys, values = loaded.map("sites").dump()
    assert (len(keys), len(values)) == (0, 0)
    with pytest.raises(ValueError, match="key of 2 bytes"):
        loaded.map("sites").lookup(b"ab")
    with pytest.raises(ValueError, match="value of 1 bytes"):
        loaded.map("sites").update(bytes(8), b"a")


@pytest.mark.live
def test_per_cpu_values_have_one_slot_per_possible_cpu(loaded: LiveObject) -> None:
    slots = loaded.map("counters").lookup(bytes(4))
    assert slots is not None
    assert len(slots) == possible_cpus(Path("/sys/devices/system/cpu/possible").read_text())
    assert slots["value"].sum() == 0
