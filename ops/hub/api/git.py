"""Handlers for git over HTTP: clone, fetch and push."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from ops.hub.api.call import PAGES
from ops.hub.api.pieces import pieces_of
from ops.hub.errors import HubError, no_repository, not_logged_in
from ops.hub.git_http import SERVICES, Service, advertise, answer, fetched, install_hook, pushed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from ops.hub.api.call import Call, Route
    from ops.hub.store import Repo

_PUSH = "git-receive-pack"
_NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}


def routes() -> Iterator[Route]:
    """The paths of this module; `.git` at the end of a name may be left out."""
    for page in PAGES:
        yield f"{page}/info/refs", ["GET"], info_refs
        for service in SERVICES:
            yield f"{page}/{service}", ["POST"], rpc


async def info_refs(call: Call, request: Request) -> Response:
    """GET …/info/refs: what there is to fetch or to push on, for one of the services."""
    service = call.query.get("service", "")
    if service not in SERVICES:
        raise HubError(403, "This Hub speaks git's smart protocol only")
    repo = await run_in_threadpool(repo_for_git, call, write=service == _PUSH)
    body = await advertise(repo.git.git_dir, service, request.headers.get("git-protocol", ""))
    kind = f"application/x-{service}-advertisement"
    return Response(body, media_type=kind, headers=_NO_CACHE)


async def rpc(call: Call, request: Request) -> Response:
    """POST …/git-upload-pack and …/git-receive-pack."""
    service = cast("Service", request.url.path.rpartition("/")[2])
    repo = await run_in_threadpool(repo_for_git, call, write=service == _PUSH)
    before = await run_in_threadpool(repo.git.head)
    if service == _PUSH:
        await run_in_threadpool(install_hook, repo.git.git_dir, repo.kind)

    def look() -> None:
        with suppress(HubError):  # deleted meanwhile
            if repo.git.head() != before:
                call.hub.committed(repo)

    process = await answer(
        repo.git.git_dir,
        service,
        request.headers.get("git-protocol", ""),
        pieces_of(request),
        zipped=request.headers.get("content-encoding", "") in ("gzip", "x-gzip"),
    )
    body = (
        pushed(process, partial(run_in_threadpool, look)) if service == _PUSH else fetched(process)
    )
    kind = f"application/x-{service}-result"
    return StreamingResponse(body, media_type=kind, headers=_NO_CACHE)


def repo_for_git(call: Call, *, write: bool) -> Repo:
    """The repository; git asks for a name and a password only after a 401."""
    named = {**call.path, "name": call.path["name"].removesuffix(".git")}
    try:
        return replace(call, path=named).repo(write=write)
    except HubError as error:
        if call.caller is None and error.status == no_repository().status:
            raise not_logged_in() from error
        raise
