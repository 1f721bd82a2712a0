from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace
from leadline.report.series import MAX_POINTS, place_series, thin, timeline_view
from report_samples import LEAK_COUNT, S, sample_evidence


def test_series_are_seconds_and_counts() -> None:
    view = timeline_view(sample_evidence(), ())
    assert view.duration_s == 30
    assert view.whole is not None
    assert (view.whole.points[0], view.whole.points[-1]) == ((0.0, 10), (30.0, 33))
    assert [(one.id, one.name, one.points[-1]) for one in view.places] == [
        (1, "main.fetchQuote quote.go:42", (30.0, LEAK_COUNT)),
        (2, "main.openPool db.go:31", (30.0, 4)),
    ]
    assert [one.id for one in timeline_view(sample_evidence(), (2,)).places] == [2, 1]


def test_without_a_window_or_samples_there_is_nothing_to_draw() -> None:
    view = timeline_view(Evidence(), ())
    assert (view.whole, view.places) == (None, ())
    place = sample_evidence().all(Birthplace)[0]
    assert place_series(msgspec.structs.replace(place, series=place.series[:1]), 0) is None
    without_site = msgspec.structs.replace(place, site=None)
    assert getattr(place_series(without_site, 100 * S), "name", "") == "tcp dialed"


@given(st.lists(st.integers(0, 100), min_size=1, max_size=2000), st.integers(10, 300))
def test_thinning_keeps_ends_and_extremes(counts: list[int], limit: int) -> None:
    points = tuple((float(number), count) for number, count in enumerate(counts))
    kept = thin(points, limit)
    assert len(kept) <= max(limit, 4)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert max(count for _, count in kept) == max(counts)
    assert min(count for _, count in kept) == min(counts)
    assert list(kept) == sorted(kept, key=lambda point: point[0])
    assert MAX_POINTS > 0
