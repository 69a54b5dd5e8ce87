"""Handlers for repositories as a whole: create, look at, change, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from ops.hub.api.call import REPO, page_url
from ops.hub.card import read_card
from ops.hub.errors import HubError, bad_request
from ops.hub.hardware import known_hardware
from ops.hub.space import runtime
from ops.hub.store import Setting, Settings, checked_name
from ops.hub.timestamp import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.api.call import Call, Route
    from ops.hub.repository import Entry
    from ops.hub.store import Kind, Repo


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield "/api/repos/create", ["POST"], create
    yield "/api/repos/delete", ["DELETE"], delete
    yield "/api/validate-yaml", ["POST"], validate_yaml
    yield f"{REPO}/settings", ["PUT"], settings
    yield f"{REPO}/revision/{{rev:path}}", ["GET"], info
    yield REPO, ["GET"], info


_KINDS: dict[str, Kind] = {"space": "spaces", "model": "models", "dataset": "datasets"}


def create(call: Call) -> Response:
    """POST /api/repos/create."""
    asked = call.json()
    if call.caller is None:
        raise HubError(401, "Invalid username or password.")
    owner = asked.get("organization") or call.caller.user.name
    call.require_write(owner)
    name, kind = call.text("name"), _kind(asked.get("type", "model"))
    settings = _settings(asked)
    call.hub.rules.check_plan(call.hub.accounts, owner, settings.sdk, settings.hardware)
    url = page_url(call, kind, f"{owner}/{name}")
    try:
        repo = call.hub.store.create(kind, owner, name, settings)
    except HubError as error:
        error.extra["url"] = url
        raise
    call.hub.committed(repo)
    return JSONResponse({"url": url, "name": repo.id, "id": "3" * 24})


def _settings(asked: dict[str, Any]) -> Settings:
    sdk = asked.get("sdk") if asked.get("type") == "space" else None
    visibility = asked.get("visibility") or ("private" if asked.get("private") else "public")
    hardware = asked.get("hardware") or "cpu-basic"
    if visibility not in ("private", "protected", "public"):
        raise bad_request('"visibility" must be one of [private, protected, public]')
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
    kind, name = _kind(asked.get("type", "model")), call.text("name")
    call.require_write(owner, kind, name)
    repo = call.hub.store.find(kind, owner, name)
    call.hub.end(repo)
    call.hub.store.delete(repo)
    return Response()


def settings(call: Call) -> Response:
    """PUT …/settings: the visibility."""
    repo = call.repo(write=True)
    asked = call.json()
    visibility = asked.get("visibility")
    if visibility is None and "private" in asked:
        visibility = "private" if asked["private"] else "public"
    if visibility not in ("private", "protected", "public"):
        raise bad_request('"visibility" must be one of [private, protected, public]')
    now = call.hub.store.change(repo, lambda _: {"visibility": visibility})
    return JSONResponse({"private": now.visibility == "private", "visibility": now.visibility})


def info(call: Call) -> Response:
    """GET /api/KIND/OWNER/NAME[/revision/REV]."""
    repo = call.repo()
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
        "cardData": _card_data(repo, files),
    }
    if call.kind == "spaces":
        space = call.hub.space(repo)
        body |= {
            "sdk": settings.sdk,
            "host": space.host,
            "subdomain": f"{repo.owner}-{repo.name}".lower().replace(".", "-").replace("_", "-"),
            "runtime": runtime(space, settings),
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


def _kind(word: Any) -> Kind:
    if word not in _KINDS:
        raise HubError(501, f"A local Hub keeps spaces, models and datasets, not {word}")
    return _KINDS[word]
