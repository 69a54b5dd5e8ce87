from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from conftest import Running

FILES = ("docs/swagger-ui.js", "docs/swagger-ui.css")


@pytest.fixture(name="http")
def _http(app: Running) -> httpx2.Client:
    """A browser that has no key."""
    return httpx2.Client(base_url=app.url, trust_env=False)


def test_it_is_open_and_loads_its_own_files_only(http: httpx2.Client) -> None:
    """Without a key, the page names two files of this server, and its policy allows no others."""
    with http:
        reply = http.get("/docs")
        named = re.findall(r'(?:src|href)="([^"]+)"', reply.text)

        assert reply.status_code == 200
        assert "https://" not in reply.text
        assert {name.partition("?")[0] for name in named} == {"data:,", "./", *FILES}
        assert "%" not in reply.text.partition("<style>")[0]
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        for name in named:
            if name.startswith("docs/"):
                assert http.get(f"/{name}").status_code == 200


@pytest.mark.parametrize("name", FILES)
def test_its_files_are_small_and_kept(http: httpx2.Client, name: str) -> None:
    """A browser gets them compressed and for good; who does not know gzip gets the same bytes."""
    with http:
        packed = http.get(f"/{name}", headers={"Accept-Encoding": "br, gzip"})
        plain = http.get(f"/{name}", headers={"Accept-Encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.content == plain.content
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    assert "immutable" in plain.headers["cache-control"]


def test_head(http: httpx2.Client) -> None:
    """HEAD says what GET would, without the page."""
    with http:
        head, get = http.head("/docs"), http.get("/docs")

    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


def test_it_is_not_part_of_what_it_describes(http: httpx2.Client) -> None:
    """/openapi.json lists the server's routes, not the reference's files."""
    with http:
        paths = http.get("/openapi.json").json()["paths"]

    assert not [path for path in paths if path.startswith("/docs")]
