"""create_app: the ASGI app over a service that is ready to work."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from space_app.api import errors
from space_app.api.routes import Routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from space_app.core.service import Service
    from space_app.settings import Settings


def create_app(
    service: Service, settings: Settings, *, cpu: Mapping[str, object] | None = None
) -> FastAPI:
    """The app; it closes the service when it ends. `cpu` is what /info says of the processor."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title=f"Embeddings of {service.manifest.model}",
        # Their pages load scripts from a CDN.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    errors.install(app)
    app.include_router(Routes(service, settings, cpu or {}).router())
    return app
