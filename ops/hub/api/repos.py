"""Handlers for repositories as a whole: create, look at, list, change, move, delete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field
from starlette.responses import JSONResponse, Response

from ops.hub.api.call import REPO, page_url
from ops.hub.api.commit_body import Encoding, decoded_content
from ops.hub.api.facts import Facts, expanded, usual
from ops.hub.api.paging import cursor_after, is_on, next_link, page_size, start_of
from ops.hub.api.parsing import Asked, parsed
from ops.hub.card import check_card
from ops.hub.errors import HubError, bad_request, gated, no_repository, not_logged_in
from ops.hub.hardware import known_hardware
from ops.hub.names import split_id
from ops.hub.repository import Write
from ops.hub.runtime import can_be_sleep_time
from ops.hub.store import Gated, Setting, Settings, Visibility, checked_name
from ops.hub.timestamp import timestamp
from ops.hub.volume import Volume  # noqa: TC001 -- pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ops.hub.api.call import Call, Route
    from ops.hub.store import Kind

_LARGEST_PAGE = 1000


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield "/api/repos/create", ["POST"], create
    yield "/api/repos/delete", ["DELETE"], delete
    yield "/api/repos/move", ["POST"], move
    yield "/api/validate-yaml", ["POST"], validate_yaml
    yield "/api/spaces/zero-gpu/quota", ["GET"], no_zero_gpu
    yield f"{REPO}/settings", ["PUT"], settings
    yield f"{REPO}/duplicate", ["POST"], duplicate
    yield f"{REPO}/auth-check", ["GET"], auth_check
    yield f"{REPO}/auth-check/write", ["GET"], auth_check_write
    yield f"{REPO}/revision/{{rev:path}}", ["GET"], info
    yield REPO, ["GET"], info
    yield "/api/{kind:kind}", ["GET"], listing


_KINDS: dict[str, Kind] = {"space": "spaces", "model": "models", "dataset": "datasets"}


class _Named(Asked):
    key: str
    value: str = ""
    description: str | None = None


class _Wanted(Asked):
    """What a repository is to be like; of a new one, or in place of what it is."""

    visibility: Visibility | None = None
    private: bool | None = None
    hardware: str | None = None
    sleep_time_seconds: int | None = None
    secrets: list[_Named] = Field(default_factory=list)
    variables: list[_Named] = Field(default_factory=list)
    volumes: list[Volume] = Field(default_factory=list)

    def wanted_visibility(self, kind: Kind) -> Visibility | None:
        """In whichever of the two ways it is said."""
        if self.visibility is not None and self.private is not None:
            raise bad_request('"private" and "visibility" cannot both be given')
        if self.visibility == "protected" and kind != "spaces":
            raise bad_request("Only Spaces can be protected")
        if self.private is not None:
            return "private" if self.private else "public"
        return self.visibility

    def changes(self, kind: Kind) -> dict[str, Any]:
        """The settings that it is about."""
        if self.sleep_time_seconds is not None and not can_be_sleep_time(self.sleep_time_seconds):
            raise bad_request('"sleepTimeSeconds" must be a number of seconds from 1, or -1')
        wanted = {
            "visibility": self.wanted_visibility(kind),
            "hardware": known_hardware(self.hardware) if self.hardware else None,
            "sleep_time": self.sleep_time_seconds,
            "volumes": tuple(self.volumes) or None,
        }
        return {name: value for name, value in wanted.items() if value is not None}


class _File(Asked):
    path: str
    content: str
    encoding: Encoding = "utf-8"

    def write(self) -> Write:
        return Write(self.path, decoded_content(self.path, self.content, self.encoding))


class _New(_Wanted):
    name: str
    organization: str | None = None
    type: str = "model"
    sdk: Literal["docker", "gradio", "static"] | None = None
    license: str | None = None
    template: str | None = None
    files: list[_File] = Field(default_factory=list)


def create(call: Call) -> Response:
    """POST /api/repos/create."""
    asked = parsed(_New, call.json())
    kind = _kind(asked.type)
    owner = _owner(call, asked.organization)
    call.require_write(owner)
    if asked.template is not None:
        raise HubError(501, "A local Hub has no templates")
    if kind == "spaces" and asked.sdk is None:
        raise bad_request('"sdk" must be one of [docker, gradio, static]')
    sdk = asked.sdk if kind == "spaces" else None
    new = Settings(
        sdk=sdk,
        variables=_named(asked.variables),
        secrets=_named(asked.secrets),
        **asked.changes(kind),
    )
    call.hub.rules.check_plan(call.hub.accounts, owner, sdk, new.hardware)
    files = [*_first_readme(asked.name, sdk, asked.license), *(f.write() for f in asked.files)]
    try:
        repo = call.hub.store.create(kind, owner, asked.name, new, files)
    except HubError as error:
        raise _naming_url(call, kind, error) from error
    call.hub.committed(repo)
    return JSONResponse({"url": page_url(call, kind, repo.id), "name": repo.id, "id": new.uid})


def _first_readme(name: str, sdk: str | None, license_: str | None) -> Iterable[Write]:
    lines = []
    if sdk is not None:
        lines += [f"title: {json.dumps(name)}", f"sdk: {sdk}", "pinned: false"]
    if license_ is not None:
        lines.append(f"license: {json.dumps(license_)}")
    if lines:
        yield Write("README.md", "\n".join(["---", *lines, "---", ""]).encode())


def _named(entries: Iterable[_Named]) -> dict[str, Setting]:
    return {
        checked_name(entry.key): Setting(
            value=entry.value, updated=timestamp(), description=entry.description or ""
        )
        for entry in entries
    }


def _naming_url(call: Call, kind: Kind, error: HubError) -> HubError:
    """A refusal that says where the repository is that has the name already."""
    taken = error.extra.pop("id", None)
    if taken is not None:
        error.extra["url"] = page_url(call, kind, taken)
    return error


def duplicate(call: Call) -> Response:
    """POST …/duplicate: files and settings as they are, but for what is given; never secrets."""
    source = call.repo()
    asked = call.json()
    wanted = parsed(_Wanted, asked)
    owner, name = split_id(asked.get("repository"))
    call.require_write(owner, source.kind, name)
    before = call.hub.store.settings(source)
    new = Settings(
        sdk=before.sdk,
        gated=before.gated,
        variables=before.variables | _named(wanted.variables),
        secrets=_named(wanted.secrets),
        **{
            "visibility": before.visibility,
            "hardware": before.hardware,
            "sleep_time": before.sleep_time,
        }
        | wanted.changes(source.kind),
    )
    call.hub.rules.check_plan(call.hub.accounts, owner, before.sdk, new.hardware)
    try:
        repo = call.hub.store.duplicate(source, owner, name, new)
    except HubError as error:
        raise _naming_url(call, source.kind, error) from error
    call.hub.committed(repo)
    return JSONResponse({"url": page_url(call, repo.kind, repo.id)})


class _Move(Asked):
    from_repo: str
    to_repo: str
    type: str = "model"


def move(call: Call) -> Response:
    """POST /api/repos/move: the old name leads to the new one from now on."""
    asked = parsed(_Move, call.json())
    kind = _kind(asked.type)
    (owner, name), (new_owner, new_name) = split_id(asked.from_repo), split_id(asked.to_repo)
    call.require_write(owner, kind, name)
    call.require_write(new_owner, kind, new_name)
    repo = call.hub.store.find(kind, owner, name)
    try:
        with call.hub.without(repo):
            repo = call.hub.store.move(repo, new_owner, new_name)
    finally:
        call.hub.committed(repo)
    return Response()


def delete(call: Call) -> Response:
    """DELETE /api/repos/delete."""
    asked = call.json()
    owner = _owner(call, asked.get("organization"))
    kind, name = _kind(asked.get("type", "model")), call.text("name")
    call.require_write(owner, kind, name)
    repo = call.hub.store.find(kind, owner, name)
    with call.hub.without(repo):
        call.hub.store.delete(repo)
    return Response()


def _owner(call: Call, organisation: Any) -> str:
    if call.caller is None:
        raise not_logged_in()
    return str(organisation or call.caller.user.name)


class _Changed(_Wanted):
    gated: Gated | None = None
    discussions_disabled: bool | None = None


def settings(call: Call) -> Response:
    """PUT …/settings: visibility, and who gets the files."""
    repo = call.repo(write=True)
    asked = parsed(_Changed, call.json())
    visibility = asked.wanted_visibility(repo.kind)
    changes: dict[str, Any] = {} if visibility is None else {"visibility": visibility}
    if asked.gated is not None:
        changes["gated"] = asked.gated
    if not changes and asked.discussions_disabled is None:
        raise bad_request("There is no setting to change")
    now = call.hub.store.change(repo, lambda _: changes)
    body: dict[str, Any] = {
        "private": now.visibility == "private",
        "visibility": now.visibility,
    }
    if asked.gated is not None:
        body["gated"] = now.gated
    return JSONResponse(body)


def auth_check(call: Call) -> Response:
    """GET …/auth-check: whether the caller gets the files."""
    repo = call.repo()
    sees = call.caller is not None and call.caller.may_read(repo.owner, repo.kind, repo.name)
    if call.hub.store.settings(repo).gated and not sees:
        raise gated(repo.id, logged_in=call.caller is not None)
    return JSONResponse({"ok": True})


def auth_check_write(call: Call) -> Response:
    """GET …/auth-check/write: whether the caller may change them."""
    call.repo(write=True)
    return JSONResponse({"ok": True})


def info(call: Call) -> Response:
    """GET /api/KIND/OWNER/NAME[/revision/REV]."""
    repo = call.repo()
    facts = Facts(call.hub, repo, call.path.get("rev", "main"), blobs="blobs" in call.query)
    facts.commit  # noqa: B018 -- an unknown revision is said so, whatever is asked about it
    return JSONResponse(facts.of(_expand(call) or usual(call.kind, listed=False)))


def _expand(call: Call) -> list[str]:
    return expanded(call.kind, call.query.getlist("expand") + call.query.getlist("expand[]"))


_A = TypeVar("_A")
_SORTED_BY = ("createdAt", "downloads", "lastModified", "likes", "trendingScore")


def listing(call: Call) -> Response:
    """GET /api/KIND: repositories that the caller may see, a page at a time."""
    names = _expand(call) or usual(call.kind, listed=not is_on(call, "full"))
    limit, after = page_size(call, usual=_LARGEST_PAGE, most=_LARGEST_PAGE), start_of(call)
    sort = call.query.get("sort")
    if sort is not None and sort not in _SORTED_BY:
        raise bad_request(f'"sort" must be one of [{", ".join(_SORTED_BY)}]')
    every = [Facts(call.hub, repo) for repo in call.hub.store.all(call.kind)]
    found = [facts for facts, shows in _asked(every, lambda facts: _shows(call, facts)) if shows]
    if sort is not None:
        values = _asked(found, lambda facts: facts.of([sort])[sort])
        found = [facts for facts, _ in sorted(values, key=lambda pair: pair[1], reverse=True)]
    ids = [facts.repo.id for facts in found]
    start = ids.index(after) + 1 if after in ids else 0
    page = found[start : start + limit]
    more = start + limit < len(found)
    headers = next_link(call, cursor=cursor_after(page[-1].repo.id)) if more else {}
    bodies = [body for _, body in _asked(page, lambda facts: facts.of(names))]
    return JSONResponse(bodies, headers=headers)


def _asked(found: Iterable[Facts], question: Callable[[Facts], _A]) -> list[tuple[Facts, _A]]:
    """Each with its answer, but those that are deleted while they are asked."""
    answers = []
    for facts in found:
        try:
            answers.append((facts, question(facts)))
        except HubError as error:
            if error.code != no_repository().code:
                raise
    return answers


def _shows(call: Call, facts: Facts) -> bool:
    repo = facts.repo
    author, search = call.query.get("author"), call.query.get("search", "")
    if author not in (None, repo.owner) or search.lower() not in repo.id.lower():
        return False
    sees = call.caller is not None and call.caller.may_read(repo.owner, repo.kind, repo.name)
    if facts.settings.visibility != "public" and not sees:
        return False
    wanted = {tag for entry in call.query.getlist("filter") for tag in entry.split(",")}
    return not wanted or wanted <= set(facts.tags)


def validate_yaml(call: Call) -> Response:
    """POST /api/validate-yaml: the front matter of a README, before it is committed."""
    kind = call.json().get("repoType", "model")
    errors, warnings = check_card(call.text("content"), space=_kind(kind) == "spaces")
    body = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    return JSONResponse(body, 400 if errors else 200)


def no_zero_gpu(_: Call) -> Response:
    """GET /api/spaces/zero-gpu/quota, which would look like a repository's."""
    raise HubError(501, "A local Hub has no GET /api/spaces/zero-gpu/quota")


def _kind(word: Any) -> Kind:
    if not isinstance(word, str) or word not in _KINDS:
        raise HubError(501, f"A local Hub keeps spaces, models and datasets, not {word!r:.40}")
    return _KINDS[word]
