"""The report as one page: self-contained, without network, readable in light and dark and on paper.

Its content security policy allows nothing but the one style sheet and the one script in the file, by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Iterable

from leadline.report.census import CensusView
from leadline.report.chart import chart, spark
from leadline.report.markup import Child, Safe, tag, text
from leadline.report.series import Series, TimelineView
from leadline.report.sockets import Cell, Column, TableView
from leadline.report.view import (
    FindingView,
    FrameGroup,
    FrameView,
    GroupView,
    PlaceView,
    ReportView,
    SiteView,
)

__all__ = ["render_html"]

MAX_PLACES = 200
LONG_FACT = 40
"""Characters from which a fact of the heading gets two columns."""
_CALM = "No leak and no other fault was found."
_CALM_WHY = "What was looked at is listed below, with the reasons why it is healthy."


def render_html(view: ReportView) -> str:
    """Return the page; the same view gives the same text."""
    style, script = _asset("page.css"), _asset("page.js")
    sources = f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    policy = f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
    sections = [section for section in _sections(view) if section is not None]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=f"leadline {view.version}"),
        tag("title", f"{view.title} - leadline"),
        tag("style", Safe(style)),
    )
    names = [(key, title) for key, title, _ in sections]
    body = tag(
        "body",
        _bar(names),
        tag(
            "main",
            _head(view),
            (_section(key, title, content) for key, title, content in sections),
            _footer(view),
        ),
        tag("script", Safe(script)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _asset(name: str) -> str:
    """Return a file that is shipped beside this one; it may not hold what would end its element."""
    content = importlib.resources.files("leadline.report").joinpath(name).read_text("utf-8")
    if "</" in content:
        raise AssertionError(
            f"{name} would end the element it stands in"
        )  # pragma: no cover  a fault of ours
    return content


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


Section = tuple[str, str, Child]


def _sections(view: ReportView) -> Iterable[Section | None]:
    """Yield (anchor, title, content) of every section that has something to show."""
    findings: Child = [_finding(finding) for finding in view.findings] or _calm(view)
    yield "findings", "Findings", findings
    yield _timeline(view.timeline)
    yield _places(view)
    yield _goroutines(view)
    yield _connections(view.connections)
    yield _retention(view)
    yield _census(view.census)
    yield _sockets(view.sockets)
    yield _healthy(view)
    yield _unjudged(view)


def _section(key: str, title: str, content: Child) -> Safe:
    return tag("section", tag("h2", title), content, id=key)


def _bar(names: list[tuple[str, str]]) -> Safe:
    plumb = tag(
        "svg",
        tag("path", d="M7.5 1v10"),
        tag("path", d="M4 11h7l-1.2 7.5-2.3 3-2.3-3z", class_="body"),
        viewBox="0 0 15 22",
        aria_hidden="true",
    )
    links = (tag("a", title, href=f"#{key}") for key, title in names)
    button = tag("button", "Dark", type="button", id="theme", title="switch between light and dark")
    return tag(
        "header",
        tag("div", tag("span", plumb, "leadline", class_="brand"), tag("nav", links), button),
        class_="bar",
    )


def _head(view: ReportView) -> Safe:
    when = (("recorded", view.begin_utc),) if view.begin_utc else ()
    facts = (_fact(label, value) for label, value in (*view.facts, *when))
    return tag(
        "div",
        tag("h1", view.title),
        tag("p", view.summary, class_="sum muted"),
        tag("dl", facts, class_="facts"),
        class_="head",
    )


def _fact(label: str, value: str) -> Safe:
    return tag("div", tag("dt", label), tag("dd", value), class_="long" if len(value) > LONG_FACT else None)


def _calm(view: ReportView) -> Safe:
    blind = view.not_judged or view.gaps
    more = "Not everything could be judged, though: see below." if blind else _CALM_WHY
    return tag("div", tag("h3", _CALM), tag("p", more, class_="muted"), class_="card calm")


def _finding(finding: FindingView) -> Safe:
    tags = (
        tag("span", finding.severity.value, class_="sev"),
        tag("span", f"{finding.code} {finding.name}", class_="code mono"),
        *(tag("span", f"{label}: {value}") for label, value in finding.facts),
    )
    cause = (
        tag("p", f"This is a consequence of {finding.explained_by}.", class_="muted")
        if finding.explained_by
        else None
    )
    evidence = [("because" if number == 0 else "", one) for number, one in enumerate(finding.because)]
    evidence += [("against" if number == 0 else "", one) for number, one in enumerate(finding.against)]
    rows = (
        tag(
            "tr",
            tag("td", label),
            tag("td", one.layer, class_="layer"),
            tag("td", one.says),
            tag("td", one.evidence, class_="ref mono"),
        )
        for label, one in evidence
    )
    related = f"leadline explain {finding.code}" + (
        f"; see also {', '.join(finding.related)}" if finding.related else ""
    )
    return tag(
        "article",
        tag("div", tags, class_="tags"),
        tag("h3", finding.title),
        (_site(site, is_first=number == 0) for number, site in enumerate(finding.sites)),
        tag("p", _prose(finding.explanation), class_="why"),
        cause,
        tag("table", tag("tbody", rows), class_="evidence"),
        tag(
            "div",
            tag("p", tag("b", "What to do"), _prose(finding.remedy)),
            tag("p", tag("b", "How to verify"), _prose(finding.verify)),
            tag("p", tag("b", "More"), tag("code", related)),
            class_="do",
        ),
        class_=f"card finding {finding.severity.value}",
        id=f"finding-{finding.code}",
    )


def _prose(words: str) -> Safe:
    """Return text in which what stands between backticks is code."""
    parts = words.split("`")
    if len(parts) % 2 == 0:
        return text(words)
    return text(tag("code", part) if number % 2 else part for number, part in enumerate(parts))


def _site(site: SiteView, *, is_first: bool) -> Safe:
    where = tag(
        "div",
        tag("code", site.function, class_="fn"),
        tag("code", site.path) if site.path else None,
        tag("span", site.role, class_="muted"),
        class_="where",
    )
    source = [
        tag(
            "div",
            tag("span", str(line.number), class_="no"),
            line.text,
            class_="hit" if line.is_hit else None,
        )
        for line in site.source
    ]
    stack = _stack(site.groups)
    if not is_first and stack is not None:
        stack = tag("details", tag("summary", "stack", class_="muted"), stack)
    return tag(
        "div",
        where,
        tag("pre", source, class_="source", tabindex="0") if source else None,
        stack,
        class_="site first" if is_first else "site",
    )


def _stack(groups: tuple[FrameGroup, ...]) -> Safe | None:
    if sum(len(group.frames) for group in groups) < 2:
        return None
    rows: list[Child] = []
    for group in groups:
        if not group.is_folded:
            rows += [
                tag("li", _frame(frame), class_="own" if group.is_own else None) for frame in group.frames
            ]
            continue
        count = len(group.frames)
        packages = ", ".join(group.packages[:4]) + (", ..." if len(group.packages) > 4 else "")
        words = f"{count} library {'frame' if count == 1 else 'frames'}{f' ({packages})' if packages else ''}"
        inner = (tag("li", _frame(frame), class_="lib") for frame in group.frames)
        rows.append(tag("li", tag("details", tag("summary", words), tag("ul", inner))))
    return tag("ul", rows, class_="stack")


def _frame(frame: FrameView) -> Safe:
    note = " (inlined)" if frame.is_inlined else ""
    return tag(
        "div", tag("code", frame.function), tag("code", f"{frame.path}{note}", class_="at"), class_="frame"
    )


def _timeline(timeline: TimelineView) -> Section | None:
    plots = []
    if timeline.places:
        plots.append(_plot("Alive by birthplace", timeline.places, timeline.duration_s, first_color=1))
    if timeline.whole is not None:
        plots.append(
            _plot("All descriptors of the process", (timeline.whole,), timeline.duration_s, first_color=0)
        )
    return ("timeline", "Over time", tag("div", plots, class_="card")) if plots else None


def _plot(title: str, series: tuple[Series, ...], duration_s: float, *, first_color: int) -> Safe:
    legend = (
        tag(
            "span",
            tag("i"),
            tag("span", one.name, class_="mono"),
            tag("b", f"{one.points[-1][1]:,}"),
            class_=f"c{first_color + number}",
        )
        for number, one in enumerate(series)
    )
    return tag(
        "div",
        tag("h3", title, " ", tag("span", "at the end", class_="muted when")),
        chart(title, series, duration_s, first_color=first_color),
        tag("div", legend, class_="legend"),
        class_="plot",
    )


def _places(view: ReportView) -> Section | None:
    if not view.places:
        return None
    shown = view.places[:MAX_PLACES]
    rows = (_place_row(place, view.timeline.duration_s) for place in shown)
    titles = (
        ("where", ""),
        ("kind", ""),
        ("alive", "num"),
        ("opened", "num"),
        ("closed", "num"),
        ("oldest", "num"),
        ("alive over time", ""),
    )
    head = tag("tr", (tag("th", title, class_=kind or None, scope="col") for title, kind in titles))
    table = tag("table", tag("thead", head), tag("tbody", rows), class_="data")
    left_out = len(view.places) - len(shown)
    more = (
        tag(
            "p", f"{left_out:,} more birthplaces are not shown; the case file has them.", class_="muted tools"
        )
        if left_out
        else None
    )
    return (
        "birthplaces",
        "Birthplaces",
        tag("div", tag("div", table, class_="scroll"), more, class_="card flush"),
    )


def _place_row(place: PlaceView, duration_s: float) -> Safe:
    line = spark(place.series, duration_s) if place.series is not None else None
    peers = (
        tag("div", "to ", tag("span", ", ".join(place.peers), class_="mono"), class_="muted")
        if any(place.peers)
        else None
    )
    stack = _stack(place.groups)
    where = (
        tag("code", place.function),
        " ",
        tag("code", place.place, class_="muted"),
        tag("div", place.how, class_="muted"),
        peers,
        tag("details", tag("summary", "stack", class_="muted"), stack) if stack is not None else None,
    )
    numbers = (f"{place.alive:,}", f"{place.births:,}", f"{place.deaths:,}", place.oldest)
    return tag(
        "tr",
        tag("td", where, class_="wide"),
        tag("td", place.kind),
        (tag("td", number, class_="num") for number in numbers),
        tag("td", line),
        class_="blamed" if place.is_blamed else None,
    )


def _census(census: CensusView) -> Section | None:
    if not census.is_known:
        return None
    kinds = (
        tag(
            "tr",
            tag("td", row.kind),
            tag("td", f"{row.count:,}", class_="num"),
            tag("td", _share(row.share_ratio), class_="bar-cell"),
            tag("td", row.states),
        )
        for row in census.kinds
    )
    titles = (("kind", None), ("count", "num"), ("share", None), ("states of its sockets", None))
    head = tag("tr", (tag("th", title, class_=kind, scope="col") for title, kind in titles))
    table = tag("table", tag("thead", head), tag("tbody", kinds), class_="data")
    room = (*census.room, ("origin", ", ".join(f"{count:,} {origin}" for origin, count in census.origins)))
    facts = (tag("tr", tag("td", label, class_="muted"), tag("td", value)) for label, value in room)
    shared = None
    if census.duplicate_count:
        more = census.duplicate_count - len(census.duplicates)
        several = "file has" if census.duplicate_count == 1 else "files have"
        words = f"{census.duplicate_count:,} open {several} several descriptors"
        items = [tag("li", one, class_="mono") for one in census.duplicates]
        items += [tag("li", f"and {more:,} more", class_="muted")] if more else []
        shared = tag("details", tag("summary", words), tag("ul", items, class_="rows"), class_="tools")
    right = tag("div", tag("table", tag("tbody", facts), class_="data"), shared, class_="card flush")
    left = tag("div", tag("div", table, class_="scroll"), class_="card flush")
    return "descriptors", "Descriptors", tag("div", left, right, class_="two")


def _share(ratio: float) -> Safe:
    bar = tag(
        "svg",
        tag("rect", width=90, height=8, rx=4),
        tag("rect", width=round(max(90 * ratio, 2), 1), height=8, rx=4, class_="fill"),
        viewBox="0 0 90 8",
        class_="share",
        aria_hidden="true",
    )
    return text(bar, " ", tag("span", f"{100 * ratio:.1f} %", class_="muted"))


def _goroutines(view: ReportView) -> Section | None:
    """Return the goroutines by state and stack, largest group first."""
    if not view.goroutines:
        return None
    titles = (
        ("count", "num"),
        ("state", ""),
        ("where", ""),
        ("known wait", "num"),
        ("between the looks", ""),
    )
    head = tag("tr", (tag("th", title, class_=kind or None, scope="col") for title, kind in titles))
    table = tag("table", tag("thead", head), tag("tbody", map(_group_row, view.goroutines)), class_="data")
    return "goroutines", "Goroutines", tag("div", tag("div", table, class_="scroll"), class_="card flush")


def _group_row(group: GroupView) -> Safe:
    stack = _stack(group.groups)
    where = (
        tag("code", group.function or "no stack: it was on a CPU"),
        " ",
        tag("code", group.place, class_="muted"),
        tag("div", "started by ", tag("span", ", ".join(group.creators), class_="mono"), class_="muted")
        if group.creators
        else None,
        tag("details", tag("summary", "stack", class_="muted"), stack) if stack is not None else None,
    )
    return tag(
        "tr",
        tag("td", f"{group.count:,}", class_="num"),
        tag("td", group.state, title=group.meaning or None),
        tag("td", where, class_="wide"),
        tag("td", group.waited, class_="num"),
        tag("td", group.moves),
    )


def _sockets(table: TableView) -> Section | None:
    return _table("sockets", "Sockets", table, "socket", "filter: close_wait 10.0.0.9")


def _connections(table: TableView) -> Section | None:
    return _table("connections", "Connections", table, "connection", "filter: no goroutine main.fetch")


def _table(key: str, title: str, table: TableView, noun: str, example: str) -> Section | None:
    """Return a section with a table that can be sorted and filtered; None when it has no rows."""
    if not table.rows:
        return None
    head = (
        tag(
            "th",
            tag("button", column.title, type="button"),
            class_="num" if column.is_number else None,
            title=column.meaning,
            scope="col",
        )
        for column in table.columns
    )
    rows = (
        tag("tr", (_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)))
        for row in table.rows
    )
    total = len(table.rows) + table.left_out
    left_out = (
        f"; {table.left_out:,} of {total:,} are left out here, the case file has them"
        if table.left_out
        else ""
    )
    words = f"{len(table.rows):,} {noun if len(table.rows) == 1 else noun + 's'}{left_out}"
    field = tag(
        "input",
        type="search",
        placeholder=example,
        aria_label=f"filter {noun}s",
        data_filter=f"{key}-table",
    )
    tools = tag("div", field, tag("span", words, class_="muted", id=f"{key}-table-count"), class_="tools")
    data = tag(
        "table", tag("thead", tag("tr", head)), tag("tbody", rows), class_="data sortable", id=f"{key}-table"
    )
    return key, title, tag("div", tools, tag("div", data, class_="scroll"), class_="card flush")


def _retention(view: ReportView) -> Section | None:
    """Return what keeps connections reachable, most connections first."""
    if not view.retention:
        return None
    rows = (
        tag(
            "li",
            tag("span", f"{one.count:,}", class_="pill"),
            tag("code", one.path),
            tag("div", one.says, class_="muted"),
        )
        for one in view.retention
    )
    return "reachable", "Reachable from", tag("div", tag("ul", rows, class_="rows"), class_="card")


def _cell(cell: Cell, column: Column) -> Safe:
    kind = "num" if column.is_number else "wide mono" if column.is_wide else None
    return tag("td", cell.text, class_=kind, data_order=cell.order)


def _healthy(view: ReportView) -> Section | None:
    if not view.cleared and not view.quiet_count:
        return None
    rows = [
        tag(
            "li", tag("span", one.pattern, class_="pill"), one.subject, tag("div", one.reason, class_="muted")
        )
        for one in view.cleared
    ]
    if view.quiet_count:
        rules = "rule" if view.quiet_count == 1 else "rules"
        rows.append(
            tag("li", f"{view.quiet_count} {rules} looked and found nothing to speak of.", class_="muted")
        )
    return "healthy", "Healthy", tag("div", tag("ul", rows, class_="rows"), class_="card")


def _unjudged(view: ReportView) -> Section | None:
    rows = [
        tag(
            "li",
            tag("span", ", ".join(one.codes), class_="pill warn mono"),
            f"{one.subject}: " if one.subject else "missing: ",
            one.missing,
            tag("div", one.remedy, class_="fix") if one.remedy else None,
        )
        for one in view.not_judged
    ]
    rows += [
        tag(
            "li",
            tag("span", gap.reason, class_="pill warn"),
            gap.what,
            tag("div", gap.detail, class_="muted detail") if gap.detail else None,
            tag("div", gap.remedy, class_="fix") if gap.remedy else None,
        )
        for gap in view.gaps
    ]
    return (
        ("unseen", "Not judged, not seen", tag("div", tag("ul", rows, class_="rows"), class_="card"))
        if rows
        else None
    )


def _footer(view: ReportView) -> Safe:
    cost = tag("p", f"leadline's own cost: {view.cost}") if view.cost else None
    return tag(
        "footer",
        cost,
        tag("p", f"Written by leadline {view.version}. This file loads nothing from any network."),
    )
