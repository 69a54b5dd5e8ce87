"""What a handler of the Hub gets: one request, read whole, with whoever sends it.

Handlers are plain functions that git may keep waiting; each runs in a thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, quote

from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from ops.hub.accounts import Caller, credentials
from ops.hub.errors import (
    HubError,
    bad_request,
    disk_full,
    is_disk_full,
    moved,
    no_repository,
    not_logged_in,
    unknown_token,
)
from ops.hub.xet_access import access_by

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from ops.hub.state import HubState
    from ops.hub.store import Kind, Repo

REPO = "/api/{kind:kind}/{owner}/{name}"
"""Any repository, in the API."""
SPACE = "/api/{kind:space_kind}/{owner}/{name}"
PAGES = ("/{kind:page_kind}/{owner}/{name}", "/{owner}/{name}")
"""Any repository, on the Hub's site; a model has no kind in its path."""


class _Kind(Convertor[str]):
    regex = "spaces|models|datasets"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _PageKind(_Kind):
    regex = "spaces|datasets"


class _SpaceKind(_Kind):
    regex = "spaces"


class _Count(Convertor[int]):
    """A number of bytes or seconds: of no more digits than Python, or anybody else, would read."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("count", _Count())
register_url_convertor("kind", _Kind())
register_url_convertor("page_kind", _PageKind())
register_url_convertor("space_kind", _SpaceKind())


MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request that is held whole."""


@dataclass(frozen=True)
class Call:
    """One request. `path` are the route's parameters, `target` is what was asked for as sent."""

    hub: HubState
    method: str
    target: str
    path: Mapping[str, str]
    query: QueryParams
    headers: Mapping[str, str]
    body: bytes
    caller: Caller | None

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        try:
            # Stricter than Python's own: half a surrogate is no text that could be kept.
            data = from_json(self.body, allow_inf_nan=False)
        except ValueError as error:
            raise bad_request("The body is not JSON") from error
        if not isinstance(data, dict):
            raise bad_request("The body is not a JSON object")
        return data

    def form_or_json(self) -> dict[str, list[str]]:
        """The body as lists of strings: the client sends a form, the description says JSON."""
        if self.headers.get("content-type", "").startswith("application/json"):
            return {k: v if isinstance(v, list) else [str(v)] for k, v in self.json().items()}
        return parse_qs(self.body.decode(errors="replace"))

    def text(self, name: str) -> str:
        """A string of the JSON body; raises HubError when it is missing or something else."""
        value = self.json().get(name)
        if not isinstance(value, str):
            raise bad_request(f'"{name}" must be a string')
        return value

    @property
    def kind(self) -> Kind:
        """Of the repository of the path."""
        return cast("Kind", self.path.get("kind", "models"))

    def repo(self, *, write: bool = False) -> Repo:
        """The repository of the path; to others, one that they may not see does not exist.

        Under a name that it had before, whoever may see it is led to the one it has now.
        """
        owner, name = self.path["owner"], self.path["name"]
        repo = self.hub.store.moved(self.kind, owner, name)
        if repo is None:
            repo = self.hub.store.find(self.kind, owner, name)
        private = self.hub.store.settings(repo).visibility != "public"
        sees = self.caller is not None and self.caller.may_read(repo.owner, repo.kind, repo.name)
        if private and not sees:
            raise no_repository()
        if (repo.owner, repo.name) != (owner, name):
            raise moved(self.target.replace(f"/{owner}/{name}", f"/{repo.id}", 1))
        if write:
            self.require_write(repo.owner)
        return repo

    def require_write(self, owner: str, kind: str = "", name: str = "") -> Caller:
        """Who calls, when they may change that repository, by default the path's.

        Where the path has none either, all of the owner's: a token for one is not enough.
        """
        if self.caller is None:
            raise not_logged_in()
        if not name and "name" in self.path:
            kind, name = self.kind, self.path["name"]
        if not self.caller.may_write(owner, kind, name):
            raise HubError(403, "You don't have the rights to change this repository")
        return self.caller


Handler = Callable[[Call], Response]
StreamHandler = Callable[[Call, "Request"], Awaitable[Response]]
"""For bodies too large to be held: gets the request unread, and runs on the event loop."""
Route = tuple[str, list[str], Handler | StreamHandler]
"""A path, its methods and what answers them."""


def page_url(call: Call, kind: Kind, repo_id: str) -> str:
    """A repository's page on the Hub's site."""
    base = f"http://{call.headers['host']}"
    return f"{base}/{repo_id}" if kind == "models" else f"{base}/{kind}/{repo_id}"


async def opened(hub: HubState, request: Request, body: bytes = b"") -> Call:
    """A request as its handler gets it; raises HubError for a token that the Hub does not know."""
    token = credentials(request.headers.get("authorization"))
    caller = hub.accounts.caller(token)
    # A token of Xet's store is nobody's elsewhere; the store's handlers look at it themselves.
    if token is not None and caller is None and access_by(token) is None:
        raise unknown_token()
    return Call(
        hub=hub,
        method=request.method,
        target=_target(request),
        path={name: str(value) for name, value in request.path_params.items()},
        query=request.query_params,
        headers=request.headers,
        body=body,
        caller=caller,
    )


async def whole_of(request: Request) -> bytes:
    """A body that is held whole; raises HubError (413) for one that is too large for that."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                raise HubError(413, f"A body of more than {MAX_BODY} bytes is too large")
    except ClientDisconnect as error:
        raise bad_request("The request broke off") from error
    return bytes(body)


def _target(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or quote(request.url.path).encode()
    query: bytes = request.scope.get("query_string", b"")
    return (raw + (b"?" + query if query else b"")).decode("ascii", "replace")


def _head_of(response: Response) -> Response:
    """What HEAD is answered: of a stream its headers, as it would keep the connection busy."""
    if not isinstance(response, StreamingResponse):
        return response
    head = Response(status_code=response.status_code, headers=dict(response.headers))
    del head.headers["content-length"]
    return head


def endpoint(
    hub: HubState, handler: Handler | StreamHandler
) -> Callable[[Request], Awaitable[Response]]:
    """A route's function: hands a stream on as it comes, or reads the body and starts a thread."""

    async def answer(request: Request) -> Response:
        try:
            if inspect.iscoroutinefunction(handler):
                streamed: Response = await handler(await opened(hub, request), request)
                return streamed
            call = await opened(hub, request, await whole_of(request))
            response = await run_in_threadpool(cast("Handler", handler), call)
            return _head_of(response) if request.method == "HEAD" else response
        except HubError as error:
            return error.response()
        except OSError as error:
            if not is_disk_full(error):
                raise
            return disk_full().response()

    return answer
