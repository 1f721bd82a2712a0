"""Open descriptors by acquisition stack as a flame graph: folded stacks, or a self-contained SVG without script."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.evidence.queries import joined, stacks, target, whole_stack
from leadline.export.pprof import ORIGIN_FRAMES
from leadline.model import SiteFrame, printable

__all__ = ["encode", "encode_svg"]

WIDTH = 1200
ROW = 18
TOP = 44
MIN_SHOWN = 0.4
"""Narrower boxes are not drawn; their place stays empty."""
_CHARACTER = 6.6
_SVG = "http://www.w3.org/2000/svg"
_STYLE = (
    "svg{background:#fff}text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#17212b}.h{font:600 15px system-ui,sans-serif}"
    ".n{font:12px system-ui,sans-serif;fill:#5c6b7a}rect{stroke:#fff;stroke-width:.6}rect:hover{stroke:#17212b;stroke-width:1.4}"
    ".app{fill:#f2a07b}.module{fill:#f3cf8e}.std{fill:#bcd3e8}.runtime{fill:#d9dee4}.native{fill:#c9dfc9}.root{fill:#e8ebef}"
    "@media(prefers-color-scheme:dark){svg{background:#0f151b}text{fill:#0f151b}.h{fill:#e3e9ef}.n{fill:#93a3b3}"
    "rect{stroke:#0f151b}rect:hover{stroke:#fff}}"
)


@dataclass(slots=True)
class _Node:
    name: str
    role: str
    count: int = 0
    children: dict[tuple[str, str], _Node] = field(default_factory=dict)


def encode(evidence: Evidence, verdicts: Verdicts) -> bytes:  # noqa: ARG001  every exporter has this signature
    """Return folded stacks: ``root;...;leaf count`` per line, sorted, as flamegraph.pl and speedscope read them."""
    counts: Counter[str] = Counter()
    for frames in _stacks(evidence):
        counts[";".join(_plain(frame.function) for frame in reversed(frames))] += 1
    return "".join(f"{stack} {count}\n" for stack, count in sorted(counts.items())).encode()


def encode_svg(evidence: Evidence, verdicts: Verdicts) -> bytes:  # noqa: ARG001  every exporter has this signature
    """Return an SVG flame graph, roots below and leaves above; the pointer over a box tells its whole name and count."""
    process = target(evidence)
    name = "" if process is None else f" of {printable(process.comm)} (pid {process.pid})"
    root = _Node(f"all descriptors{name}", "root")
    for frames in _stacks(evidence):
        root.count += 1
        node = root
        for frame in reversed(frames):
            key = (_with_place(frame), frame.role)
            node = node.children.setdefault(key, _Node(*key))
            node.count += 1
    rows = _depth(root)
    height = TOP + rows * ROW + 12
    ET.register_namespace("", _SVG)
    svg = ET.Element(f"{{{_SVG}}}svg", viewBox=f"0 0 {WIDTH} {height}", width=str(WIDTH), height=str(height))
    _add(svg, "title", f"Open descriptors{name}")
    _add(svg, "style", _STYLE)
    _add(svg, "text", f"Open descriptors{name}", x="10", y="20", **{"class": "h"})
    _add(
        svg,
        "text",
        f"{root.count:,} descriptors by the stack that acquired them; wider is more",
        x="10",
        y="37",
        **{"class": "n"},
    )
    if root.count:
        _draw(svg, root, x=0.0, scale=WIDTH / root.count, y=height - 8 - ROW, total=root.count)
    text: str = ET.tostring(svg, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _stacks(evidence: Evidence) -> list[tuple[SiteFrame, ...]]:
    """Return one stack per open descriptor, leaf first; a name for its origin where there is none."""
    known = stacks(evidence)
    found = []
    for descriptor, _, place in joined(evidence):
        frames = whole_stack(place, known) if place is not None else ()
        found.append(frames or (SiteFrame(function=ORIGIN_FRAMES[descriptor.origin], role="runtime"),))
    return found


def _plain(name: str) -> str:
    return printable(name).replace(";", ":")


def _with_place(frame: SiteFrame) -> str:
    if frame.file is None:
        return printable(frame.function)
    line = "" if frame.line is None else f":{frame.line}"
    return printable(f"{frame.function} {frame.file.rpartition('/')[2]}{line}")


def _depth(node: _Node) -> int:
    rows, level = 0, [node]
    while level:
        rows += 1
        level = [child for one in level for child in one.children.values()]
    return rows


def _draw(svg: ET.Element, root: _Node, *, x: float, scale: float, y: float, total: int) -> None:
    """Draw a node and what stands on it; siblings by name, so that the same evidence gives the same picture."""
    waiting = [(root, x, y)]
    while waiting:
        node, left, top = waiting.pop()
        width = node.count * scale
        if width < MIN_SHOWN:
            continue
        group = _add(svg, "g")
        _add(group, "title", f"{node.name}: {node.count:,} ({100 * node.count / total:.1f} %)")
        box = {
            "x": f"{left:.2f}",
            "y": f"{top:g}",
            "width": f"{width:.2f}",
            "height": str(ROW - 1),
            "rx": "2",
        }
        _add(group, "rect", **box, **{"class": node.role})
        room = int((width - 8) / _CHARACTER)
        if room >= 3:
            label = node.name if len(node.name) <= room else node.name[: room - 2] + ".."
            _add(group, "text", label, x=f"{left + 4:.2f}", y=f"{top + 13:g}")
        for _, child in sorted(node.children.items()):
            waiting.append((child, left, top - ROW))
            left += child.count * scale


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, f"{{{_SVG}}}{name}", attributes)
    element.text = text or None
    return element
