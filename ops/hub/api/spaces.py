"""Handlers for what only Spaces have: runtime, settings, secrets, variables, logs."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal

from starlette.responses import JSONResponse, Response, StreamingResponse

from ops.hub import hardware as flavours
from ops.hub.api.call import SPACE
from ops.hub.errors import HubError, bad_request
from ops.hub.space import runtime as runtime_body
from ops.hub.store import Setting, checked_name
from ops.hub.timestamp import timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ops.hub.api.call import Call, Route
    from ops.hub.space import Space
    from ops.hub.store import Repo, Settings

_KEEP_ALIVE = 15.0
_FOLLOW_EVERY = 0.1
Field = Literal["secrets", "variables"]


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


def hardware_list(_: Call) -> Response:
    """GET /api/spaces/hardware."""
    return JSONResponse(flavours.listing())


def runtime(call: Call) -> Response:
    """GET S/runtime."""
    return _runtime(call, call.repo())


def restart(call: Call) -> Response:
    """POST S/restart[?factory=true]: also what starts a paused Space."""
    repo = call.repo(write=True)
    call.hub.space(repo).run(rebuild=call.query.get("factory") == "true")
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
    call.hub.store.change(repo, lambda _: changes)
    call.hub.space(repo).run()
    return _runtime(call, repo)


def sleep_time(call: Call) -> Response:
    """POST S/sleeptime: kept and shown; a local Hub lets no Space sleep yet."""
    repo = call.repo(write=True)
    seconds = _seconds(call.json().get("seconds"))
    if call.hub.store.settings(repo).hardware == "cpu-basic":
        raise bad_request("The sleep time of cpu-basic cannot be changed")
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


def _settings_of(call: Call, field: Field) -> dict[str, Setting]:
    """Carry out the change that is asked for, if any; returns what there is then.

    A change restarts the app. Secrets are seen by those who may write only.
    """
    repo = call.repo(write=call.method != "GET" or field == "secrets")
    found: dict[str, Setting] = getattr(call.hub.store.settings(repo), field)
    if call.method == "GET":
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
    call.hub.space(repo).run()
    return after


def logs(call: Call) -> Response:
    """GET S/logs/build and S/logs/run: server-sent events, for as long as the client listens."""
    which = call.path["which"]
    if which not in ("build", "run"):
        raise HubError(404, "There are the logs build and run")
    space = call.hub.space(call.repo(write=True))
    # The client reads up to the line that is newer than this header; it must not lag behind.
    headers = {"Date": formatdate(usegmt=True)}
    return StreamingResponse(
        _events(space, build=which == "build"), media_type="text/event-stream", headers=headers
    )


async def _events(space: Space, *, build: bool) -> AsyncIterator[str]:
    """Lines of the newest log; a build or start that begins meanwhile is followed too."""
    log, number = None, 0
    quiet_since = time.monotonic()
    while space.state.stage != "DELETING":
        current = space.build_log if build else space.run_log
        if current is not log:
            log, number = current, 0
        number, lines = log.since(number)
        for line in lines:
            event = {"data": line.text + "\n", "timestamp": line.timestamp}
            yield f"data: {json.dumps(event)}\n\n"
        if lines:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > _KEEP_ALIVE:
            quiet_since = time.monotonic()
            yield "data:\n\n"
        await asyncio.sleep(_FOLLOW_EVERY)


def _seconds(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < -1:
        raise bad_request("A sleep time is a number of seconds, or -1")
    return value


def _runtime(call: Call, repo: Repo) -> Response:
    return JSONResponse(runtime_body(call.hub.space(repo), call.hub.store.settings(repo)))
