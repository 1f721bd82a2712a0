from __future__ import annotations

import pytest

from leadline.evidence import Evidence
from leadline.export._places import Place, fingerprint_parts, main_module, place_of, relative_path
from leadline.model import Site
from report_samples import sample_evidence, sample_findings


@pytest.mark.parametrize(
    ("file", "root", "module", "inside"),
    [
        ("/src/a/b.go", "/src", "", "a/b.go"),
        ("/src/a/b.go", "/src/", "", "a/b.go"),
        ("/srcs/a.go", "/src", "", None),
        ("/src/../etc/x.go", "/src", "", None),
        ("ex.com/m/a.go", "", "ex.com/m", "a.go"),
        ("ex.com/m/v2/a.go", "", "ex.com/m", "v2/a.go"),
        ("ex.com/mm/a.go", "", "ex.com/m", None),
        ("net/http/client.go", "", "ex.com/m", None),
        ("/usr/lib/x.c", "", "", None),
    ],
)
def test_paths_are_relative_only_below_the_tree(
    file: str, root: str, module: str, inside: str | None
) -> None:
    assert relative_path(file, root=root, module=module) == inside


def test_a_place_needs_file_and_line() -> None:
    assert place_of(Site(function="f", file=None, line=3, role="acquired"), root="", module="") is None
    assert place_of(Site(function="f", file="a.go", line=None, role="acquired"), root="", module="") is None
    place = place_of(Site(function="f", file="/s/\x1ba.go", line=3, role="acquired"), root="/s", module="")
    assert place == Place("\\x1ba.go", 3, is_relative=True)


def test_fingerprints_prefer_a_place_with_a_file() -> None:
    assert fingerprint_parts(sample_findings()[1]) == (
        "FDL101",
        "tcp",
        "caller",
        "main.fetchQuote",
        "quote.go",
    )
    assert main_module(sample_evidence()) == "example.com/quotes"
    assert main_module(Evidence()) == ""
