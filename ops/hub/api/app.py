"""The Hub's routes: each path of the protocol and the handler that answers it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from ops.hub.api import repos, spaces
from ops.hub.api.call import Handler, endpoint
from ops.hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from ops.hub.state import HubState
    from ops.hub.store import Kind


def create_app(hub: HubState) -> Starlette:
    """The Hub's own origin: API and downloads."""
    return Starlette(
        routes=[
            Route(path, endpoint(hub, handler), methods=methods)
            for path, methods, handler in _routes()
        ],
        exception_handlers={HTTPException: _not_implemented},
    )


def _routes() -> Iterator[tuple[str, list[str], Handler]]:
    yield "/api/whoami-v2", ["GET"], repos.whoami
    yield "/api/repos/create", ["POST"], repos.create
    yield "/api/repos/delete", ["DELETE"], repos.delete
    yield "/api/validate-yaml", ["POST"], repos.validate_yaml
    yield "/api/spaces/hardware", ["GET"], spaces.hardware_list
    yield from _space_routes("/api/spaces/{owner}/{name}")
    yield from _repo_routes("spaces", "/spaces/{owner}/{name}")
    yield from _repo_routes("models", "/{owner}/{name}")


def _repo_routes(kind: Kind, page: str) -> Iterator[tuple[str, list[str], Handler]]:
    api = f"/api/{kind}/{{owner}}/{{name}}"
    for path, methods, handler in (
        (f"{api}/settings", ["PUT"], repos.settings),
        (f"{api}/preupload/{{rev}}", ["POST"], repos.preupload),
        (f"{api}/commit/{{rev}}", ["POST"], repos.commit),
        (f"{api}/tree/{{rev}}", ["GET"], repos.tree),
        (f"{api}/tree/{{rev}}/{{path:path}}", ["GET"], repos.tree),
        (f"{api}/paths-info/{{rev}}", ["POST"], repos.paths_info),
        (f"{api}/commits/{{rev}}", ["GET"], repos.commits),
        (f"{api}/refs", ["GET"], repos.refs),
        (f"{api}/tag/{{rev}}", ["POST", "DELETE"], repos.tag),
        (f"{api}/revision/{{rev:path}}", ["GET"], repos.info),
        (api, ["GET"], repos.info),
        (f"{page}/resolve/{{rev}}/{{path:path}}", ["GET"], repos.resolve),
    ):
        yield path, methods, partial(handler, kind=kind)


def _space_routes(space: str) -> Iterator[tuple[str, list[str], Handler]]:
    yield f"{space}/runtime", ["GET"], spaces.runtime
    yield f"{space}/restart", ["POST"], spaces.restart
    yield f"{space}/pause", ["POST"], spaces.pause
    yield f"{space}/hardware", ["POST"], spaces.hardware
    yield f"{space}/sleeptime", ["POST"], spaces.sleep_time
    yield f"{space}/secrets", ["GET", "POST", "DELETE"], spaces.secrets
    yield f"{space}/variables", ["GET", "POST", "DELETE"], spaces.variables
    yield f"{space}/logs/{{which}}", ["GET"], spaces.logs


async def _not_implemented(request: Request, error: Exception) -> Response:
    """What this Hub lacks is said so, rather than looking like a missing repository."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for this class only
    status = 501 if error.status_code == 404 else error.status_code  # noqa: PLR2004
    return HubError(status, f"A local Hub has no {request.method} {request.url.path}").response()
