"""Errors on the wire: one shape, and the one table from what went wrong to an HTTP status."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from fastapi import Request, Response
from starlette.exceptions import HTTPException

from space_app.api.schemas import ErrorDetail, ErrorReply
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
    errors.TokensNotText: 400,
    errors.InvalidKey: 401,
    errors.PayloadTooLarge: 413,
    errors.InvalidRequest: 422,
    errors.TooManyInputs: 422,
    errors.Overloaded: 429,
    errors.Abandoned: 499,  # nginx's number; nobody is left to read it
    errors.Stopping: 503,
}
_HEADERS: dict[type[errors.RequestError], dict[str, str]] = {
    errors.InvalidKey: {"WWW-Authenticate": "Bearer"},
    errors.Stopping: {"Retry-After": "5"},
}
_ROUTING = {
    404: ("not_found", "There is no such route; GET /openapi.json lists those that there are."),
    405: ("method_not_allowed", "This route does not answer that method."),
}


def install(app: FastAPI) -> None:
    """Give every error of the app the one shape."""
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
    body = ErrorReply(
        error=ErrorDetail(message=message, type=_type(status), param=param, code=code)
    )
    return Response(
        orjson.dumps(body.model_dump()),
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
            _log.error("500 on %s: %s", scope.get("path"), describe(error))
            if not begun:
                reply = response(500, "internal_error", "The server failed; its log says where.")
                await reply(scope, receive, send)


async def _request_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, errors.RequestError)  # noqa: S101 -- registered for these only
    kind = type(error)
    headers = _HEADERS.get(kind)
    if isinstance(error, errors.Overloaded):
        headers = {"Retry-After": str(error.retry_after)}
    return response(_STATUS[kind], kind.code, error.message, param=error.param, headers=headers)


async def _routing_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for these only
    code, message = _ROUTING.get(error.status_code, ("http_error", "The request is refused."))
    return response(error.status_code, code, message, headers=error.headers)
