"""Handlers for what only Spaces have: runtime, settings, secrets, variables, logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from starlette.responses import JSONResponse, Response

from ops.hub import hardware as flavours
from ops.hub.api.call import SPACE
from ops.hub.api.parsing import Asked, parsed
from ops.hub.api.streams import stream_log, stream_runtime
from ops.hub.errors import HubError, bad_request
from ops.hub.runtime import FREE_HARDWARE, can_be_sleep_time
from ops.hub.runtime import runtime as runtime_body
from ops.hub.store import Setting, checked_name
from ops.hub.timestamp import timestamp
from ops.hub.volume import Volume  # noqa: TC001 -- pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.api.call import Call, Route
    from ops.hub.store import Repo, Settings

_Named = Literal["secrets", "variables"]


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield "/api/spaces/hardware", ["GET"], hardware_list
    yield f"{SPACE}/runtime", ["GET"], runtime
    yield f"{SPACE}/restart", ["POST"], restart
    yield f"{SPACE}/pause", ["POST"], pause
    yield f"{SPACE}/hardware", ["POST"], hardware
    yield f"{SPACE}/sleeptime", ["POST"], sleep_time
    yield f"{SPACE}/secrets", ["GET", "POST", "DELETE"], secrets
    yield f"{SPACE}/variables", ["GET", "POST", "DELETE"], variables
    yield f"{SPACE}/logs/{{which}}", ["GET"], logs
    yield f"{SPACE}/events", ["GET"], events
    yield f"{SPACE}/volumes", ["PUT", "DELETE"], volumes
    yield f"{SPACE}/dev-mode", ["POST"], dev_mode


def hardware_list(_: Call) -> Response:
    """GET /api/spaces/hardware."""
    return JSONResponse(flavours.listing())


def runtime(call: Call) -> Response:
    """GET S/runtime."""
    return _runtime(call, call.repo())


def restart(call: Call) -> Response:
    """POST S/restart[?factory=true]: also what starts a paused or sleeping Space."""
    repo = call.repo(write=True)
    call.hub.space(repo).restart(rebuild=call.query.get("factory") == "true")
    return _runtime(call, repo)


def pause(call: Call) -> Response:
    """POST S/pause."""
    repo = call.repo(write=True)
    call.hub.space(repo).pause()
    return _runtime(call, repo)


def hardware(call: Call) -> Response:
    """POST S/hardware."""
    repo = call.repo(write=True)
    flavour = flavours.known_hardware(call.json().get("flavor"))
    changes: dict[str, Any] = {"hardware": flavour}
    if (seconds := call.json().get("sleepTimeSeconds")) is not None:
        changes["sleep_time"] = _seconds(seconds)
    if flavour == FREE_HARDWARE:
        changes["sleep_time"] = None
        sdk = call.hub.store.settings(repo).sdk
        call.hub.rules.check_plan(call.hub.accounts, repo.owner, sdk, flavour)
    call.hub.store.change(repo, lambda _: changes)
    call.hub.space(repo).changed()
    return _runtime(call, repo)


def sleep_time(call: Call) -> Response:
    """POST S/sleeptime; on free hardware without effect, as the client says after such a reply."""
    repo = call.repo(write=True)
    seconds = _seconds(call.json().get("seconds"))
    if call.hub.store.settings(repo).hardware != FREE_HARDWARE:
        call.hub.store.change(repo, lambda _: {"sleep_time": seconds})
    return _runtime(call, repo)


def secrets(call: Call) -> Response:
    """GET, POST and DELETE S/secrets: values go in and never come out."""
    return JSONResponse(
        {
            name: {"key": name, "updatedAt": setting.updated, "description": setting.description}
            for name, setting in _settings_of(call, "secrets").items()
        }
    )


def variables(call: Call) -> Response:
    """GET, POST and DELETE S/variables; each answers with all of them."""
    return JSONResponse(
        {
            name: {
                "key": name,
                "value": setting.value.get_secret_value(),
                "updatedAt": setting.updated,
                "description": setting.description,
            }
            for name, setting in _settings_of(call, "variables").items()
        }
    )


def _settings_of(call: Call, field: _Named) -> dict[str, Setting]:
    """Carry out the change that is asked for, if any; returns what there is then.

    A change restarts the app. Secrets are seen by those who may write only.
    """
    changes = call.method in ("POST", "DELETE")  # a route for GET is asked by HEAD, too
    repo = call.repo(write=changes or field == "secrets")
    found: dict[str, Setting] = getattr(call.hub.store.settings(repo), field)
    if not changes:
        return found
    name = checked_name(call.json().get("key"))
    if call.method == "POST":
        new = Setting(
            value=call.text("value"),
            updated=timestamp(),
            description=str(call.json().get("description") or ""),
        )

        def change(now: Settings) -> dict[str, Any]:
            return {field: {**getattr(now, field), name: new}}
    else:

        def change(now: Settings) -> dict[str, Any]:
            return {field: {k: v for k, v in getattr(now, field).items() if k != name}}

    after: dict[str, Setting] = getattr(call.hub.store.change(repo, change), field)
    call.hub.space(repo).changed()
    return after


def logs(call: Call) -> Response:
    """GET S/logs/build and S/logs/run: server-sent events, for as long as the client listens."""
    which = call.path["which"]
    if which not in ("build", "run"):
        raise HubError(404, "There are the logs build and run")
    tail = call.query.get("tail")
    if tail is not None and not (tail.isascii() and tail.isdigit()):
        raise bad_request('"tail" must be a number of lines')
    space = call.hub.space(call.repo(write=True))
    return stream_log(space, build=which == "build", tail=None if tail is None else int(tail))


def events(call: Call) -> Response:
    """GET S/events: the runtime, at once and whenever it changes."""
    repo = call.repo()
    return stream_runtime(call.hub.space(repo), lambda: call.hub.store.settings(repo))


class _Volumes(Asked):
    volumes: Annotated[list[Volume], Field(min_length=1)]


def volumes(call: Call) -> Response:
    """PUT and DELETE S/volumes: kept and shown; nothing is mounted."""
    repo = call.repo(write=True)
    wanted = parsed(_Volumes, call.json()).volumes if call.method == "PUT" else []
    call.hub.store.change(repo, lambda _: {"volumes": tuple(wanted)})
    call.hub.space(repo).changed()
    return JSONResponse({"volumes": [volume.shown() for volume in wanted]})


def dev_mode(call: Call) -> Response:
    """POST S/dev-mode."""
    call.repo(write=True)
    raise bad_request("A local Hub has no dev mode")


def _seconds(value: Any) -> int:
    """Those of a Space that is there may be 0, too: it sleeps as soon as nobody visits it."""
    is_zero = type(value) is int and value == 0
    if not is_zero and not can_be_sleep_time(value):
        raise bad_request("A sleep time is a number of seconds, or -1")
    return int(value)


def _runtime(call: Call, repo: Repo) -> Response:
    return JSONResponse(runtime_body(call.hub.space(repo), call.hub.store.settings(repo)))
