"""A server that has more to do than it can: whose turn it is, and who is sent away."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2
    from conftest import Running, StartApp
    from fakes.embedder import FakeEmbedder

MANY, FEW = "key-of-many", "key-of-few"


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that another thread brings about."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ask(app: Running, key: str, *texts: str) -> httpx2.Response:
    """Send texts with a key."""
    return app.http.post("/v1/embeddings", json={"input": texts}, headers={"X-API-Key": key})


def test_one_keys_crowd_does_not_delay_anothers_query(
    start_app: StartApp, embedder: FakeEmbedder
) -> None:
    """Behind 40 requests of eight texts a single query of another key is in one of two steps."""
    embedder.gate.clear()
    with start_app(embedder, keys=(MANY, FEW)) as app, ThreadPoolExecutor(50) as threads:
        crowd = [
            threads.submit(ask, app, MANY, *(f"crowd {number} {text}" for text in range(8)))
            for number in range(40)
        ]
        assert embedder.started.acquire(timeout=30)
        until(lambda: app.service.state.load.texts + len(embedder.steps[0]) == 40 * 8)
        before = app.service.state.load.texts
        query = threads.submit(ask, app, FEW, "single")
        until(lambda: app.service.state.load.texts > before)
        embedder.gate.set()
        replies = [query.result(), *(each.result() for each in crowd)]

    assert {reply.status_code for reply in replies} == {200}
    after = next(number for number, step in enumerate(embedder.steps) if "single" in step)
    assert 1 <= after <= 2
    assert len(embedder.steps) > 20


def test_one_keys_crowd_does_not_lock_another_out(
    start_app: StartApp, embedder: FakeEmbedder
) -> None:
    """When a key has filled its part of the queue it is refused, and another one is let in."""
    embedder.gate.clear()
    with (
        start_app(embedder, keys=(MANY, FEW), max_wait_seconds=1) as app,
        ThreadPoolExecutor(80) as threads,
    ):
        first = threads.submit(ask, app, MANY, "first")
        assert embedder.started.acquire(timeout=30)
        crowd = [
            threads.submit(ask, app, MANY, *(f"a b c d {number} {text}" for text in range(8)))
            for number in range(60)
        ]
        until(
            lambda: app.service.state.load.texts + 8 * sum(each.done() for each in crowd) == 8 * 60
        )
        waiting = app.service.state.load.texts
        query = threads.submit(ask, app, FEW, "single")
        until(lambda: app.service.state.load.texts > waiting)
        embedder.gate.set()
        answered = query.result()
        statuses = [each.result().status_code for each in (first, *crowd)]

    assert answered.status_code == 200
    assert statuses.count(200) == 1 + waiting // 8
    assert 5 < statuses.count(429) < 55
