from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.embedder import FailingEmbedder, FakeEmbedder

if TYPE_CHECKING:
    import httpx2
    from conftest import Running, StartApp

PAGE = "https://app.example"


def preflight(app: Running, origin: str, method: str = "POST") -> httpx2.Response:
    """What a browser asks before the request itself; it carries no key."""
    del app.http.headers["X-API-Key"]
    return app.http.options(
        "/v1/embeddings",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
        },
    )


@pytest.mark.parametrize("origins", [("https://other.example", PAGE), ("*",)])
def test_a_page_that_may_ask(start_app: StartApp, origins: tuple[str, ...]) -> None:
    """A browser is let through without a key, with whatever headers its client sends."""
    with start_app(FakeEmbedder(), cors_origins=origins) as app:
        reply = preflight(app, PAGE)

    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] in (PAGE, "*")
    assert "x-stainless-os" in reply.headers["access-control-allow-headers"]


def test_a_page_that_may_not(start_app: StartApp) -> None:
    """It is refused, in the shape of every error; so is a method that no route has."""
    with start_app(FakeEmbedder(), cors_origins=(PAGE,)) as app:
        reply = preflight(app, "https://app.example.evil.example")

    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "cors_refused"
    assert "access-control-allow-origin" not in reply.headers


def test_a_page_reads_answers_and_errors(start_app: StartApp) -> None:
    """Also a 401 and a 500 can be read by it, and the headers that say something."""
    with start_app(FailingEmbedder(), cors_origins=(PAGE,)) as app:
        app.http.headers["Origin"] = PAGE
        failed = app.http.post("/embed", json={"text": "x"})
        refused = app.http.get("/info", headers={"X-API-Key": "wrong"})

    assert (failed.status_code, refused.status_code) == (500, 401)
    for reply in (failed, refused):
        assert reply.headers["access-control-allow-origin"] == PAGE
        exposed = reply.headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "x-embedding-truncated", "retry-after"} < set(exposed)


def test_none_by_default(app: Running) -> None:
    """Without the setting no page of another origin may ask, and is told nothing."""
    assert (
        "access-control-allow-origin" not in app.http.get("/info", headers={"Origin": PAGE}).headers
    )
    assert preflight(app, PAGE).status_code == 405
