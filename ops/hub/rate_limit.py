"""A limit on how often a caller may ask, with the headers by which the client paces itself."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from ops.hub.accounts import credentials
from ops.hub.errors import HubError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ops.hub.rules import Rules
    from ops.hub.state import HubState

_API = "/api/"


def window_headers(
    what: str, limit: int, remaining: int, *, reset: int, window: int
) -> dict[str, str]:
    """As the client parses them (`parse_ratelimit_headers` in its `_http.py`)."""
    return {
        "RateLimit": f'"{what}";r={remaining};t={reset}',
        "RateLimit-Policy": f'"fixed window";"{what}";q={limit};w={window}',
    }


@dataclass
class _Window:
    began: float
    used: int = 0


@dataclass(frozen=True)
class RateLimited:
    """An ASGI app around another one; counts requests to the API, as `hub.rules` has it."""

    app: ASGIApp
    hub: HubState
    _windows: dict[str, _Window] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on while its caller has some left."""
        rules = self.hub.rules
        if scope["type"] != "http" or rules.requests is None or not scope["path"].startswith(_API):
            await self.app(scope, receive, send)
            return
        remaining, reset = self._count(Headers(scope=scope), rules.requests, rules)
        headers = window_headers(
            "api", rules.requests, max(remaining, 0), reset=reset, window=rules.window
        )
        if remaining < 0:
            await HubError(429, "You have sent too many requests", headers=headers).response()(
                scope, receive, send
            )
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _count(self, headers: Headers, limit: int, rules: Rules) -> tuple[int, int]:
        """What a caller has left, below zero for too many, and seconds until it starts anew."""
        caller = self.hub.accounts.caller(credentials(headers.get("authorization")))
        name = caller.user.name if caller is not None else ""
        now = time.monotonic()
        with self._lock:
            window = self._windows.get(name)
            if window is None or now - window.began >= rules.window:
                window = self._windows[name] = _Window(now)
            window.used += 1
            return limit - window.used, int(window.began + rules.window - now) + 1
