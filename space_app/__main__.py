"""`python -m space_app`: settings -> backend -> self-check -> serving.

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
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from space_app import backends, log
from space_app.core import canaries, manifest
from space_app.core.errors import SettingsError, StartError
from space_app.log_writer import LogWriter
from space_app.settings import from_environment

if TYPE_CHECKING:
    from space_app.core.manifest import Manifest
    from space_app.core.types import Embedder
    from space_app.settings import Settings

_log = logging.getLogger("space_app")


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    # By default a container's first process ignores SIGTERM, also while it loads the model.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    writer = LogWriter(sys.stderr)
    log.configure(logging.INFO, handler=writer)
    try:
        settings = from_environment(os.environ)
        log.configure(settings.log_level_number, settings.log_format, handler=writer)
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
        described = manifest.read(settings.model_dir)
        # The engine reads and compiles beside Python, which meanwhile imports what is needed next.
        with ThreadPoolExecutor(1, thread_name_prefix="load") as other:
            loading = other.submit(_load, settings, described)
            backends.require(described)
            from space_app.api import serving  # noqa: PLC0415 -- a fifth of a second to import

            embedder = loading.result()
        serving.run(listener, embedder, described, settings)
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


def _load(settings: Settings, described: Manifest) -> Embedder:
    started = time.monotonic()
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
    return embedder


if __name__ == "__main__":
    sys.exit(main())
