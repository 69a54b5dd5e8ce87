"""GET /docs: the API reference, Swagger UI from its package rather than from somebody's CDN."""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib import metadata, resources
from pathlib import Path

from fastapi import APIRouter, Request, Response

from space_app.api import page

_PACKAGE = "fastapi_swagger"
"""Only its files are used: what its code would add to the app, this module does with a policy."""

_FILE = Path(__file__).with_name("docs.html")
# It sets style attributes and adds style sheets of its own, and icons as data.
_POLICY = (
    "default-src 'none'; script-src 'self' {script}; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors *"
)
_A_YEAR = 31_536_000


def router() -> APIRouter:
    """The page and its two files; handlers that read files run off the event loop."""
    routes = APIRouter(include_in_schema=False)
    for path, handler in (
        ("/docs", index),
        ("/docs/swagger-ui.js", script),
        ("/docs/swagger-ui.css", style),
    ):
        routes.add_api_route(path, handler, methods=["GET", "HEAD"])
    return routes


def index() -> Response:
    """The page."""
    text = _FILE.read_text(encoding="utf-8").replace("%version%", metadata.version(_PACKAGE))
    policy = _POLICY.format(script=page.hashes(text, "script"))
    return Response(text, media_type="text/html", headers=page.headers(policy))


def script(request: Request) -> Response:
    """Swagger UI."""
    return _file(request, "swagger-ui-bundle.js", "text/javascript")


def style(request: Request) -> Response:
    """Its style sheet."""
    return _file(request, "swagger-ui.css", "text/css")


def _file(request: Request, name: str, media_type: str) -> Response:
    """A file that is kept by browsers for good: its address names the package's version."""
    headers = {
        "Cache-Control": f"public, max-age={_A_YEAR}, immutable",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(_compressed(name), media_type=media_type, headers=headers)
    return Response(_content(name), media_type=media_type, headers=headers)


def _content(name: str) -> bytes:
    return resources.files(_PACKAGE).joinpath("resources", name).read_bytes()


@lru_cache
def _compressed(name: str) -> bytes:
    """A quarter of the size; made once, when it is first asked for."""
    return gzip.compress(_content(name), mtime=0)
