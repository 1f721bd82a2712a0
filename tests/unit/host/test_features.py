"""What the host allows, as the rights of this process allow it."""

from __future__ import annotations

from leadline.evidence.kinds import HostInfo
from leadline.host import LiveHost
from leadline.host.features import YES, Feature, probe_features, read_host_info
from leadline.model import NotPermitted, Unsupported


def by_name(features: list[Feature]) -> dict[str, Feature]:
    return {feature.name: feature for feature in features}


def test_each_feature_is_there_or_says_why_not_and_how_to_get_it() -> None:
    features = probe_features(LiveHost())
    assert len(by_name(features)) == len(features)
    for feature in features:
        assert feature.adds, feature.name
        assert feature.is_there == (feature.status == YES)
        assert feature.is_there or feature.status, feature.name
        assert not (feature.is_there and feature.remedy), feature.name


def test_what_needs_no_rights_is_always_there() -> None:
    found = by_name(probe_features(LiveHost()))
    assert all(found[name].is_there for name in ("sock_diag_tcp4", "sock_diag_unix", "pidfd"))


def test_own_programs_are_tried_first_when_given() -> None:
    tried = []
    first = probe_features(LiveHost(), lambda: tried.append(1))[0]
    assert (first.name, first.status, tried) == ("descriptor_tracing", YES, [1])

    def refuse() -> None:
        raise NotPermitted("BPF_PROG_LOAD: EPERM", remedy="run as root")

    first = probe_features(LiveHost(), refuse)[0]
    assert (first.status, first.is_there) == ("BPF_PROG_LOAD: EPERM", False)
    assert "CAP_BPF" in first.remedy


def test_a_missing_feature_does_not_hide_the_others() -> None:
    def lack() -> None:
        raise Unsupported("no BTF")

    assert len(probe_features(LiveHost(), lack)) == len(probe_features(LiveHost())) + 1


def test_a_machine_without_anything_gives_reasons(tmp_path: object) -> None:
    """A host over empty roots stands for a container without proc and sys mounts."""
    features = by_name(probe_features(LiveHost(proc_root=str(tmp_path), sys_root=str(tmp_path))))
    for name in ("btf", "tp_btf", "psi", "cgroup_v2", "CAP_BPF", "others_descriptors"):
        assert not features[name].is_there, name


def test_the_machine_is_evidence() -> None:
    info = read_host_info(LiveHost(), [Feature("btf", YES, "x"), Feature("psi", "not there", "y")])
    assert isinstance(info, HostInfo)
    assert info.features == {"btf": YES, "psi": "not there"}
    assert info.cpu_count >= 1
    assert 0 < (info.file_nr or 0) < (info.file_max or 0)
    assert (info.nr_open or 0) >= 1024
