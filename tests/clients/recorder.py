"""Stands between a client and the server, and keeps the shape of what the client sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_HOP = {"connection", "content-length", "date", "host", "server", "transfer-encoding"}
"""Headers that belong to one connection."""
_TOKEN_HEADERS = ("authorization", "x-api-key", "x-hf-authorization")


@dataclass(frozen=True)
class Sent:
    """One request, without its texts and its tokens."""

    method: str
    path: str
    fields: dict[str, str]
    token_headers: tuple[str, ...]
    status: int
    """Of the server's reply."""


class Recorder:
    """An ASGI app that passes everything on to one server."""

    def __init__(self, server: str):
        self._server = server
        self.url = ""
        """Where it is reached, once it is served."""
        self.sent: list[Sent] = []
        """What was answered, in the order of the answers."""

    def app(self) -> Starlette:
        """What is served to the client."""
        methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
        return Starlette(routes=[Route("/{path:path}", self._pass_on, methods=methods)])

    async def _pass_on(self, request: Request) -> Response:
        body = await request.body()
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            reply = await http.request(
                request.method,
                f"{self._server}{request.url.path}",
                headers=[item for item in request.headers.items() if item[0] not in _HOP],
                content=body,
            )
        self.sent.append(_shape(request, body, reply.status_code))
        headers = {name: value for name, value in reply.headers.items() if name not in _HOP}
        return Response(reply.content, reply.status_code, headers)


def fields(body: Mapping[str, object]) -> dict[str, str]:
    """What stands in each field, in words that are the same for every text."""
    return {name: _kind(name, value) for name, value in body.items()}


def _shape(request: Request, body: bytes, status: int) -> Sent:
    return Sent(
        request.method,
        request.url.path,
        fields(json.loads(body) if body else {}),
        tuple(name for name in _TOKEN_HEADERS if name in request.headers),
        status,
    )


def _kind(name: str, value: object) -> str:
    match value:
        case str() if name in {"input", "inputs"}:
            return "a text"
        case str() if name == "model":
            return "the name"
        case [str(), *_]:
            return "texts"
        case [[int(), *_], *_]:
            return "lists of token numbers"
        case _:
            return f"`{json.dumps(value)}`"
