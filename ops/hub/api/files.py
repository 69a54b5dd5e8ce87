"""Handlers for the files of a revision: listed, looked up, downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import FileResponse, JSONResponse, Response

from ops.hub.api.call import PAGES, REPO
from ops.hub.errors import HubError, no_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.api.call import Call, Route
    from ops.hub.repository import Entry
    from ops.hub.store import Repo


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield f"{REPO}/tree/{{rev}}", ["GET"], tree
    yield f"{REPO}/tree/{{rev}}/{{path:path}}", ["GET"], tree
    yield f"{REPO}/paths-info/{{rev}}", ["POST"], paths_info
    for page in PAGES:
        yield f"{page}/resolve/{{rev}}/{{path:path}}", ["GET"], resolve


def tree(call: Call) -> Response:
    """GET …/tree/REV[/PATH]."""
    repo = call.repo()
    revision = repo.git.resolve(call.path["rev"])
    recursive = call.query.get("recursive", "").lower() in ("1", "true")
    entries = repo.git.tree(revision, call.path.get("path", "").strip("/"), recursive=recursive)
    return JSONResponse([_entry(entry) for entry in entries])


def paths_info(call: Call) -> Response:
    """POST …/paths-info/REV: those of the paths that exist."""
    repo = call.repo()
    revision = repo.git.resolve(call.path["rev"])
    return JSONResponse(list(_existing(repo, revision, call.form_or_json().get("paths", []))))


def _existing(repo: Repo, revision: str, paths: list[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        try:
            yield _entry(repo.git.entry(revision, path.strip("/")))
        except HubError:
            continue


def _entry(entry: Entry) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": entry.kind,
        "oid": entry.oid,
        "size": entry.size,
        "path": entry.path,
    }
    if entry.large is not None:
        body["lfs"] = {
            "oid": entry.large.sha256,
            "size": entry.size,
            "pointerSize": entry.pointer_size,
        }
    return body


def resolve(call: Call) -> Response:
    """GET and HEAD …/resolve/REV/PATH: a file's content."""
    repo = call.repo()
    revision = repo.git.resolve(call.path["rev"])
    entry = repo.git.entry(revision, call.path["path"])
    if entry.kind != "file":
        raise no_entry(entry.path)
    headers = {
        "X-Repo-Commit": revision,
        "ETag": f'"{entry.oid}"',
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(entry.path.rpartition('/')[2])}",
    }
    if entry.large is not None:
        headers |= {
            "ETag": f'"{entry.large.sha256}"',
            "X-Linked-ETag": f'"{entry.large.sha256}"',
            "X-Linked-Size": str(entry.size),
        }
        return FileResponse(repo.git.large_path(entry.large), headers=headers)
    return Response(repo.git.read(entry), headers=headers, media_type="text/plain")
