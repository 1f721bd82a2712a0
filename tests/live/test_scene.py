"""What readers of connections share: who is parked on what, and which goroutines have which object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import go_truth
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime import pollers
from leadline.probes.snapshot_runtime.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
ROUND_TRIP = "net/http.(*persistConn).roundTrip"


@pytest.fixture(scope="module", params=go_truth.builds())
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    go, stripped = request.param
    program = go_truth.build("transports", go, tmp_path_factory.mktemp("transports"), stripped=stripped)
    with go_truth.running(program) as truth:
        pollers.read(LiveHost(), truth.process, truth.look, truth.found)
        yield Scene(truth.process, truth.look, truth.found)


def test_who_is_parked_where_is_the_poller_turned_round(scene: Scene) -> None:
    uses = scene.found.uses
    assert scene.reads == {use.reader_goid: fd for fd, use in uses.items() if use.reader_goid is not None}
    assert scene.writes == {use.writer_goid: fd for fd, use in uses.items() if use.writer_goid is not None}
    assert len(scene.reads) >= 12
    for i in range(len(scene.look.goids)):
        assert scene.fd_of(i) == scene.reads.get(scene.goid(i))


def test_goroutines_are_found_by_their_functions(scene: Scene) -> None:
    loops = scene.having("net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop")
    assert len(loops) == 24
    assert all("Loop" in " ".join(scene.sites.functions(i)) for i in loops.tolist())
    assert len(scene.having("net/http.(*persistConn)")) == 0


def test_objects_that_are_known_are_found_in_frames_and_others_are_not(scene: Scene) -> None:
    [asking] = scene.having(ROUND_TRIP).tolist()
    chosen = np.array([asking], np.int64)
    extent = scene.sites.extent(asking, ROUND_TRIP.__eq__)
    assert extent is not None
    words = scene.look.words(asking)[slice(*extent)]
    inside = next(int(word) for word in words if word > 1 << 32 and word % 8 == 0)
    assert scene.known_objects(chosen, (ROUND_TRIP,), [8, inside]) == {asking: 1}
    assert scene.known_objects(chosen, (ROUND_TRIP,), [8, 16]) == {}
    assert scene.known_objects(chosen, (ROUND_TRIP,), []) == {}
    assert scene.known_objects(chosen, ("main.nowhere",), [inside]) == {}
