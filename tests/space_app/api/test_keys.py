from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.embedder import FakeEmbedder

if TYPE_CHECKING:
    from conftest import Running, StartApp

KEY = "the-key-of-the-tests"
KEYED = [
    ("POST", "/embed"),
    ("POST", "/embeddings"),
    ("POST", "/v1/embeddings"),
    ("GET", "/info"),
    ("GET", "/metrics"),
    ("GET", "/models"),
    ("GET", "/v1/models"),
]


def status(app: Running, headers: dict[str, str]) -> int:
    """What a request with these headers, and no others, is answered."""
    del app.http.headers["X-API-Key"]
    return app.http.get("/info", headers=headers).status_code


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"Authorization": f"bearer  {KEY}"}, 200),
        ({"X-API-Key": KEY}, 200),
        ({"X-API-Key": KEY, "Authorization": "Bearer hf_token_of_the_proxy"}, 200),
        ({"X-API-Key": "wrong", "Authorization": f"Bearer {KEY}"}, 401),
        ({"X-API-Key": "", "Authorization": f"Bearer {KEY}"}, 401),
        ({"X-API-Key": KEY[:-1]}, 401),
        ({"X-API-Key": KEY + "x"}, 401),
        ({"Authorization": KEY}, 200),
        ({"Authorization": KEY[:-1]}, 401),
        ({"Authorization": f"Bearer {KEY[:-1]}"}, 401),
        ({"Authorization": f"Bearer Bearer {KEY}"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({}, 401),
    ],
)
def test_headers(app: Running, headers: dict[str, str], expected: int) -> None:
    """The key is in Authorization or in X-API-Key, and the latter decides where it is there."""
    assert status(app, headers) == expected


def test_a_key_that_is_no_ascii(app: Running) -> None:
    """Any bytes may be sent as a key; they are wrong, not a failure."""
    del app.http.headers["X-API-Key"]
    reply = app.http.get("/info", headers=[(b"X-API-Key", b"\xe4\xff")])

    assert reply.status_code == 401


def test_each_of_several_keys_opens(start_app: StartApp) -> None:
    """The first and the last key are as good."""
    with start_app(FakeEmbedder(), keys=("one", "two")) as app:
        answers = [app.http.get("/info", headers={"X-API-Key": k}) for k in ("one", "two", KEY)]

    assert [answer.status_code for answer in answers] == [200, 200, 401]


@pytest.mark.parametrize(("method", "path"), KEYED)
def test_routes_that_need_a_key(app: Running, method: str, path: str) -> None:
    """Without a key nothing is computed or told, and the answer says which header is wanted."""
    del app.http.headers["X-API-Key"]
    reply = app.http.request(method, path, content=b"not even read")

    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.json()["error"]["code"] == "invalid_api_key"
    assert "X-API-Key" in reply.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/", "/similarity", "/tokenize"])
def test_teis_routes_need_a_key(app: Running, path: str) -> None:
    """They say so in TEI's shape."""
    del app.http.headers["X-API-Key"]
    reply = app.http.post(path, content=b"not even read")

    assert reply.status_code == 401
    assert set(reply.json()) == {"error", "error_type"}


@pytest.mark.parametrize("path", ["//info", "/info/", "/info//"])
def test_a_path_in_disguise_needs_the_key(app: Running, path: str) -> None:
    """Slashes too many lead to the same route, and not around its key."""
    assert app.http.get(f"{app.url}{path}").status_code == 200
    del app.http.headers["X-API-Key"]
    assert app.http.get(f"{app.url}{path}").status_code == 401


@pytest.mark.parametrize("path", ["/", "/health", "/livez"])
def test_routes_that_need_none(app: Running, path: str) -> None:
    """Monitors and browsers have no key."""
    del app.http.headers["X-API-Key"]

    assert app.http.get(path).status_code == 200


def test_without_keys_everything_is_open(start_app: StartApp) -> None:
    """Where no keys are set none is asked for, and /info says so."""
    with start_app(FakeEmbedder(), keys=()) as app:
        del app.http.headers["X-API-Key"]
        assert app.http.post("/embed", json={"text": "x"}).status_code == 200
        assert app.http.get("/info").json()["api_key_required"] is False
