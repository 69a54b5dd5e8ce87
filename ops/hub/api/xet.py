"""Handlers for Xet: tokens, and the store that its client sends xorbs and shards to.

What is not here is said to be absent, and the client does without: upload grants and shards with
progress, for which it has an older way, and what others have already sent. Nobody reads from the
store: no reply has `X-Xet-Hash`, so files are downloaded as they are (huggingface_hub,
file_download.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from ops.hub.accounts import bearer
from ops.hub.api.call import REPO
from ops.hub.api.pieces import hand_on
from ops.hub.errors import HubError, unknown_token
from ops.hub.shard import put_together, read_shard
from ops.hub.xet_access import access_by, access_to
from ops.hub.xet_hash import from_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from ops.hub.api.call import Call, Route
    from ops.hub.store import Repo
    from ops.hub.xet_access import Scope

_STORE = "/_xet/{store}"
_ABSENT = (
    (f"{_STORE}/v1/chunks/{{prefix}}/{{hash}}", "GET"),
    (f"{_STORE}/v1/xorb-grants/default/{{hash}}", "POST"),
    (f"{_STORE}/v2/shards", "POST"),
    ("/v1/telemetry", "POST"),
)


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield f"{REPO}/xet-write-token/{{rev}}", ["GET"], write_token
    yield f"{REPO}/xet-read-token/{{rev}}", ["GET"], read_token
    yield f"{_STORE}/v1/xorbs/default/{{hash}}", ["POST"], upload_xorb
    yield f"{_STORE}/v1/shards", ["POST"], upload_shard
    for path, method in _ABSENT:
        yield path, [method], absent


def write_token(call: Call) -> Response:
    """GET …/xet-write-token/REV: where large files are sent, and by which token."""
    return _token(call, "write")


def read_token(call: Call) -> Response:
    """GET …/xet-read-token/REV."""
    return _token(call, "read")


def _token(call: Call, scope: Scope) -> Response:
    repo = call.repo(write=scope == "write")
    repo.git.resolve(call.path["rev"])
    access = access_to(repo, scope)
    url = f"http://{call.headers['host']}/_xet/{call.hub.store.xorbs.id}"
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": access.token,
        "X-Xet-Token-Expiration": str(access.until),
        "Cache-Control": "no-store",
    }
    body = {"casUrl": url, "accessToken": access.token, "exp": access.until}
    return JSONResponse(body, headers=headers)


async def upload_xorb(call: Call, request: Request) -> Response:
    """POST …/v1/xorbs/default/HASH."""
    await run_in_threadpool(_writable, call)
    unpacking = await run_in_threadpool(call.hub.store.xorbs.unpack, from_text(call.path["hash"]))
    try:
        await hand_on(request, unpacking.write)
        is_new = await run_in_threadpool(unpacking.keep)
    finally:
        await run_in_threadpool(unpacking.close)
    return JSONResponse({"was_inserted": is_new})


def upload_shard(call: Call) -> Response:
    """POST …/v1/shards: what files the xorbs make, which are put together now."""
    repo = _writable(call)
    files = read_shard(call.body)
    for file in files:
        call.hub.rules.check_size(file.large.sha256, file.large.size)
    put_together(files, call.hub.store.xorbs, repo.git)
    return JSONResponse({"result": 1})


def absent(_: Call) -> Response:
    """What a client asks for and need not have."""
    raise HubError(404, "Not offered by this store")


def _writable(call: Call) -> Repo:
    """The repository that the token is for."""
    access = access_by(bearer(call.headers.get("authorization")))
    if access is None:
        raise unknown_token()
    if access.scope != "write":
        raise HubError(403, "This token is for reading")
    if call.path["store"] != call.hub.store.xorbs.id:
        raise HubError(404, "There is no such store")
    return call.hub.store.find(access.kind, access.owner, access.name)
