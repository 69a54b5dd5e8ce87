from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from fakes.asgi_server import serving
from fakes.embedding_server import APP_KEY, embedding_app, embedding_server
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.bench import Benched, Plan, bench
from ops.cli import cli
from ops.errors import Unhealthy
from ops.probe import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

BRIEF = Plan(seconds=0.5, clients=3, bulk=4)


class Other:
    """Somebody else's server: without /v1, without a count of tokens, busy now and then."""

    def __init__(self, refuse_every: int = 0):
        self.received: list[str | list[str]] = []
        self.at_once = self.most_at_once = 0
        self._refuse_every = refuse_every
        self._asked = 0
        self.app = Starlette(routes=[Route("/embeddings", self.embeddings, methods=["POST"])])

    async def embeddings(self, request: Request) -> JSONResponse:
        """One number for each text."""
        self._asked += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self._refuse_every and self._asked % self._refuse_every == 0:
            return JSONResponse({}, status_code=429, headers={"Retry-After": "0"})
        texts = (await request.json())["input"]
        self.received.append(texts)
        count = 1 if isinstance(texts, str) else len(texts)
        return JSONResponse({"data": [{"embedding": [1.0]}] * count})


@contextmanager
def other(**options: int) -> Iterator[tuple[Other, str]]:
    """It, and its URL."""
    server = Other(**options)
    with serving(server.app) as url:
        yield server, url


def measured(url: str, plan: Plan = BRIEF) -> Benched:
    """A brief bench, with the key of the fake server."""
    return bench(url, Access(app_key=APP_KEY), plan, print)


def test_every_load_is_measured() -> None:
    """Latencies ascend, rates fit to the number of requests, tokens are those of the server."""
    with serving(embedding_app()) as url:
        found = measured(url)

    assert found.beside is not None
    assert found.bulk is not None
    for latency in (found.idle, found.mixed.latency, found.beside, found.bulk.latency):
        assert 0 < latency.p50_ms <= latency.p95_ms <= latency.p99_ms
    assert found.mixed.requests_per_second == found.mixed.latency.requests / BRIEF.seconds
    assert found.mixed.tokens_per_second is not None
    assert found.mixed.tokens_per_second > 10 * found.mixed.texts_per_second
    assert found.bulk.texts_per_second == pytest.approx(4 * found.bulk.requests_per_second)


def test_any_server_of_openais_requests_can_be_measured() -> None:
    """Its route may lack the version, and where it counts no tokens none are made up."""
    with other() as (server, url):
        found = measured(url)

    assert found.mixed.tokens_per_second is None
    assert found.mixed.latency.requests > 0
    queries = [text for text in server.received if isinstance(text, str)]
    assert len(set(queries)) > 0.9 * len(queries)
    assert {len(text) for text in server.received if isinstance(text, list)} == {4}


def test_clients_ask_at_the_same_time() -> None:
    """As many as there are to be, and never more."""
    with other() as (server, url):
        measured(url, Plan(seconds=1, clients=5, bulk=0))

    assert server.most_at_once == 5


def test_refusals_are_counted_and_waited_for() -> None:
    """A reply of 429 is no answer: the request is sent again, and it is said how often."""
    with other(refuse_every=3) as (server, url):
        found = measured(url)

    assert found.mixed.refused > 0
    assert found.bulk is not None
    answered = found.idle.requests + found.mixed.latency.requests + found.bulk.latency.requests
    assert answered <= len(server.received)


@pytest.mark.parametrize(
    "few", [b"welcome", b"[]", b'{"data": []}', b'{"data": [{"embedding": []}]}']
)
def test_what_answers_without_embeddings_is_not_measured(few: bytes) -> None:
    """A status of 200 is not enough."""

    async def answer(_: Request) -> Response:
        return Response(few, media_type="application/json")

    app = Starlette(routes=[Route("/v1/embeddings", answer, methods=["POST"])])
    with serving(app) as url, pytest.raises(Unhealthy, match="does not answer with an embedding"):
        measured(url)


def test_the_bulk_can_be_left_out() -> None:
    """Then nothing is said of it, and no list is sent."""
    with other() as (server, url):
        found = measured(url, Plan(seconds=0.2, clients=1, bulk=0))

    assert found.bulk is None
    assert found.beside is None
    assert all(isinstance(text, str) for text in server.received)


def test_a_server_of_something_else() -> None:
    """What has no such route is said to be no server of embeddings, with exit code 6."""
    with serving(Starlette()) as url, pytest.raises(Unhealthy, match="neither") as caught:
        measured(url)
    assert caught.value.exit_code == 6


def test_too_much_in_one_request() -> None:
    """A server that takes fewer texts than the bulk has is not measured wrongly, but named."""
    with serving(embedding_app()) as url, pytest.raises(Unhealthy, match="status 4") as caught:
        measured(url, Plan(seconds=0.1, clients=1, bulk=500))
    assert "--bulk" in (caught.value.next_step or "")


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens a server by its key, and prints a table or JSON."""
    monkeypatch.setenv("EMBED_API_KEY", APP_KEY)
    with embedding_server() as server:
        brief = ["bench", "--url", server.url, "--seconds", "0.1", "--clients", "2", "--bulk", "2"]
        shown = CliRunner().invoke(cli, brief)
        data = CliRunner().invoke(cli, ["--json", *brief])

    assert shown.exit_code == 0, shown.output
    assert "tokens/s" in shown.stdout
    assert json.loads(data.stdout)["mixed"]["latency"]["p50_ms"] > 0
    assert APP_KEY not in shown.output
