"""Handlers for branches and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from starlette.responses import JSONResponse, Response

from ops.hub.api.call import REPO
from ops.hub.api.paging import is_on
from ops.hub.api.parsing import Asked, Text, parsed
from ops.hub.repository import Author

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.api.call import Call, Route
    from ops.hub.repository import Ref
    from ops.hub.store import Repo


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield f"{REPO}/refs", ["GET"], refs
    yield f"{REPO}/tag/{{rev:path}}", ["POST", "DELETE"], tag
    yield f"{REPO}/branch/{{rev:path}}", ["POST", "DELETE"], branch
    yield f"{REPO}/super-squash/{{rev:path}}", ["POST"], super_squash


def refs(call: Call) -> Response:
    """GET …/refs."""
    found = call.repo().git.refs()
    body: dict[str, list[dict[str, str]]] = {
        "branches": [_ref(ref) for ref in found if ref.full_name.startswith("refs/heads/")],
        "tags": [_ref(ref) for ref in found if ref.full_name.startswith("refs/tags/")],
        "converts": [],
    }
    if is_on(call, "include_prs"):
        body["pullRequests"] = []
    return JSONResponse(body)


def _ref(ref: Ref) -> dict[str, str]:
    return {"name": ref.name, "ref": ref.full_name, "targetCommit": ref.commit}


class _Tag(Asked):
    tag: Text
    message: Text | None = None


def tag(call: Call) -> Response:
    """POST …/tag/REV and DELETE …/tag/TAG."""
    repo = call.repo(write=True)
    if call.method == "DELETE":
        repo.git.delete_tag(call.path["rev"])
        return Response()
    asked = parsed(_Tag, call.json())
    repo.git.tag(
        asked.tag,
        repo.git.resolve(call.path["rev"]),
        message=asked.message or "",
        author=_author(call, repo),
    )
    return Response()


class _Branch(Asked):
    starting_point: Text | None = None
    empty_branch: bool = False
    overwrite: bool = False


def branch(call: Call) -> Response:
    """POST …/branch/NAME, from `startingPoint`, by default main; DELETE …/branch/NAME."""
    repo = call.repo(write=True)
    name = call.path["rev"]
    if call.method == "DELETE":
        repo.git.delete_branch(name)
        return Response()
    asked = parsed(_Branch, call.json() if call.body else {})
    commit = None if asked.empty_branch else repo.git.resolve(asked.starting_point or "main")
    if commit is not None and asked.overwrite and repo.git.has_branch(name):
        repo.git.reset_branch(name, commit)
        _tell(call, repo, name)
    else:
        repo.git.create_branch(name, commit, author=_author(call, repo))
    return Response()


class _Squash(Asked):
    message: Annotated[Text, Field(max_length=500)] | None = None


def super_squash(call: Call) -> Response:
    """POST …/super-squash/BRANCH: its files as one commit, without what was before."""
    repo = call.repo(write=True)
    name = call.path["rev"]
    asked = parsed(_Squash, call.json() if call.body else {})
    message = f"{asked.message or 'Super-squash'}\n"
    oid = repo.git.squash(name, message=message, author=_author(call, repo))
    _tell(call, repo, name)
    return JSONResponse({"commitId": oid})


def _tell(call: Call, repo: Repo, branch: str) -> None:
    if branch == "main":
        call.hub.committed(repo)


def _author(call: Call, repo: Repo) -> Author:
    return Author(call.require_write(repo.owner).user.name)
