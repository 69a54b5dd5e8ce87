"""Handlers for repositories: create, look at, commit to, tag, download, delete."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import FileResponse, JSONResponse, Response

from ops.hub.card import read_card
from ops.hub.errors import HubError, bad_request, no_entry
from ops.hub.hardware import known_hardware
from ops.hub.repository import (
    LFS_THRESHOLD,
    Author,
    Delete,
    Entry,
    LargeFile,
    Operation,
    Write,
    WriteLarge,
    looks_binary,
)
from ops.hub.space import runtime
from ops.hub.store import Setting, Settings, checked_name
from ops.hub.timestamp import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.accounts import Caller
    from ops.hub.api.call import Call
    from ops.hub.repository import Ref
    from ops.hub.store import Kind, Repo

_KINDS: dict[str, Kind] = {"space": "spaces", "model": "models"}
_PAID_ONLY = "Docker Spaces on CPU basic need a PRO, Team or Enterprise subscription."


def whoami(call: Call) -> Response:
    """GET /api/whoami-v2."""
    if call.caller is None:
        raise HubError(401, "Invalid username or password.")
    user = call.caller.user
    body = {
        "type": "user",
        "id": "1" * 24,
        "name": user.name,
        "fullname": user.name,
        "isPro": user.pro,
        "canPay": user.pro,
        "avatarUrl": "",
        "orgs": [
            {"type": "org", "id": "2" * 24, "name": name, "fullname": name, "avatarUrl": ""}
            for name in user.organisations
        ],
        "auth": {
            "type": "access_token",
            "accessToken": {
                "displayName": "local",
                "role": call.caller.role,
                "createdAt": "2026-01-01T00:00:00.000Z",
            },
        },
    }
    return JSONResponse(body)


def create(call: Call) -> Response:
    """POST /api/repos/create."""
    asked = call.json()
    if call.caller is None:
        raise HubError(401, "Invalid username or password.")
    owner = asked.get("organization") or call.caller.user.name
    caller = call.require_write(owner)
    name, kind = call.text("name"), _kind(asked.get("type", "model"))
    settings = _settings(asked, caller)
    url = _url(call, kind, f"{owner}/{name}")
    try:
        repo = call.hub.store.create(kind, owner, name, settings)
    except HubError as error:
        error.extra["url"] = url
        raise
    if kind == "spaces":
        call.hub.space(repo).run()
    return JSONResponse({"url": url, "name": repo.id, "id": "3" * 24})


def _settings(asked: dict[str, Any], caller: Caller) -> Settings:
    sdk = asked.get("sdk") if asked.get("type") == "space" else None
    visibility = asked.get("visibility") or ("private" if asked.get("private") else "public")
    hardware = asked.get("hardware") or "cpu-basic"
    if visibility not in ("private", "protected", "public"):
        raise bad_request('"visibility" must be one of [private, protected, public]')
    if sdk == "docker" and hardware == "cpu-basic" and not caller.user.pro:
        raise HubError(402, _PAID_ONLY)
    return Settings(
        visibility=visibility,
        sdk=sdk,
        hardware=known_hardware(hardware),
        sleep_time=asked.get("sleepTimeSeconds"),
        variables=_named(asked.get("variables")),
        secrets=_named(asked.get("secrets")),
    )


def _named(entries: Any) -> dict[str, Setting]:
    named: dict[str, Setting] = {}
    for entry in entries or []:
        name = checked_name(entry.get("key"))
        named[name] = Setting(value=str(entry.get("value", "")), updated=timestamp())
    return named


def delete(call: Call) -> Response:
    """DELETE /api/repos/delete."""
    asked = call.json()
    if call.caller is None:
        raise HubError(401, "Invalid username or password.")
    owner = asked.get("organization") or call.caller.user.name
    call.require_write(owner)
    repo = call.hub.store.find(_kind(asked.get("type", "model")), owner, call.text("name"))
    call.hub.end(repo)
    call.hub.store.delete(repo)
    return Response()


def settings(call: Call, kind: Kind) -> Response:
    """PUT …/settings: the visibility."""
    repo = call.repo(kind, write=True)
    asked = call.json()
    visibility = asked.get("visibility")
    if visibility is None and "private" in asked:
        visibility = "private" if asked["private"] else "public"
    if visibility not in ("private", "protected", "public"):
        raise bad_request('"visibility" must be one of [private, protected, public]')
    now = call.hub.store.change(repo, lambda _: {"visibility": visibility})
    return JSONResponse({"private": now.visibility == "private", "visibility": now.visibility})


def info(call: Call, kind: Kind) -> Response:
    """GET /api/KIND/OWNER/NAME[/revision/REV]."""
    repo = call.repo(kind)
    settings = call.hub.store.settings(repo)
    # A mirror stands for every revision and tells its own commit, so that whoever pins a model
    # pins what is there.
    commit = repo.git.resolve("main" if settings.mirror else call.path.get("rev", "main"))
    files = [e for e in repo.git.tree(commit, recursive=True) if e.kind == "file"]
    newest = repo.git.log(commit, limit=1)[0]
    body: dict[str, Any] = {
        "id": repo.id,
        "author": repo.owner,
        "sha": commit,
        "private": settings.visibility == "private",
        "disabled": False,
        "gated": False,
        "tags": [],
        "createdAt": settings.created,
        "lastModified": newest.date,
        "siblings": [_sibling(entry, blobs="blobs" in call.query) for entry in files],
    }
    if kind == "spaces":
        space = call.hub.space(repo)
        body |= {
            "sdk": settings.sdk,
            "host": space.host,
            "subdomain": f"{repo.owner}-{repo.name}".lower().replace(".", "-").replace("_", "-"),
            "runtime": runtime(space, settings),
            "cardData": _card_data(repo, files),
        }
    return JSONResponse(body)


def _sibling(entry: Entry, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": entry.path}
    body: dict[str, Any] = {"rfilename": entry.path, "size": entry.size, "blobId": entry.oid}
    if entry.large is not None:
        body["lfs"] = {
            "sha256": entry.large.sha256,
            "size": entry.size,
            "pointerSize": entry.pointer_size,
        }
    return body


def _card_data(repo: Repo, files: list[Entry]) -> dict[str, Any]:
    for entry in files:
        if entry.path == "README.md" and entry.large is None:
            return read_card(repo.git.read(entry).decode(errors="replace")).data
    return {}


def validate_yaml(call: Call) -> Response:
    """POST /api/validate-yaml: the front matter of a README, before it is committed."""
    errors = (
        read_card(call.text("content")).errors if call.json().get("repoType") == "space" else ()
    )
    body = {"errors": [{"message": message} for message in errors], "warnings": []}
    return JSONResponse(body, 400 if errors else 200)


def preupload(call: Call, kind: Kind) -> Response:
    """POST …/preupload/REV: which files go into the commit and which to the large-file store."""
    repo = call.repo(kind, write=True)
    commit = repo.git.resolve(call.path["rev"])
    known = {e.path: e.oid for e in repo.git.tree(commit, recursive=True) if e.kind == "file"}
    files = []
    for asked in call.json().get("files", []):
        try:
            path, size = asked["path"], asked["size"]
            sample = base64.b64decode(asked.get("sample", ""))
        except (KeyError, TypeError, binascii.Error) as error:
            raise bad_request('"files" must have path, size and sample') from error
        large = size > LFS_THRESHOLD or looks_binary(sample)
        file = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        files.append(file | ({"oid": known[path]} if path in known else {}))
    return JSONResponse({"files": files, "commitOid": commit})


def commit(call: Call, kind: Kind) -> Response:
    """POST …/commit/REV: ndjson, one header and any number of operations, all or none."""
    repo = call.repo(kind, write=True)
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
    if kind == "spaces":
        call.hub.space(repo).run()
    url = f"{_url(call, kind, repo.id)}/commit/{oid}"
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


def tree(call: Call, kind: Kind) -> Response:
    """GET …/tree/REV[/PATH]."""
    repo = call.repo(kind)
    revision = repo.git.resolve(call.path["rev"])
    recursive = call.query.get("recursive", "").lower() in ("1", "true")
    entries = repo.git.tree(revision, call.path.get("path", "").strip("/"), recursive=recursive)
    return JSONResponse([_entry(entry) for entry in entries])


def paths_info(call: Call, kind: Kind) -> Response:
    """POST …/paths-info/REV: those of the paths that exist."""
    repo = call.repo(kind)
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


def commits(call: Call, kind: Kind) -> Response:
    """GET …/commits/REV, fifty a page."""
    repo = call.repo(kind)
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


def refs(call: Call, kind: Kind) -> Response:
    """GET …/refs."""
    found = call.repo(kind).git.refs()
    return JSONResponse(
        {
            "branches": [_ref(ref) for ref in found if ref.full_name.startswith("refs/heads/")],
            "tags": [_ref(ref) for ref in found if ref.full_name.startswith("refs/tags/")],
            "converts": [],
        }
    )


def _ref(ref: Ref) -> dict[str, str]:
    return {"name": ref.name, "ref": ref.full_name, "targetCommit": ref.commit}


def tag(call: Call, kind: Kind) -> Response:
    """POST …/tag/REV and DELETE …/tag/TAG."""
    repo = call.repo(kind, write=True)
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


def resolve(call: Call, kind: Kind) -> Response:
    """GET and HEAD …/resolve/REV/PATH: a file's content."""
    repo = call.repo(kind)
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


def _kind(word: Any) -> Kind:
    if word not in _KINDS:
        raise HubError(501, f"A local Hub keeps spaces and models, not {word}")
    return _KINDS[word]


def _url(call: Call, kind: Kind, repo_id: str) -> str:
    base = f"http://{call.headers['host']}"
    return f"{base}/spaces/{repo_id}" if kind == "spaces" else f"{base}/{repo_id}"
