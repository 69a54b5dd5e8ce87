"""Handlers for branches and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from ops.hub.api.call import REPO
from ops.hub.repository import Author

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.api.call import Call, Route
    from ops.hub.repository import Ref


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield f"{REPO}/refs", ["GET"], refs
    yield f"{REPO}/tag/{{rev}}", ["POST", "DELETE"], tag


def refs(call: Call) -> Response:
    """GET …/refs."""
    found = call.repo().git.refs()
    return JSONResponse(
        {
            "branches": [_ref(ref) for ref in found if ref.full_name.startswith("refs/heads/")],
            "tags": [_ref(ref) for ref in found if ref.full_name.startswith("refs/tags/")],
            "converts": [],
        }
    )


def _ref(ref: Ref) -> dict[str, str]:
    return {"name": ref.name, "ref": ref.full_name, "targetCommit": ref.commit}


def tag(call: Call) -> Response:
    """POST …/tag/REV and DELETE …/tag/TAG."""
    repo = call.repo(write=True)
    if call.method == "DELETE":
        repo.git.delete_tag(call.path["rev"])
        return Response()
    caller = call.require_write(repo.owner)
    repo.git.tag(
        call.text("tag"),
        repo.git.resolve(call.path["rev"]),
        message=str(call.json().get("message") or ""),
        author=Author(caller.user.name),
    )
    return Response()
