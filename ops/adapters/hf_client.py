"""How the client library sends requests: once, within limits, each token to its own Hub."""

from __future__ import annotations

from typing import Any

import httpx2
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.utils._http import hf_raise_for_status

from ops.http_client import LimitedClient, is_same_place

TOO_MANY = 429
SERVER_ERRORS = frozenset({500, 502, 503, 504})

_TIMEOUT = httpx2.Timeout(60, connect=20)

_homes: dict[str, set[httpx2.URL]] = {}
"""Token -> the Hubs that it is for."""


class RequestLost(httpx2.TransportError):
    """A request that nobody answered; says in what way."""


class OneTry(LimitedClient):
    """What the client library shall send its requests by: each goes out once.

    By itself the library tries some of them again, within each try of `Retries`: for 23 seconds or
    as long as Retry-After says, with lines of its own on stderr. What it does so for comes from
    here as errors that it passes on.

    The library also sends the token along wherever an answer says that the next page or the next
    step of an upload is; `guard` takes it off where that is no Hub that the token is for.
    """

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """As any client; raises for what may be tried again."""
        try:
            response = super().send(request, **options)
        except httpx2.TransportError as error:
            raise RequestLost(type(error).__name__) from error
        if response.status_code in SERVER_ERRORS | {TOO_MANY}:
            hf_raise_for_status(response)
        return response

    def guard(self, request: httpx2.Request) -> None:
        """As the client that this is, and without a token that is for another Hub."""
        super().guard(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        homes = _homes.get(token)
        if homes is not None and not any(is_same_place(home, request.url) for home in homes):
            del request.headers["Authorization"]


def keep_at_home(token: str | None, endpoint: str) -> None:
    """Have a token sent to this Hub, and to no other origin but those named so before."""
    if token is not None:
        _homes.setdefault(token, set()).add(httpx2.URL(endpoint))


def configure() -> None:
    """Have the library send by `OneTry`, tell nobody of this machine, and take tokens from us only.

    Its telemetry asks the Hub for a list of programs that might run it and keeps the answer for a
    day, whatever that was: junk in it breaks every later command.
    """
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DISABLE_IMPLICIT_TOKEN = True
    huggingface_hub.set_client_factory(lambda: OneTry(follow_redirects=True, timeout=_TIMEOUT))
