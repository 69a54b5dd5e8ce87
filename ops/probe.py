"""A running server as a client sees it: its routes, and the keys that open a private Space."""

from __future__ import annotations

import math
import operator
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import httpx2

from ops.errors import TimedOut, Unhealthy

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = list[float]

_REFUSED = (401, 403, 404)
"""How the Hub's proxy answers somebody whom it does not know: a private Space "does not exist"."""


@dataclass(frozen=True)
class Access:
    """What opens a server: a Hub token for a private Space, a key of the app's own."""

    hub_token: str | None = field(default=None, repr=False)
    app_key: str | None = field(default=None, repr=False)

    def headers(self, *, in_authorization: bool = False) -> dict[str, str]:
        """The headers that carry them.

        The Hub's proxy takes its token from X-HF-Authorization and leaves Authorization to the
        app (gradio-app/gradio#11700). Where a proxy does not, the token goes into Authorization;
        the app's key is in X-API-Key, out of its way, in both cases.
        """
        headers = {}
        if self.hub_token:
            name = "Authorization" if in_authorization else "X-HF-Authorization"
            headers[name] = f"Bearer {self.hub_token}"
        if self.app_key:
            headers["X-API-Key"] = self.app_key
        return headers


class Probe:
    """An HTTP client for one server; a context manager."""

    def __init__(self, url: str, access: Access = Access(), *, timeout: float = 60):
        self.url = url.rstrip("/")
        self._access = access
        self._http = httpx2.Client(
            base_url=self.url,
            headers=access.headers(),
            timeout=timeout,
            follow_redirects=True,
            trust_env=not _is_loopback(self.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """One request; transport errors are httpx2's own."""
        return self._http.request(method, path, **options)

    def choose_header(self) -> None:
        """Put the Hub's token where this Space's proxy takes it from."""
        if not self._access.hub_token:
            return
        if self.request("GET", "/livez").status_code in _REFUSED:
            self._http.headers.pop("X-HF-Authorization", None)
            self._http.headers.update(self._access.headers(in_authorization=True))

    def wait_until_healthy(
        self, *, limit: float, still_running: Callable[[], None] = lambda: None
    ) -> float:
        """Wait for /health to say so; returns the seconds that it took.

        `still_running` is asked between tries and raises when there is nothing to wait for.

        Raises:
            TimedOut: not healthy within `limit` seconds.
        """
        started = time.monotonic()
        answer = "nothing"
        pause = 0.05
        while (waited := time.monotonic() - started) < limit:
            still_running()
            try:
                response = self.request("GET", "/health", timeout=5)
            except httpx2.TransportError as error:
                answer = type(error).__name__
            else:
                if response.status_code == httpx2.codes.OK:
                    return time.monotonic() - started
                answer = f"status {response.status_code}"
            time.sleep(min(pause, max(limit - waited, 0)))
            pause = min(pause * 1.5, 1.0)
        raise TimedOut(
            f"{self.url} was not healthy within {limit:.0f} s; its last answer was {answer}.",
            cause="The server does not listen on its port, or its model does not load.",
            next_step="Read its log: ops logs --run, or the lines above.",
        )

    def info(self) -> ServerInfo:
        """What the server says of itself; raises Unhealthy when it is none of this project's."""
        try:
            reply = self.request("GET", "/info").json()
            return ServerInfo(
                model=reply["model"],
                dimensions=reply["dimensions"],
                query_instruction=reply["query_instruction"],
                document_instruction=reply["document_instruction"],
                max_payload_mb=reply["limits"]["max_payload_mb"],
                max_inputs=reply["limits"]["max_inputs"],
                max_length=reply["max_length"],
                fingerprint=reply["fingerprint"],
                api_key_required=reply["api_key_required"],
            )
        except (httpx2.TransportError, ValueError, KeyError, TypeError) as error:
            raise Unhealthy(
                f"{self.url}/info does not describe an embedding server.",
                cause="Another app answers there, or a proxy in front of it refuses the token.",
                next_step="Open the URL in a browser; check the token.",
            ) from error


@dataclass(frozen=True)
class ServerInfo:
    """What GET /info says, as far as checks need it. `max_length` is in tokens."""

    model: str
    dimensions: int
    query_instruction: str
    document_instruction: str
    max_payload_mb: int
    max_inputs: int
    max_length: int
    fingerprint: str
    api_key_required: bool


def cosine(a: Vector, b: Vector) -> float:
    """Cosine of two vectors, 0 when one has no length."""
    if len(a) != len(b):
        return 0.0
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(map(operator.mul, a, b)) / lengths if lengths else 0.0


def _is_loopback(url: str) -> bool:
    return httpx2.URL(url).host in ("127.0.0.1", "localhost", "::1")
