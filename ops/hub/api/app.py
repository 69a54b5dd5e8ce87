"""The Hub's routes: each path of the protocol and the handler that answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from ops.hub.api import account, commits, files, refs, repos, spaces
from ops.hub.api.call import endpoint
from ops.hub.errors import HubError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ops.hub.state import HubState

_MODULES = (account, spaces, repos, commits, refs, files)
"""In this order a path finds its handler."""


def create_app(hub: HubState) -> Starlette:
    """The Hub's own origin: API and downloads."""
    return Starlette(
        routes=[
            Route(path, endpoint(hub, handler), methods=methods)
            for module in _MODULES
            for path, methods, handler in module.routes()
        ],
        exception_handlers={HTTPException: _not_implemented},
    )


async def _not_implemented(request: Request, error: Exception) -> Response:
    """What this Hub lacks is said so, rather than looking like a missing repository."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for this class only
    status = 501 if error.status_code == 404 else error.status_code  # noqa: PLR2004
    return HubError(status, f"A local Hub has no {request.method} {request.url.path}").response()
