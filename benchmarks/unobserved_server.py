"""This project's server without metrics, request ids and a log of requests: what they cost.

PORT=… EMBED_MODEL_DIR=… python benchmarks/unobserved_server.py
"""

from __future__ import annotations

import os

import uvicorn

from space_app import backends
from space_app.api.app import create_app
from space_app.api.connection import Connection
from space_app.api.observing import Observing
from space_app.api.serving import Server
from space_app.core import manifest
from space_app.core.service import Service
from space_app.settings import from_environment


def main() -> None:
    """Serve until told to stop."""
    settings = from_environment(os.environ)
    described = manifest.read(settings.model_dir)
    embedder = backends.load(settings.model_dir, described, threads=settings.threads)
    service = Service(embedder, described, max_inputs=settings.max_inputs)
    app = create_app(service, settings)
    app.user_middleware = [each for each in app.user_middleware if each.cls is not Observing]
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=Connection,
        log_level="warning",
    )
    Server(config, service).run()


if __name__ == "__main__":
    main()
