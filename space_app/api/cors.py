"""Pages of other origins: what the setting lets them ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

from space_app.api import errors

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.responses import Response
    from starlette.types import ASGIApp

_EXPOSED = (
    "retry-after",
    "server-timing",
    "x-embedding-fingerprint",
    "x-embedding-truncated",
    "x-request-id",
)
_REFUSED = 400
"""By the framework, with words of its own."""


class Cors(CORSMiddleware):
    """Answers browsers' preflights, which carry no key, and lets pages read every answer."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...]):
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            # Those of any client: what they may be is not what a key protects.
            allow_headers=("*",),
            expose_headers=_EXPOSED,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """The framework's answer, in the one shape where it refuses."""
        reply = super().preflight_response(request_headers)
        if reply.status_code != _REFUSED:
            return reply
        return errors.response(
            403,
            "cors_refused",
            "Pages of that origin may not ask this, or not by that method: EMBED_CORS_ORIGINS "
            "says which may.",
            headers={"Vary": "Origin"},
        )
