"""The Hub's routes: each path of the protocol and the handler that answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from ops.hub.api import account, commits, files, git, lfs, local, pages, refs, repos, spaces, xet
from ops.hub.api.call import endpoint
from ops.hub.api.route import QuotingRoute
from ops.hub.errors import HubError
from ops.hub.faulty import Faulty
from ops.hub.rate_limit import RateLimited

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from ops.hub.state import HubState

_MODULES = (local, pages, account, spaces, repos, commits, refs, files, git, lfs, xet)
"""In this order a path finds its handler."""


def create_app(hub: HubState) -> ASGIApp:
    """The Hub's own origin: API and downloads."""
    app = Starlette(
        routes=[
            QuotingRoute(path, endpoint(hub, handler), methods=methods)
            for module in _MODULES
            for path, methods, handler in module.routes()
        ],
        exception_handlers={HTTPException: _not_implemented},
    )
    return Faulty(RateLimited(app, hub), hub)


async def _not_implemented(request: Request, error: Exception) -> Response:
    """What this Hub lacks is said so, rather than looking like a missing repository."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for this class only
    status = 501 if error.status_code == 404 else error.status_code  # noqa: PLR2004
    return HubError(status, f"A local Hub has no {request.method} {request.url.path}").response()
