"""create_app: the ASGI app over a service that is ready to work."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from space_app.api import budget, description, docs, errors
from space_app.api.cors import Cors
from space_app.api.observing import Observing
from space_app.api.paths import OneSlash
from space_app.api.routes import Routes
from space_app.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from fastapi.telemetry import TelemetryConfig

    from space_app.core.service import Service
    from space_app.settings import Settings
    from space_app.tracing import Tracing

_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
"""The framework's own would tell of query strings and of what exceptions say; see `observing`."""


def create_app(
    service: Service,
    settings: Settings,
    *,
    cpu: Mapping[str, object] | None = None,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The app; it closes the service and the tracing when it ends.

    Args:
        service: what computes.
        settings: keys and limits.
        cpu: what /info says of the processor.
        metrics: what /metrics tells: the service's observer, or its work is not counted.
        tracing: where traces go; None is nowhere.
    """
    metrics = metrics or Metrics(service.manifest)
    metrics.watch(lambda: service.state)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()
        if tracing is not None:
            await run_in_threadpool(tracing.close)

    app = FastAPI(
        title=f"Embeddings of {service.manifest.model}",
        # Their pages load scripts from a CDN; `docs` does not.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY,
    )
    errors.install(app)
    description.describe(
        app,
        service.manifest,
        max_inputs=settings.max_inputs,
        keyed=bool(settings.api_keys),
        cl100k=settings.cl100k_file is not None,
    )
    Routes(service, settings, cpu or {}, metrics).add_to(app)
    memory = _budget(settings, service.manifest.dimensions)
    metrics.watch_memory(lambda: memory.held)
    # The last one added is the outermost: whatever another one answers is seen too.
    app.add_middleware(budget.Leasing, budget=memory)
    app.add_middleware(OneSlash)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)
    app.add_middleware(Observing, metrics=metrics, tracing=tracing)
    app.include_router(docs.router())
    return app


def _budget(settings: Settings, dimensions: int) -> budget.Budget:
    largest = settings.max_payload_bytes + settings.max_inputs * dimensions * 4
    return budget.Budget(max(budget.LEAST, 4 * largest), keys=len(settings.api_keys))
