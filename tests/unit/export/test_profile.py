from __future__ import annotations

import gzip

from leadline.export.profile import Profile
from leadline.model import SiteFrame

FRAMES = (
    SiteFrame(function="main.inner", file="/a.go", line=3, inlined=True),
    SiteFrame(function="main.outer", file="/a.go", line=9),
)


def encoded(*values: int) -> bytes:
    profile = Profile((("goroutine", "count"), ("waited", "nanoseconds")))
    for value in values:
        profile.add(FRAMES, (value, 0), (("state", "select\x1b[2J"),))
    return profile.encode(exe="/bin/api", build_id="ab12", comment="a comment", begin_unix_ns=7)


def test_equal_input_gives_equal_bytes() -> None:
    assert encoded(1, 2) == encoded(1, 2)
    assert encoded(1, 2) != encoded(1, 3)


def test_strings_are_stored_once_and_made_harmless() -> None:
    body = gzip.decompress(encoded(1, 2, 3))
    assert body.count(b"main.inner") == body.count(b"a comment") == body.count(b"/bin/api") == 1
    assert b"\x1b" not in body
    assert b"select\\x1b[2J" in body
