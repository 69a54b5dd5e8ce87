"""Handlers for commits: what to upload how, the commit itself, the history."""

from __future__ import annotations

import base64
import html
from contextlib import closing
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ops.hub.api.call import REPO, page_url, whole_of
from ops.hub.api.commit_body import CommitBody, lines_of
from ops.hub.api.paging import is_on, next_link, number, page_size
from ops.hub.attributes import ATTRIBUTES, IGNORE, Attributes, ignores
from ops.hub.errors import HubError, bad_request
from ops.hub.repository import LFS_THRESHOLD, Author, looks_binary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from ops.hub.api.call import Call, Route
    from ops.hub.draft import Draft
    from ops.hub.repository import Commit, Entry
    from ops.hub.store import Repo

_MOST_FILES = 1000
"""Of one question about uploads (the Hub's OpenAPI description); its client asks about 256."""
_PAGE, _LARGEST_PAGE = 50, 1000


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield f"{REPO}/preupload/{{rev}}", ["POST"], preupload
    yield f"{REPO}/commit/{{rev}}", ["POST"], commit
    yield f"{REPO}/commits/{{rev}}", ["GET"], commits
    yield f"{REPO}/compare/{{revisions:path}}", ["GET"], compare


def preupload(call: Call) -> Response:
    """POST …/preupload/REV: which files go into the commit and which to the large-file store."""
    _refuse_pull_request(call)
    repo = call.repo(write=True)
    commit = repo.git.resolve(call.path["rev"])
    asked = call.json()
    files = asked.get("files")
    if not isinstance(files, list) or len(files) > _MOST_FILES:
        raise HubError(422, f'"files" must be a list of at most {_MOST_FILES}')
    facts = [_asked(file) for file in files]
    known = {e.path: e for e in repo.git.entries(commit, [path for path, _, _ in facts])}
    ignored = ignores(_text(asked, "gitIgnore", repo, commit, IGNORE))
    attributes = Attributes(_text(asked, "gitAttributes", repo, commit, ATTRIBUTES))
    replies = []
    for path, size, sample in facts:
        call.hub.rules.check_size(path, size)
        large = size > LFS_THRESHOLD or looks_binary(sample) or attributes.is_large(path)
        reply: dict[str, Any] = {
            "path": path,
            "uploadMode": "lfs" if large else "regular",
            "shouldIgnore": ignored is not None and ignored.match_file(path),
        }
        replies.append(reply | _known_oid(known.get(path)))
    return JSONResponse({"files": replies, "commitOid": commit})


def _asked(file: Any) -> tuple[str, int, bytes]:
    """Path, size and first bytes of a file that is to be uploaded."""
    try:
        path, size, sample = file["path"], file["size"], base64.b64decode(file.get("sample", ""))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise HubError(422, '"files" must have path, size and sample') from error
    if not isinstance(path, str) or not isinstance(size, int) or size < 0:
        raise HubError(422, "A path must be a string, and a size a number of bytes")
    return path, size, sample


def _text(asked: dict[str, Any], name: str, repo: Repo, commit: str, path: str) -> str:
    """A file as the request gives it, else as it is in the repository."""
    given = asked.get(name)
    return given if isinstance(given, str) else repo.git.text(commit, path)


def _known_oid(entry: Entry | None) -> dict[str, str]:
    """A large file's is that of its content (the Hub's OpenAPI description)."""
    if entry is None or entry.kind != "file":
        return {}
    return {"oid": entry.large.sha256 if entry.large is not None else entry.oid}


async def commit(call: Call, request: Request) -> Response:
    """POST …/commit/REV: a header and any number of operations, all or none."""
    repo = await run_in_threadpool(_writable, call)
    with closing(repo.git.draft()) as draft:
        body = CommitBody(repo.git, draft)
        try:
            if call.headers.get("content-type", "").startswith("application/json"):
                await run_in_threadpool(body.take_object, await whole_of(request))
            else:
                async for lines in lines_of(request):
                    await run_in_threadpool(body.take_lines, lines)
        except ClientDisconnect as error:
            raise bad_request("The commit ended before its end") from error
        return await run_in_threadpool(_finish, call, repo, draft, body)


def _writable(call: Call) -> Repo:
    _refuse_pull_request(call)
    repo = call.repo(write=True)
    repo.git.branch(call.path["rev"])
    return repo


def _finish(call: Call, repo: Repo, draft: Draft, body: CommitBody) -> Response:
    caller = call.require_write(repo.owner)
    header, branch = body.header, call.path["rev"]
    oid = repo.git.finish(
        draft,
        message=header.message,
        author=Author(caller.user.name),
        parent=header.parent_commit,
        branch=branch,
    )
    if branch == "main":
        call.hub.committed(repo)
    url = f"{page_url(call, call.kind, repo.id)}/commit/{oid}"
    return JSONResponse({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


def _refuse_pull_request(call: Call) -> None:
    if is_on(call, "create_pr"):
        raise HubError(501, "A local Hub has no pull requests: commit to a branch")


def commits(call: Call) -> Response:
    """GET …/commits/REV, a page at a time."""
    repo = call.repo()
    revision = repo.git.resolve(call.path["rev"])
    page, limit = number(call, "p", 0), page_size(call, usual=_PAGE, most=_LARGEST_PAGE)
    total = repo.git.count(revision)
    found = repo.git.log(revision, limit=limit, skip=page * limit)
    headers = {"X-Total-Count": str(total)}
    if (page + 1) * limit < total:
        headers |= next_link(call, p=page + 1)
    formatted = "formatted" in call.query.getlist("expand") + call.query.getlist("expand[]")
    return JSONResponse([_commit(c, formatted=formatted) for c in found], headers=headers)


def _commit(commit: Commit, *, formatted: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": commit.oid,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author}],
        "date": commit.date,
    }
    if formatted:
        escaped = {"title": html.escape(commit.title), "message": html.escape(commit.message)}
        body["formatted"] = escaped
    return body


def compare(call: Call) -> Response:
    """GET …/compare/A..B: the diff as a string, or as it is with `raw`."""
    repo = call.repo()
    before, dots, after = call.path["revisions"].partition("..")
    if not dots:
        raise bad_request("Two revisions are compared as A..B")
    text = repo.git.diff(repo.git.resolve(before), repo.git.resolve(after.lstrip(".")))
    return PlainTextResponse(text) if is_on(call, "raw") else JSONResponse(text)
