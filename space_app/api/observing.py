"""Observes every request: gives it an id, measures it, and tells metrics, log and traces."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from space_app.exchange import Exchange
from space_app.log import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from space_app.core.types import Embeddings
    from space_app.metrics import Metrics
    from space_app.tracing import Tracing

_log = logging.getLogger("space_app")

_SANE = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
_OTHER = "other"
_ASKED_BY_MONITORS = frozenset(("/health", "/livez", "/metrics"))
_LEFT = 499
"""nginx's number: the client went away before its answer began."""

_FAILED = 500


def note_embeddings(request: Request, embeddings: Embeddings) -> None:
    """What was computed for a request."""
    request.state.embeddings = embeddings


def note_error(request: Request, code: str) -> None:
    """The code of the error that a request is answered with."""
    request.state.error_code = code


class Observing:
    """The outermost layer: whatever is answered, it is seen here.

    What inner layers know is in the scope's state: `key_name`, `embeddings`, `error_code`.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, tracing: Tracing | None = None):
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        state: dict[str, Any] = scope.setdefault("state", {})
        request_id = _request_id(scope)
        status = _LEFT

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    *_server_timing(state.get("embeddings")),
                ]
            await send(message)

        self._metrics.begun()
        token = REQUEST_ID.set(request_id)
        try:
            await self._app(scope, receive, watched)
        finally:
            self._tell(scope, _exchange(scope, request_id, status, begun))
            REQUEST_ID.reset(token)

    def _tell(self, scope: Scope, exchange: Exchange) -> None:
        self._metrics.ended(exchange)
        trace_id = "" if self._tracing is None else self._tracing.record(exchange, scope["headers"])
        if _log.isEnabledFor(level := _level(exchange)):
            _log.handle(_record(level, _fields(exchange, trace_id)))


def _exchange(scope: Scope, request_id: str, status: int, begun: float) -> Exchange:
    state, method = scope["state"], scope["method"]
    return Exchange(
        request_id=request_id,
        method=method if method in _METHODS else _OTHER,
        route=getattr(scope.get("route"), "path", _OTHER),
        status=status,
        key=state.get("key_name", ""),
        begun=begun,
        ended=time.perf_counter(),
        error=state.get("error_code", ""),
        embeddings=state.get("embeddings"),
    )


def _request_id(scope: Scope) -> str:
    """The client's, if it may stand in a log; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return str(value, "ascii")
    return secrets.token_hex(16)


def _server_timing(embeddings: Embeddings | None) -> Iterator[tuple[bytes, bytes]]:
    """Where something was embedded: the header that browsers read, in milliseconds."""
    if embeddings is None:
        return
    timing = embeddings.timing
    parts = (timing.tokenise * 1000, timing.queue * 1000, timing.compute * 1000)
    yield b"server-timing", b"tokenise;dur=%.3f, queue;dur=%.3f, compute;dur=%.3f" % parts


def _record(level: int, fields: dict[str, object]) -> logging.LogRecord:
    """As `_log.log` would make it, without the slow search for who called it."""
    extra = {"fields": fields}
    return _log.makeRecord(_log.name, level, __file__, 0, "Request", (), None, extra=extra)


def _level(exchange: Exchange) -> int:
    if exchange.status >= _FAILED:
        return logging.WARNING
    return logging.DEBUG if exchange.route in _ASKED_BY_MONITORS else logging.INFO


def _fields(exchange: Exchange, trace_id: str) -> dict[str, object]:
    """What the line says besides; what there is not is left out."""
    found: dict[str, object] = {
        "method": exchange.method,
        "route": exchange.route,
        "status": exchange.status,
        "duration_ms": round(exchange.seconds * 1000, 3),
        **exchange.work(),
    }
    if exchange.key:
        found["key"] = exchange.key
    if exchange.error:
        found["error"] = exchange.error
    if (embeddings := exchange.embeddings) is not None:
        timing = embeddings.timing
        found["tokenise_ms"] = round(timing.tokenise * 1000, 3)
        found["queue_ms"] = round(timing.queue * 1000, 3)
        found["compute_ms"] = round(timing.compute * 1000, 3)
    if trace_id:
        found["trace_id"] = trace_id
    return found
