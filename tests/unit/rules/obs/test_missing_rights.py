"""OBS102: blind spots are listed with what would remove them."""

from __future__ import annotations

import pytest

from evidence_builders import Scene
from judging import cleared, finding, is_silent_without
from leadline.model import Gap, GapReason, Severity
from leadline.rules.obs.missing_rights import RULE


@pytest.mark.parametrize("reason", list(GapReason))
def test_only_lack_of_rights_or_features_counts(reason: GapReason) -> None:
    scene = Scene()
    scene.more.append(Gap(what="socket states", reason=reason, remedy="give CAP_NET_ADMIN"))
    if reason in {GapReason.NOT_PERMITTED, GapReason.UNSUPPORTED}:
        found = finding(RULE, scene)
        assert found.severity is Severity.INFO
        assert found.title == "leadline could not see: socket states"
        assert found.remedy == "give CAP_NET_ADMIN"
    else:
        assert cleared(RULE, scene)


def test_many_are_listed_once_each() -> None:
    scene = Scene()
    for what in ("a", "b", "a", "c", "d"):
        scene.more.append(Gap(what=what, reason=GapReason.UNSUPPORTED))
    found = finding(RULE, scene)
    assert found.title == "leadline could not see: a; b; c and 1 more"
    assert (found.count, len(found.because)) == (4, 5)
    assert found.remedy == "Nothing can be done on this host."


def test_no_gap_is_cleared() -> None:
    assert "mode bpf" in cleared(RULE, Scene()).reason


def test_not_judged_without_a_window() -> None:
    assert is_silent_without(RULE)
