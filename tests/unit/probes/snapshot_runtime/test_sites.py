"""Which frame a reader is shown."""

from __future__ import annotations

import pytest

from leadline.model import SiteFrame
from leadline.probes.snapshot_runtime.sites import handler_of, site_of


def stack(*functions: str) -> list[SiteFrame]:
    """Return frames, leaf first; what begins with main is the program, what has a domain is a module, the rest is Go's."""
    roles = [
        "app"
        if name.startswith("main.")
        else "module"
        if "." in name.split("/")[0] and "/" in name
        else "std"
        for name in functions
    ]
    return [SiteFrame(function=name, role=role) for name, role in zip(functions, roles, strict=True)]


MUX = ("net/http.HandlerFunc.ServeHTTP", "net/http.(*ServeMux).ServeHTTP")
SERVER = ("net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve")


def test_the_site_is_the_programs_nearest_frame() -> None:
    frames = stack("net.(*conn).Read", "github.com/a/b.Get", "main.fetch", "main.main")
    site = site_of(frames)
    assert site is not None
    assert site.function == "main.fetch"


def test_a_module_speaks_where_the_program_has_no_frame() -> None:
    site = site_of(stack("net.(*conn).Read", "github.com/a/b.poll"))
    assert site is not None
    assert site.function == "github.com/a/b.poll"
    assert site_of(stack("net.(*conn).Read")) is None
    assert site_of([]) is None


@pytest.mark.parametrize(
    ("frames", "handler"),
    [
        (("main.query", "main.users", *MUX, *SERVER), "main.users"),
        (("database/sql.(*DB).Query", "main.users", *MUX, *SERVER), "main.users"),
        (("main.users", *MUX[:1], "main.logged.func1", *MUX, *SERVER), "main.users"),  # middleware is passed over
        (("main.(*api).ServeHTTP", *SERVER), "main.(*api).ServeHTTP"),
        (("main.own", "main.route", "main.(*router).ServeHTTP", *SERVER), "main.(*router).ServeHTTP"),
        (
            (
                "main.users", "github.com/gin-gonic/gin.(*Context).Next", "main.logged",
                "github.com/gin-gonic/gin.(*Context).Next", "github.com/gin-gonic/gin.(*Engine).ServeHTTP", *SERVER,
            ),
            "main.users",
        ),
        (("main.fast", "github.com/valyala/fasthttp.(*Server).serveConn"), "main.fast"),
        (("github.com/prometheus/promhttp.HandlerFor.func1", *MUX, *SERVER), "github.com/prometheus/promhttp.HandlerFor.func1"),
        (("net/http.(*conn).readRequest", "net/http.(*conn).serve"), None),
        (("main.users", *MUX[:1], "golang.org/x/net/http2.(*serverConn).runHandler"), "main.users"),
        (("main.worker", "main.main"), None),
        (SERVER, None),
    ],
)  # fmt: skip
def test_the_handler_is_what_the_router_calls(frames: tuple[str, ...], handler: str | None) -> None:
    found = handler_of(stack(*frames))
    assert (None if found is None else found.function) == handler
