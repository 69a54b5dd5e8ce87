"""Serves an ASGI app with the real uvicorn on a free loopback port, in a thread."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from ops.hub.server import PromptServer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from starlette.types import ASGIApp


@contextmanager
def serving(
    app: ASGIApp, *, http: type[asyncio.Protocol] | None = None, date_header: bool = True
) -> Iterator[str]:
    """The server's origin; it is down again afterwards. `http` is what speaks the protocol."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=http or "auto",
        log_config=None,
        access_log=False,
        date_header=date_header,
        timeout_graceful_shutdown=5,
    )
    server = PromptServer(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.end()
        thread.join(timeout=20)
        listener.close()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server ended while it started")
        time.sleep(0.01)
