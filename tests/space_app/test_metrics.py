from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest
from fakes.embedder import STEP_TEXTS, FakeEmbedder, fake_manifest

from space_app import __version__
from space_app.core.errors import Overloaded
from space_app.core.service import Service
from space_app.core.types import EmbedRequest, Role
from space_app.metrics import Metrics


def test_what_is_refused_is_counted() -> None:
    """A 429 is counted, and what waits is seen meanwhile."""
    embedder = FakeEmbedder()
    metrics = Metrics(fake_manifest())
    service = Service(embedder, fake_manifest(), max_inputs=9999, max_wait=0, observer=metrics)
    metrics.watch(lambda: service.state)

    async def crowd() -> dict[str, float]:
        embedder.gate.clear()
        texts = tuple(f"word {n}" for n in range(STEP_TEXTS * 4))
        first = asyncio.create_task(service.embed(EmbedRequest(texts, Role.DOCUMENT)))
        await asyncio.to_thread(embedder.started.acquire, timeout=30)
        while service.state.load.texts < 2 * STEP_TEXTS:  # noqa: ASYNC110 -- threads tell no loop
            await asyncio.sleep(0.001)
        with pytest.raises(Overloaded):
            await service.embed(EmbedRequest(texts, Role.DOCUMENT))
        found = {s.name: s.value for family in metrics.families() for s in family.samples}
        embedder.gate.set()
        await first
        return found

    found = asyncio.run(crowd())
    service.close()
    assert found["embedding_overloaded_requests_total"] == 1
    assert found["embedding_queue_texts"] >= 2 * STEP_TEXTS
    assert found["embedding_queue_tokens"] > 0
    assert found["embedding_queue_expected_seconds"] > 0


def test_the_version_is_the_projects() -> None:
    """What metrics and traces call the server's version is that of the release."""
    project = Path(__file__).parents[2] / "pyproject.toml"

    assert __version__ == tomllib.loads(project.read_text())["project"]["version"]
