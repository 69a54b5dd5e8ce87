"""The Hub's pages for people: its Spaces, and each with its logs.

Without a session they show the names and stages of public Spaces, and no more; see `visitors`.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from ops.hub.accounts import Caller, Grant
from ops.hub.api.streams import stream_log
from ops.hub.errors import HubError, no_repository, not_logged_in
from ops.hub.faulty import LOCAL
from ops.hub.runtime import runtime as runtime_body
from ops.hub.visitors import COOKIE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import jinja2
    from starlette.responses import Response

    from ops.hub.api.call import Call, Route
    from ops.hub.space import Space
    from ops.hub.store import Repo, Settings

_SPACE = "spaces/{owner}/{name}"
_NEWEST = 5


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield "/", ["GET"], spaces
    yield f"/{_SPACE}", ["GET"], space
    yield f"{LOCAL}list", ["GET"], spaces_again
    yield f"{LOCAL}{_SPACE}/logs/{{which}}", ["GET"], logs
    yield f"{LOCAL}{_SPACE}/runtime", ["GET"], runtime
    yield f"{LOCAL}open", ["POST"], invite
    yield f"{LOCAL}open/{{code}}", ["GET"], admit


@dataclass(frozen=True)
class _Shown:
    """A Space as one who looks at it sees it; `knows_all` shows what only its owner may."""

    repo: Repo
    settings: Settings
    space: Space
    knows_all: bool

    def lines(self, *, build: bool = False) -> list[str]:
        """The newest of a log."""
        log = self.space.build_log if build else self.space.run_log
        return [line.text for line in log.since(0)[1][-_NEWEST:]] if self.knows_all else []


def spaces(call: Call) -> Response:
    """GET /."""
    return _list(call, "spaces")


def spaces_again(call: Call) -> Response:
    """GET /_local/list: what is in the page that lists them, for itself."""
    return _list(call, "list")


def _list(call: Call, template: str) -> Response:
    found = []
    for repo in call.hub.store.all("spaces"):
        with suppress(HubError):  # deleted meanwhile
            found.append(_shown(call, repo))
    return _page(template, spaces=[one for one in found if one is not None], viewer=_viewer(call))


def space(call: Call) -> Response:
    """GET /spaces/OWNER/NAME."""
    try:
        found = _found(call)
    except HubError:
        return _page("missing", HTTPStatus.NOT_FOUND, viewer=_viewer(call))
    return _page("space", one=found, viewer=_viewer(call))


def logs(call: Call) -> Response:
    """GET /_local/spaces/OWNER/NAME/logs/WHICH, for the page: as the API's, by its cookie."""
    found = _found(call)
    if not found.knows_all or call.path["which"] not in ("build", "run"):
        raise no_repository()
    return stream_log(found.space, build=call.path["which"] == "build")


def runtime(call: Call) -> Response:
    """GET /_local/spaces/OWNER/NAME/runtime, for the page."""
    found = _found(call)
    if not found.knows_all:
        raise no_repository()
    return JSONResponse(runtime_body(found.space, found.settings))


def invite(call: Call) -> Response:
    """POST /_local/open: a link that opens the pages once, for the caller."""
    if call.caller is None:
        raise not_logged_in()
    if call.caller.role != "write":
        raise HubError(403, "The pages show what a token with the role write does")
    code = call.hub.visitors.invite(call.caller.user.name)
    return JSONResponse({"url": f"http://{call.headers['host']}{LOCAL}open/{code}"})


def admit(call: Call) -> Response:
    """GET /_local/open/CODE: lets a browser in."""
    session = call.hub.visitors.admit(call.path["code"])
    if session is None:
        return _page("used", HTTPStatus.FORBIDDEN, viewer=_viewer(call))
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    response.set_cookie(_cookie(call), session, httponly=True, samesite="strict")
    return response


def _found(call: Call) -> _Shown:
    owner, name = call.path["owner"], call.path["name"]
    shown = _shown(call, call.hub.store.find("spaces", owner, name))
    if shown is None:
        raise no_repository()
    return shown


def _shown(call: Call, repo: Repo) -> _Shown | None:
    """The Space, when whoever looks may see it."""
    viewer, settings = _viewer(call), call.hub.store.settings(repo)
    sees = viewer is not None and viewer.may_read(repo.owner, repo.kind, repo.name)
    if settings.visibility != "public" and not sees:
        return None
    knows_all = viewer is not None and viewer.may_write(repo.owner, repo.kind, repo.name)
    return _Shown(repo, settings, call.hub.space(repo), knows_all)


def _viewer(call: Call) -> Caller | None:
    """Who looks: by a token, or by the cookie of somebody whom the Hub still knows."""
    if call.caller is not None:
        return call.caller
    session = cookie_parser(call.headers.get("cookie", "")).get(_cookie(call))
    name = call.hub.visitors.user(session) if session is not None else None
    users = [user for user in call.hub.accounts.users if user.name == name]
    return Caller(users[0], Grant("write")) if users else None


def _cookie(call: Call) -> str:
    """Its name has the port, as cookies have none: a machine may have several Hubs."""
    return f"{COOKIE}_{call.headers.get('host', '').rpartition(':')[2]}"


def _page(name: str, status: int = 200, **shown: Any) -> Response:
    nonce = secrets.token_urlsafe(16)
    text = _templates().get_template(f"{name}.html.j2").render(nonce=nonce, **shown)
    return HTMLResponse(
        text,
        status,
        {
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
                "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'"
            ),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


@cache
def _templates() -> jinja2.Environment:
    import jinja2  # noqa: PLC0415 -- a Hub starts without it

    folder = Path(__file__).parent.parent / "pages"
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True)
    templates.globals["colour"] = _colour
    return templates


def _colour(stage: str) -> str:
    """How a stage looks, beside what it says."""
    if stage == "RUNNING":
        return "good"
    return "bad" if stage.endswith("ERROR") or stage == "NO_APP_FILE" else "wait"
