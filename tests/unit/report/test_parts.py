from __future__ import annotations

from leadline.report.layout import Page
from leadline.report.parts import add_entry, add_frames
from leadline.report.view import FrameGroup, FrameView

LIBRARY = FrameGroup(
    is_own=False,
    is_folded=True,
    frames=(FrameView("net.(*conn).Read", "net.go:194", "/go/src/net/net.go:194", is_inlined=True),) * 2,
    packages=("net",),
)


def text(page: Page) -> str:
    return page.render(color=False)


def test_an_entry_hangs_below_itself() -> None:
    page = Page(40)
    add_entry(page, "why", "one two three four five six seven eight nine", indent=2)
    assert text(page) == "  why      one two three four five six\n           seven eight nine\n"


def test_folded_frames_are_counted_with_their_packages() -> None:
    page = Page(80)
    add_frames(page, LIBRARY, label="stack", verbose=False)
    assert text(page) == "  stack    ... 2 library frames (net)\n"


def test_verbose_frames_show_whole_paths_and_what_was_inlined() -> None:
    page = Page(80)
    add_frames(page, LIBRARY, label="stack", verbose=True, indent=4)
    first, second = text(page).splitlines()
    assert first == "    stack    net.(*conn).Read  /go/src/net/net.go:194 (inlined)"
    assert second == first.replace("stack", "     ")


def test_a_place_that_does_not_fit_has_a_line_of_its_own() -> None:
    page = Page(40)
    add_frames(page, LIBRARY, label="", verbose=True)
    assert text(page).splitlines()[:2] == [
        "           net.(*conn).Read",
        "             /go/src/net/net.go:194",
    ]
