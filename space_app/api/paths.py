"""Paths as clients put them together: a slash too many is left out before routes are compared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_SLASHES = re.compile("/{2,}")


class OneSlash:
    """`https://space/` and `/embed` make `//embed`, which LlamaIndex would not even report."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below."""
        path = scope.get("path", "/")
        if "//" in path or (path.endswith("/") and path != "/"):
            scope["path"] = _SLASHES.sub("/", path).rstrip("/") or "/"
        await self._app(scope, receive, send)
