"""A recorded case gives the same verdicts whenever it is judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evidence_builders import Scene, steady
from leadline.app.cases import write_case
from leadline.app.diagnose import diagnose
from leadline.app.replay import diff_cases, replay_case
from leadline.export.json_document import encode
from leadline.model import BundleError, UsageError


def leaking(rate_births: int = 23) -> Scene:
    scene = Scene(window_s=12.0)
    scene.place("file", "opened", function="main.load").all(steady(rate_births, 0.2, 11.7))
    return scene


def fixed(count: int = 23) -> Scene:
    scene = Scene(window_s=12.0)
    place = scene.place("file", "opened", function="main.load")
    for born_s in steady(count, 0.2, 11.7):
        place.live(born_s, born_s + 0.01)
    return scene


def keep(folder: Path, name: str, scene: Scene) -> Path:
    path = folder / f"{name}.leadline"
    write_case(path, scene.evidence())
    return path


def test_replay_says_what_was_said_live_byte_for_byte(tmp_path: Path) -> None:
    evidence = leaking().evidence()
    live = encode(evidence, diagnose(evidence))
    path = tmp_path / "case.leadline"
    write_case(path, evidence)
    for _ in range(2):
        case = replay_case(path)
        assert encode(case.evidence, case.diagnosis) == live
    assert [finding["code"] for finding in json.loads(live)["findings"]] == ["FDL103"]


def test_the_case_is_called_by_its_file(tmp_path: Path) -> None:
    assert replay_case(keep(tmp_path, "api", leaking())).subject == "api.leadline"


def test_replay_shows_source_lines(tmp_path: Path) -> None:
    tree = tmp_path / "tree" / "app"
    tree.mkdir(parents=True)
    (tree / "main.go").write_text("\n" * 41 + "os.Open(path)\n")
    case = replay_case(keep(tmp_path, "api", leaking()), source=tmp_path / "tree")
    (site,) = case.diagnosis.findings[0].sites[:1]
    assert (42, "os.Open(path)") in site.source
    assert case.source == tmp_path / "tree"


@pytest.mark.parametrize(
    ("content", "error"), [(b"not a case", BundleError), (b"", BundleError), (None, UsageError)]
)
def test_what_is_no_case_is_an_error_that_names_the_file(
    tmp_path: Path, content: bytes | None, error: type[Exception]
) -> None:
    path = tmp_path / "odd.leadline"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=r"odd\.leadline"):
        replay_case(path)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_leak_that_remains_is_told_from_one_that_is_gone(tmp_path: Path, as_json: bool) -> None:
    bad, good = keep(tmp_path, "bad", leaking()), keep(tmp_path, "good", fixed())
    idle = keep(tmp_path, "idle", Scene(window_s=12.0))
    assert diff_cases(bad, bad, as_json=as_json)[1] == 1
    assert diff_cases(bad, good, as_json=as_json)[1] == 0
    assert diff_cases(good, good, as_json=as_json)[1] == 0
    assert diff_cases(good, bad, as_json=as_json)[1] == 1
    assert diff_cases(bad, idle, as_json=as_json)[1] == 2, "silence proves nothing"


def test_the_comparison_names_the_place_in_both_forms(tmp_path: Path) -> None:
    bad, good = keep(tmp_path, "bad", leaking()), keep(tmp_path, "good", fixed())
    text, _ = diff_cases(bad, good, as_json=False)
    document, _ = diff_cases(bad, good, as_json=True)
    assert "main.load" in text
    assert "main.load" in json.dumps(json.loads(document))
