"""Handlers for Git LFS: what is to be sent where, and the files themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response

from ops.hub.api.call import PAGES
from ops.hub.api.git import repo_for_git
from ops.hub.api.pieces import hand_on
from ops.hub.errors import HubError, bad_request
from ops.hub.lfs import VALID_FOR, Arriving, address, large_file, require_signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from ops.hub.api.call import Call, Route
    from ops.hub.repository import LargeFile
    from ops.hub.store import Repo

_MEDIA_TYPE = "application/vnd.git-lfs+json"
_MOST_OBJECTS = 1000
_SIGNED = "{kind:kind}/{owner}/{name}/{oid}/{size:count}/{until:count}/{signature}"


def routes() -> Iterator[Route]:
    """The paths of this module."""
    for page in PAGES:
        yield f"{page}/info/lfs/objects/batch", ["POST"], batch
    yield f"/_lfs/upload/{_SIGNED}", ["PUT"], upload
    yield f"/_lfs/verify/{_SIGNED}", ["POST"], verify
    yield f"/_lfs/download/{_SIGNED}", ["GET"], download


def batch(call: Call) -> Response:
    """POST ….git/info/lfs/objects/batch (git-lfs/docs/api/batch.md)."""
    asked = call.json()
    operation, objects = asked.get("operation"), asked.get("objects")
    if operation not in ("upload", "download"):
        raise bad_request('"operation" must be one of [upload, download]')
    if not isinstance(objects, list) or len(objects) > _MOST_OBJECTS:
        raise bad_request(f'"objects" must be a list of at most {_MOST_OBJECTS}')
    if asked.get("hash_algo", "sha256") != "sha256":
        raise HubError(409, "Only sha256 is known")
    repo = repo_for_git(call, write=operation == "upload")
    base = f"http://{call.headers['host']}"
    found = [_object(call, repo, base, operation, entry) for entry in objects]
    body = {"transfer": "basic", "objects": found, "hash_algo": "sha256"}
    return JSONResponse(body, media_type=_MEDIA_TYPE)


def _object(call: Call, repo: Repo, base: str, operation: str, entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise bad_request('"objects" must have oid and size')
    large = large_file(entry.get("oid"), entry.get("size"))
    known = {"oid": large.sha256, "size": large.size, "authenticated": True}
    there = repo.git.large_path(large).is_file()
    if operation == "download" and not there:
        return {**known, "error": {"code": 404, "message": "Object does not exist"}}
    if operation == "upload" and there:
        return known
    if operation == "upload":
        call.hub.rules.check_size(large.sha256, large.size)
    purposes = ("upload", "verify") if operation == "upload" else ("download",)
    return {
        **known,
        "actions": {
            purpose: {"href": base + address(purpose, repo, large), "expires_in": VALID_FOR}
            for purpose in purposes
        },
    }


async def upload(call: Call, request: Request) -> Response:
    """PUT of a file's content, without a token: the address is enough."""
    repo, large = await run_in_threadpool(_signed, call, "upload")
    arriving = await run_in_threadpool(Arriving, repo.git.large_path(large), large)
    try:
        await hand_on(request, arriving.write)
        await run_in_threadpool(arriving.keep)
    finally:
        await run_in_threadpool(arriving.close)
    return Response()


def verify(call: Call) -> Response:
    """POST after an upload: whether the file arrived."""
    repo, large = _signed(call, "verify")
    if call.json().get("oid") != large.sha256 or not repo.git.large_path(large).is_file():
        raise HubError(404, "The file did not arrive")
    return Response()


def download(call: Call) -> Response:
    """GET of a file's content; ranges work."""
    repo, large = _signed(call, "download")
    path = repo.git.large_path(large)
    if not path.is_file():
        raise HubError(404, "Object does not exist")
    return FileResponse(path, media_type="application/octet-stream")


def _signed(call: Call, purpose: str) -> tuple[Repo, LargeFile]:
    """What an address is about, once its signature was found to be ours."""
    path = call.path
    large = large_file(path["oid"], int(path["size"]))
    repo_path = f"{path['kind']}/{path['owner']}/{path['name']}"
    require_signed(purpose, repo_path, large, int(path["until"]), path["signature"])
    return call.hub.store.find(call.kind, path["owner"], path["name"]), large
