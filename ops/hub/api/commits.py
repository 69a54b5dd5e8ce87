"""Handlers for commits: what to upload how, the commit itself, the history."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from ops.hub.api.call import REPO, page_url
from ops.hub.errors import HubError, bad_request
from ops.hub.repository import (
    LFS_THRESHOLD,
    Author,
    Delete,
    LargeFile,
    Operation,
    Write,
    WriteLarge,
    looks_binary,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.api.call import Call, Route
    from ops.hub.store import Repo


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield f"{REPO}/preupload/{{rev}}", ["POST"], preupload
    yield f"{REPO}/commit/{{rev}}", ["POST"], commit
    yield f"{REPO}/commits/{{rev}}", ["GET"], commits


def preupload(call: Call) -> Response:
    """POST …/preupload/REV: which files go into the commit and which to the large-file store."""
    repo = call.repo(write=True)
    commit = repo.git.resolve(call.path["rev"])
    known = {e.path: e.oid for e in repo.git.tree(commit, recursive=True) if e.kind == "file"}
    files = []
    for asked in call.json().get("files", []):
        try:
            path, size = asked["path"], asked["size"]
            sample = base64.b64decode(asked.get("sample", ""))
        except (KeyError, TypeError, binascii.Error) as error:
            raise bad_request('"files" must have path, size and sample') from error
        call.hub.rules.check_size(path, size)
        large = size > LFS_THRESHOLD or looks_binary(sample)
        file = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        files.append(file | ({"oid": known[path]} if path in known else {}))
    return JSONResponse({"files": files, "commitOid": commit})


def commit(call: Call) -> Response:
    """POST …/commit/REV: ndjson, one header and any number of operations, all or none."""
    repo = call.repo(write=True)
    caller = call.require_write(repo.owner)
    if call.path["rev"] != "main":
        raise bad_request("A local Hub takes commits to main only")
    header, operations = _operations(call, repo)
    title, description = str(header.get("summary", "")), str(header.get("description") or "")
    if not title:
        raise bad_request('"summary" must not be empty')
    oid = repo.git.commit(
        operations,
        message=f"{title}\n\n{description}".strip() + "\n",
        author=Author(caller.user.name),
        parent=header.get("parentCommit"),
    )
    call.hub.committed(repo)
    url = f"{page_url(call, call.kind, repo.id)}/commit/{oid}"
    return JSONResponse({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


def _operations(call: Call, repo: Repo) -> tuple[dict[str, Any], list[Operation]]:
    header: dict[str, Any] = {}
    operations: list[Operation] = []
    try:
        for line in call.body.splitlines():
            if not line.strip():
                continue
            entry = json.loads(line)
            if entry["key"] == "header":
                header = entry["value"]
            else:
                operations.append(_operation(entry["key"], entry["value"], repo))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise bad_request("A line of the commit is not as the protocol has it") from error
    return header, operations


def _operation(key: str, value: dict[str, Any], repo: Repo) -> Operation:
    if key == "file":
        content = value["content"]
        plain = value.get("encoding", "utf-8") == "utf-8"
        return Write(value["path"], content.encode() if plain else base64.b64decode(content))
    if key == "lfsFile":
        large = LargeFile(value["oid"], value["size"])
        if not repo.git.large_path(large).is_file():
            raise HubError(422, f"The content of {value['path']} was not uploaded")
        return WriteLarge(value["path"], large)
    if key in ("deletedFile", "deletedFolder", "deletedEntry"):
        return Delete(value["path"])
    raise bad_request(f"Unknown operation {key}")


def commits(call: Call) -> Response:
    """GET …/commits/REV, fifty a page."""
    repo = call.repo()
    revision = repo.git.resolve(call.path["rev"])
    try:
        page, limit = int(call.query.get("p", 0)), int(call.query.get("limit", 50))
    except ValueError as error:
        raise bad_request('"p" and "limit" must be numbers') from error
    found = repo.git.log(revision, limit=limit, skip=page * limit)
    return JSONResponse(
        [
            {
                "id": c.oid,
                "title": c.title,
                "message": c.message,
                "authors": [{"user": c.author}],
                "date": c.date,
            }
            for c in found
        ]
    )
