"""Errors on the wire: a shape for each family, and the one table from what went wrong to a status.

OpenAI's shape is the usual one; TEI's is for requests with `inputs`.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from space_app.api.observing import note_error
from space_app.core import errors
from space_app.log import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("space_app")

_STATUS: dict[type[errors.RequestError], int] = {
    errors.MalformedBody: 400,
    errors.EmptyInput: 400,
    errors.InputTooLong: 422,
    errors.TokensNotText: 400,
    errors.InvalidKey: 401,
    errors.TooSlow: 408,
    errors.PayloadTooLarge: 413,
    errors.NotJson: 415,
    errors.InvalidRequest: 422,
    errors.TooManyInputs: 422,
    errors.Overloaded: 429,
    errors.InvalidVector: 500,
    errors.Abandoned: 499,  # nginx's number; nobody is left to read it
    errors.Stopping: 503,
}
_HEADERS: dict[type[errors.RequestError], dict[str, str]] = {
    errors.InvalidKey: {"WWW-Authenticate": "Bearer"},
    errors.TooSlow: {"Connection": "close"},
    errors.Stopping: {"Retry-After": "5"},
}
_ROUTING = {
    404: ("not_found", "There is no such route; GET /openapi.json lists those that there are."),
    405: ("method_not_allowed", "This route does not answer that method."),
}
_TEI_PATHS = frozenset(("/tokenize", "/similarity"))
_TEI_TYPES = {429: "Overloaded", 499: "Overloaded", 500: "Backend", 503: "Unhealthy"}
"""By status; nothing to embed is "Empty", anything else "Validation"."""


def install(app: FastAPI) -> None:
    """Give every error of the app its family's shape."""
    app.add_exception_handler(errors.RequestError, _request_error)
    app.add_exception_handler(HTTPException, _routing_error)
    app.add_middleware(LastResort)


def response(
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as OpenAI's clients parse it."""
    detail = {"message": message, "type": _type(status), "param": param, "code": code}
    return _json({"error": detail}, status, headers)


def answer_as_tei(request: Request) -> None:
    """Have whatever goes wrong with a request from here on told in TEI's shape."""
    request.state.as_tei = True


def _response(
    scope: Scope,
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error in the shape of the request's family."""
    if not _is_tei(scope):
        return response(status, code, message, param=param, headers=headers)
    empty = code == errors.EmptyInput.code
    kind = "Empty" if empty else _TEI_TYPES.get(status, "Validation")
    return _json({"error": message, "error_type": kind}, status, headers)


def _is_tei(scope: Scope) -> bool:
    path = scope.get("path")
    if path in _TEI_PATHS or (path == "/" and scope.get("method") == "POST"):
        return True
    return scope.get("state", {}).get("as_tei", False) is True


def _json(content: object, status: int, headers: Mapping[str, str] | None) -> Response:
    return Response(
        orjson.dumps(content),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def _type(status: int) -> str:
    """OpenAI's name for a kind of error."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return "invalid_request_error"


class LastResort:
    """Answers 500 where nothing else caught an exception, and logs one line without its text.

    The framework's own handler would let it on to the server, which logs all of it.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 -- the one place that no error gets past
            # Not the path, which may say anything: the line of the request names its route.
            _log.error("The server failed: %s", describe(error))
            if not begun:
                reply = _failure(scope, error)
                await reply(scope, receive, send)


def _failure(scope: Scope, error: Exception) -> Response:
    if isinstance(error, MemoryError):
        message = "The server is short of memory: send less at a time, or try again in a moment."
        return _response(scope, 503, "out_of_memory", message, headers={"Retry-After": "5"})
    return _response(scope, 500, "internal_error", "The server failed; its log says where.")


async def _request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.RequestError)  # noqa: S101 -- registered for these only
    kind = type(error)
    note_error(request, kind.code)
    headers = _HEADERS.get(kind)
    if isinstance(error, errors.Overloaded):
        headers = {"Retry-After": str(error.retry_after)}
    return _response(
        request.scope,
        _STATUS[kind],
        kind.code,
        error.message,
        param=error.param,
        headers=headers,
    )


async def _routing_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for these only
    code, message = _ROUTING.get(error.status_code, ("http_error", "The request is refused."))
    note_error(request, code)
    headers = dict(error.headers or {})
    if allowed := _methods_of(request.app, request.scope["path"]):
        headers["Allow"] = ", ".join(allowed)
    return _response(request.scope, error.status_code, code, message, headers=headers)


def _methods_of(app: FastAPI, path: str) -> list[str]:
    """What a path answers: the framework names those of its first route alone."""
    routes = [route for route in app.routes if isinstance(route, Route) and route.path == path]
    return sorted({method for route in routes for method in route.methods or ()})
