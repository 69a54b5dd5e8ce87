"""Handlers for the files of a revision: listed, looked up, downloaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import FileResponse, JSONResponse, Response

from ops.hub.api.call import PAGES, REPO
from ops.hub.api.paging import cursor_after, is_on, next_link, page_size, start_of
from ops.hub.errors import bad_request, gated, no_entry
from ops.hub.timestamp import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ops.hub.api.call import Call, Route
    from ops.hub.repository import Entry
    from ops.hub.store import Repo

_PAGE, _EXPANDED_PAGE = 1000, 50
"""Entries, as the client's documentation of `list_repo_tree` has it."""
_MOST_PATHS = 2000
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield f"{REPO}/tree/{{rev}}", ["GET"], tree
    yield f"{REPO}/tree/{{rev}}/{{path:path}}", ["GET"], tree
    yield f"{REPO}/treesize/{{rev}}", ["GET"], tree_size
    yield f"{REPO}/treesize/{{rev}}/{{path:path}}", ["GET"], tree_size
    yield f"{REPO}/paths-info/{{rev}}", ["POST"], paths_info
    yield f"{REPO}/lfs-files", ["GET"], large_files
    for page in PAGES:
        yield f"{page}/resolve/{{rev}}/{{path:path}}", ["GET"], resolve


def tree(call: Call) -> Response:
    """GET …/tree/REV[/PATH], a page at a time."""
    repo = call.repo()
    revision = repo.git.resolve(call.path["rev"])
    expand = is_on(call, "expand")
    most = _EXPANDED_PAGE if expand else _PAGE
    limit, after = page_size(call, usual=most, most=most), start_of(call)
    path = call.path.get("path", "").strip("/")
    entries = repo.git.tree(revision, path, recursive=is_on(call, "recursive"))
    left = sorted((e for e in entries if e.shown > after), key=lambda entry: entry.shown)
    page = left[:limit]
    more = next_link(call, cursor=cursor_after(page[-1].shown)) if len(left) > limit else {}
    return JSONResponse(_listed(repo, revision, page, expand=expand), headers=more)


def tree_size(call: Call) -> Response:
    """GET …/treesize/REV[/PATH]."""
    repo = call.repo()
    path = call.path.get("path", "").strip("/")
    entries = repo.git.tree(repo.git.resolve(call.path["rev"]), path, recursive=True)
    return JSONResponse({"path": f"/{path}", "size": sum(entry.size for entry in entries)})


def paths_info(call: Call) -> Response:
    """POST …/paths-info/REV: those of the paths that exist."""
    repo = call.repo()
    revision = repo.git.resolve(call.path["rev"])
    asked = call.form_or_json()
    paths = asked.get("paths", [])
    if len(paths) > _MOST_PATHS or not all(isinstance(path, str) for path in paths):
        raise bad_request(f'"paths" must be at most {_MOST_PATHS} strings')
    entries = repo.git.entries(revision, [path.strip("/") for path in paths])
    expand = [str(value).lower() for value in asked.get("expand", [])] in (["true"], ["1"])
    return JSONResponse(_listed(repo, revision, entries, expand=expand))


def _listed(
    repo: Repo, revision: str, entries: Sequence[Entry], *, expand: bool
) -> list[dict[str, Any]]:
    bodies = [_entry(entry) for entry in entries]
    if expand and entries:
        newest = repo.git.last_commits(revision, entries)
        for entry, body in zip(entries, bodies, strict=True):
            if (commit := newest.get(entry.path)) is not None:
                last = {"id": commit.oid, "title": commit.title, "date": commit.date}
                body["lastCommit"] = last
    return bodies


def _entry(entry: Entry) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": entry.kind,
        "oid": entry.oid,
        "size": entry.size,
        "path": entry.shown,
    }
    if entry.large is not None:
        body["lfs"] = {
            "oid": entry.large.sha256,
            "size": entry.size,
            "pointerSize": entry.pointer_size,
        }
    return body


def large_files(call: Call) -> Response:
    """GET …/lfs-files: what was uploaded and some commit of the repository names."""
    repo = call.repo(write=True)
    limit, after = page_size(call, usual=_PAGE, most=_PAGE), start_of(call)
    found = sorted(repo.git.large_files().items())
    left = [(oid, named) for oid, named in found if oid > after]
    bodies = []
    for oid, (path, large) in left[:limit]:
        content = repo.git.large_path(large)
        pushed = content.stat().st_mtime if content.is_file() else 0.0
        body = {"fileOid": oid, "oid": large.sha256, "size": large.size, "filename": path}
        bodies.append(body | {"pushedAt": timestamp(pushed)})
    more = next_link(call, cursor=cursor_after(left[limit - 1][0])) if len(left) > limit else {}
    return JSONResponse(bodies, headers=more)


def resolve(call: Call) -> Response:
    """GET and HEAD …/resolve/REV/PATH: a file's content.

    A large file's is sent at once, where huggingface.co leads to another server.
    """
    repo = call.repo()
    _refuse_gated(call, repo)
    revision = repo.git.resolve(call.path["rev"])
    entry = repo.git.entry(revision, call.path["path"])
    if entry.kind != "file":
        raise no_entry(entry.shown)
    tag = f'"{entry.large.sha256 if entry.large is not None else entry.oid}"'
    name = entry.shown.rpartition("/")[2]
    headers = {
        "X-Repo-Commit": revision,
        "ETag": tag,
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name)}",
        "Accept-Ranges": "bytes",
    }
    if entry.large is not None:
        headers |= {"X-Linked-ETag": tag, "X-Linked-Size": str(entry.size)}
    if tag in call.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if entry.large is None:
        return _part(call, repo.git.read(entry), headers)
    content = repo.git.large_path(entry.large)
    if not content.is_file():  # git pushed the pointer alone
        raise no_entry(entry.shown)
    return FileResponse(content, headers=headers, media_type="application/octet-stream")


def _refuse_gated(call: Call, repo: Repo) -> None:
    if not call.hub.store.settings(repo).gated:
        return
    if call.caller is None or not call.caller.may_read(repo.owner, repo.kind, repo.name):
        raise gated(repo.id, logged_in=call.caller is not None)


def _part(call: Call, content: bytes, headers: dict[str, str]) -> Response:
    """All of it, or the one range that is asked for (RFC 9110, 14.2); more are not looked at."""
    media = "text/plain; charset=utf-8" if b"\0" not in content else "application/octet-stream"
    asked = _RANGE.fullmatch(call.headers.get("range", ""))
    if asked is None or asked[0] == "bytes=-":
        return Response(content, headers=headers, media_type=media)
    first, last = asked[1], asked[2]
    size = len(content)
    if first:
        start, end = int(first), min(int(last or size), size - 1)
    else:
        start, end = max(size - int(last), 0), size - 1
    if start > end:
        headers["Content-Range"] = f"bytes */{size}"
        return Response(status_code=416, headers=headers)
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Response(content[start : end + 1], 206, headers, media)
