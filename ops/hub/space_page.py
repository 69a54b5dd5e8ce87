"""What a Space's origin says in place of its app: small pages for browsers, a line for others."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Send

STAGE_HEADER = "X-Space-Stage"

_REFUSALS = {
    404: "Sorry, we can't find the page you are looking for.",
    413: "The payload is larger than 10 MB.",
    501: "A local Hub passes on no WebSockets, and nothing else that upgrades a connection.",
    502: "The Space does not answer.",
}
_STAGES = {
    "PAUSED": "This Space is paused. Its owner can restart it.",
    "SLEEPING": "This Space is asleep.",
    "STOPPED": "This Space is stopped: too many Spaces of its owner run.",
    "BUILDING": "This Space is building.",
    "APP_STARTING": "This Space is starting.",
    "NO_APP_FILE": "This Space has no application file.",
    "CONFIG_ERROR": "This Space has a configuration error.",
    "BUILD_ERROR": "This Space could not be built.",
    "RUNTIME_ERROR": "This Space has a runtime error.",
}
_PASSING = ("BUILDING", "APP_STARTING", "RUNNING", "SLEEPING")
_RELOAD = '<meta http-equiv="refresh" content="3">'
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">{reload}
<title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;margin:20vh auto;max-width:34rem;padding:0 1rem}}
code{{font-size:.9em}}</style>
<main><h1>{title}</h1>{stage}</main>
</html>
"""


async def answer_in_place(
    request: Request, send: Send, status: int, stage: str | None = None
) -> None:
    """Send a refusal, or the stage of a Space that does not serve."""
    await _response(request, status, stage)(request.scope, request.receive, send)


def _response(request: Request, status: int, stage: str | None) -> Response:
    said = _STAGES.get(stage, "This Space is not running.") if stage else _REFUSALS[status]
    headers = {"Cache-Control": "no-store"} | ({STAGE_HEADER: stage} if stage else {})
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse(f"{said}{f' ({stage})' if stage else ''}\n", status, headers)
    page = _PAGE.format(
        title=escape(said),
        stage=f"<p>Stage: <code>{escape(stage)}</code></p>" if stage else "",
        reload=_RELOAD if stage in _PASSING else "",
    )
    return HTMLResponse(page, status, headers)
