"""Serves an embedder over HTTP until a signal: service -> app -> uvicorn."""

from __future__ import annotations

import gc
import logging
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import uvicorn

from space_app.api.app import create_app
from space_app.api.connection import Connection
from space_app.core.service import Service
from space_app.cpu_features import describe_cpu
from space_app.metrics import Metrics

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from space_app.core.manifest import Manifest
    from space_app.core.types import Embedder
    from space_app.settings import Settings
    from space_app.tracing import Tracing

_DRAIN_SECONDS = 25.0
_HANG_UP_SECONDS = 3
_SWITCH_SECONDS = 0.0005
_log = logging.getLogger("space_app")


def run(
    listener: socket.socket, embedder: Embedder, described: Manifest, settings: Settings
) -> None:
    """Answer on the listener; returns when a signal has ended it."""
    metrics = Metrics(described)
    service = Service(
        embedder,
        described,
        max_inputs=settings.max_inputs,
        max_wait=settings.max_wait_seconds,
        cache_bytes=settings.cache_bytes,
        observer=metrics,
    )
    app = create_app(
        service,
        settings,
        cpu=asdict(describe_cpu()),
        metrics=metrics,
        tracing=_tracing(described, settings.tracing) if settings.tracing else None,
    )
    host, port = listener.getsockname()[:2]
    keys = ", ".join(key.name for key in settings.api_keys) or "none needed"
    _log.info("Listening on http://%s:%d (API keys: %s)", host, port, keys)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_HANG_UP_SECONDS,
    )
    # What is here now stays: the collector need not walk through it again and again.
    gc.freeze()
    # Whoever waits while another thread is in Python waits so long each time, instead of 5 ms.
    sys.setswitchinterval(_SWITCH_SECONDS)
    Server(config, service).run(sockets=[listener])


def _tracing(described: Manifest, protocol: str) -> Tracing | None:
    from space_app import tracing  # noqa: PLC0415 -- the SDK is slow to load, and rarely asked for

    return tracing.start(described, protocol)


class Server(uvicorn.Server):
    """uvicorn, but a signal first drains: what was admitted is answered, /health says 503.

    A second signal, or `_DRAIN_SECONDS`, ends that.
    """

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self._service = service
        self._drained_by = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called when it is to listen; what nobody waits for comes after that."""
        await super().startup(sockets=sockets)
        if self.started:
            self._service.warm_up()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called on SIGTERM and SIGINT."""
        if self._service.stopping:
            super().handle_exit(sig, frame)
        self._service.stop()
        self._drained_by = time.monotonic() + _DRAIN_SECONDS

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True ends the server."""
        over = self._service.idle or time.monotonic() > self._drained_by
        return await super().on_tick(counter) or (self._service.stopping and over)
