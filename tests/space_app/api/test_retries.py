"""Clients repeat what was refused only for now."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import openai
from clients.recorder import Recorder
from fakes.asgi_server import serving

if TYPE_CHECKING:
    from conftest import StartApp
    from fakes.embedder import FakeEmbedder


def test_a_busy_server(start_app: StartApp, embedder: FakeEmbedder) -> None:
    """OpenAI's client takes a 429 for what it is: it comes again by itself, and is answered."""
    bulk = [f"text {n}" for n in range(60)]
    late = [f"late {text}" for text in bulk]
    embedder.gate.clear()
    with (
        start_app(embedder, keys=(), max_wait_seconds=0) as app,
        serving((recorder := Recorder(app.url)).app()) as url,
        openai.OpenAI(
            base_url=f"{url}/v1",
            api_key="none",
            http_client=openai.DefaultHttpxClient(trust_env=False),
        ) as client,
        ThreadPoolExecutor() as threads,
    ):
        first = threads.submit(app.http.post, "/v1/embeddings", json={"input": bulk})
        assert embedder.started.acquire(timeout=30)
        answer = threads.submit(client.embeddings.create, model="any", input=late)
        deadline = time.monotonic() + 30
        while not recorder.sent and time.monotonic() < deadline:
            time.sleep(0.01)
        embedder.gate.set()
        assert first.result().status_code == 200

        assert len(answer.result(timeout=60).data) == len(late)
    assert [one.status for one in recorder.sent] == [429, 200]
