"""`python -m space_app`: settings -> backend -> self-check -> service -> app -> uvicorn.

The port is taken at once, so that a taken one is known at once, but nobody is let in before the
model has proven itself: until then a Space keeps its old version.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import uvicorn

from space_app import backends, log
from space_app.api.app import create_app
from space_app.core import canaries, manifest
from space_app.core.errors import SettingsError, StartError
from space_app.core.service import Service
from space_app.cpu_features import describe_cpu
from space_app.settings import from_environment

if TYPE_CHECKING:
    from types import FrameType

    from space_app.settings import Settings

_DRAIN_SECONDS = 25.0
_HANG_UP_SECONDS = 3
_log = logging.getLogger("space_app")


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    # By default a container's first process ignores SIGTERM, also while it loads the model.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    log.configure(logging.INFO)
    try:
        settings = from_environment(os.environ)
        log.configure(settings.log_level_number)
        _serve(settings)
    except StartError as error:
        _log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        _log.info("Interrupted")
        return 130
    return 0


def _serve(settings: Settings) -> None:
    with _bound(settings) as listener:
        service = _load(settings)
        host, port = listener.getsockname()[:2]
        keys = ", ".join(key.name for key in settings.api_keys) or "none needed"
        _log.info("Listening on http://%s:%d (API keys: %s)", host, port, keys)
        config = uvicorn.Config(
            create_app(service, settings, cpu=asdict(describe_cpu())),
            loop="uvloop",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_HANG_UP_SECONDS,
        )
        Server(config, service).run(sockets=[listener])
        _log.info("Stopped")


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on HOST {settings.host}, PORT {settings.port}: {error.strerror}."
        ) from error
    return listener


def _load(settings: Settings) -> Service:
    started = time.monotonic()
    described = manifest.read(settings.model_dir)
    _log.info(
        "Loading %s (%s, %s, %d threads)",
        described.model,
        described.backend,
        described.precision,
        settings.threads,
    )
    embedder = backends.load(settings.model_dir, described, threads=settings.threads)
    lowest = canaries.check(embedder, described)
    _log.info(
        "Self-check passed after %.1f s: %d canaries, lowest cosine %.6f",
        time.monotonic() - started,
        len(described.canaries),
        lowest,
    )
    return Service(
        embedder,
        described,
        max_inputs=settings.max_inputs,
        max_wait=settings.max_wait_seconds,
        cache_bytes=settings.cache_bytes,
    )


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


if __name__ == "__main__":
    sys.exit(main())
