"""Serves an embedder over HTTP until a signal: service -> app -> uvicorn."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
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
_SWITCH_SECONDS = 0.0005
_HANG_UP_SECONDS = 2
"""For what doesn't end although its connection has."""

_TURNS_TO_ARRIVE = 3
"""Turns of the event loop in which all is accepted and read that has arrived."""

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
        timeout_graceful_shutdown=int(_DRAIN_SECONDS) + _HANG_UP_SECONDS,
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
    """uvicorn, but a signal first drains: what has arrived is answered, nothing new is let in.

    A second signal, or `drain_seconds`, ends that.
    """

    drain_seconds = _DRAIN_SECONDS

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called when it is to listen; what nobody waits for comes after that."""
        await super().startup(sockets=sockets)
        if self.started:
            self._service.warm_up()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- uvicorn's
        """Called on SIGTERM and SIGINT."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._service.drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn after a signal."""
        for _ in range(_TURNS_TO_ARRIVE):
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        over = loop.call_later(self.drain_seconds, self._give_up)
        await super().shutdown(sockets)
        over.cancel()
        if self.force_exit:
            # uvicorn leaves it out then, and the threads would keep the process alive.
            self._give_up()
            await self.lifespan.shutdown()

    def _give_up(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.give_up()
