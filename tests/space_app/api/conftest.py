"""The app over a fake embedder, served for real on loopback."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
import pytest
from fakes.asgi_server import serving
from fakes.embedder import FakeEmbedder, fake_manifest

from space_app.api.app import create_app
from space_app.core.service import Service
from space_app.metrics import Metrics
from space_app.settings import ApiKey, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from space_app.core.types import Embedder
    from space_app.tracing import Tracing

    StartApp = Callable[..., AbstractContextManager["Running"]]

KEY = "the-key-of-the-tests"


@dataclass(frozen=True)
class Running:
    """A served app, and a client of it that carries the key."""

    url: str
    http: httpx2.Client
    service: Service


@pytest.fixture(name="start_app")
def _start_app(tmp_path: Path) -> StartApp:
    """Start an app over any embedder; keys and limits are the test's."""

    @contextmanager
    def start(
        embedder: Embedder,
        *,
        keys: tuple[str, ...] = (KEY,),
        tracing: Tracing | None = None,
        **limits: int,
    ) -> Iterator[Running]:
        settings = Settings(
            model_dir=tmp_path,
            api_keys=tuple(ApiKey(f"key {n}", key) for n, key in enumerate(keys)),
            **{"max_payload_mb": 1, "max_inputs": 64, **limits},
        )
        metrics = Metrics(fake_manifest())
        service = Service(
            embedder,
            fake_manifest(),
            max_inputs=settings.max_inputs,
            max_wait=settings.max_wait_seconds,
            observer=metrics,
        )
        with (
            serving(create_app(service, settings, metrics=metrics, tracing=tracing)) as url,
            httpx2.Client(
                base_url=url, headers={"X-API-Key": KEY}, trust_env=False, timeout=30
            ) as http,
        ):
            yield Running(url, http, service)

    return start


@pytest.fixture(name="embedder")
def _embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture(name="app")
def _app(start_app: StartApp, embedder: FakeEmbedder) -> Iterator[Running]:
    """An app whose key is KEY."""
    with start_app(embedder) as running:
        yield running
        embedder.gate.set()
