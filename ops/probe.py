"""A running server as a client sees it: its routes, and the keys that open a private Space."""

from __future__ import annotations

import contextlib
import math
import operator
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import httpx2
from pydantic import TypeAdapter

from ops.errors import ConfigError, NotAllowed, OpsError, TimedOut, Unhealthy
from ops.http_client import MIB, AnswerRefused, LimitedClient, Limits, OutOfTime, within
from ops.redaction import hide
from ops.refusals import is_health, is_page, led_away, quoted, raise_if_ended, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = list[float]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TOKEN_HEADERS = ("X-HF-Authorization", "Authorization")

_LIMITS = Limits(size=256 * MIB, seconds=600)
"""For an answer; a server may take this long for its largest requests."""

_REFUSAL_LIMIT = 15.0
"""Seconds after which a server that refuses us is taken to mean it."""

_STRANGER_LIMIT = 10.0
"""Seconds for the page of a server that may be asleep."""

_HEALTH_LIMIT = 5.0

REFUSED = (401, 403, 404)
"""How the Hub's proxy answers somebody whom it does not know: a private Space "does not exist"."""


@dataclass(frozen=True)
class Access:
    """What opens a server: a Hub token for a private Space, a key of the app's own."""

    hub_token: str | None = field(default=None, repr=False)
    app_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        hide(self.hub_token)
        hide(self.app_key)
        if self.app_key and not (self.app_key.isascii() and self.app_key.isprintable()):
            raise ConfigError(
                "The app's own key has characters in it that no header can carry.",
                next_step="Set EMBED_API_KEY to the key alone.",
            )

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


def is_space_or_local(url: str) -> bool:
    """Whether a Hub token may be sent there: a Space's own origin over https, or this machine."""
    server = _server_url(url)
    return server.host in _LOOPBACK or (
        server.scheme == "https" and server.host.endswith(".hf.space")
    )


def shows_itself(url: str) -> bool:
    """Whether everybody sees the page there, so that no Hub token is needed, whosever app it is."""
    try:
        with Probe(url, timeout=_STRANGER_LIMIT) as stranger:
            reply = stranger.look("/")
    except httpx2.RequestError:
        return False
    return reply.is_success and not reply.history  # it may have led to where people log in


class Probe:
    """An HTTP client for one server; a context manager.

    Raises:
        ConfigError: the URL is none of a server.
    """

    def __init__(self, url: str, access: Access = Access(), *, timeout: float = 60):
        self._home = _server_url(url)
        self.url = url.rstrip("/")
        self.access = access
        self._patience = timeout
        self._http = LimitedClient(
            limits=_LIMITS,
            base_url=self.url,
            # What is remembered from an earlier request would prove nothing.
            headers={"Cache-Control": "no-cache", **access.headers()},
            timeout=timeout,
            follow_redirects=True,
            trust_env=self._home.host not in _LOOPBACK,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """One request; raises httpx2.RequestError when no answer comes, or a strange one."""
        return self._http.request(method, path, **options)

    def look(self, path: str, *, limit: float | None = None) -> httpx2.Response:
        """A page of a server that may be anything, the whole of it within `limit` seconds.

        Raises:
            httpx2.RequestError: no answer comes, or a strange one.
        """
        limit = limit or self._patience
        try:
            return within(limit, lambda: self.request("GET", path, timeout=limit))
        except OutOfTime as error:
            raise AnswerRefused("its answer takes too long") from error

    def choose_header(self) -> None:
        """Put the Hub's token where this Space's proxy takes it from.

        A Space that does not answer yet leaves it where it is; `wait_until_healthy` asks again.
        """
        if not self.access.hub_token:
            return
        with contextlib.suppress(httpx2.RequestError):
            if self.look("/livez").status_code in REFUSED:
                self._move_token()

    def _move_token(self) -> None:
        """Put the Hub's token into the other of the two headers it may be in."""
        to_authorization = "X-HF-Authorization" in self._http.headers
        for name in _TOKEN_HEADERS:
            self._http.headers.pop(name, None)
        self._http.headers.update(self.access.headers(in_authorization=to_authorization))

    def wait_until_healthy(
        self, *, limit: float, still_running: Callable[[], None] = lambda: None
    ) -> float:
        """Wait for /health to say so; returns the seconds that it took.

        `still_running` is asked after each try that failed, and raises when there is nothing to
        wait for.

        Raises:
            TimedOut: not healthy within `limit` seconds.
            NotAllowed: refused for a good while.
            NotRunning, BuildFailed, SpaceConfigError, Unhealthy: it says itself that it won't be.
        """
        started = allowed = time.monotonic()
        last: httpx2.Response | httpx2.RequestError | None = None
        pause = 0.05
        while (waited := time.monotonic() - started) < limit:
            if not self._refused(last):
                allowed = time.monotonic()
            elif time.monotonic() - allowed > _REFUSAL_LIMIT:
                break
            last = self._asked_for_health()
            if isinstance(last, httpx2.Response) and is_health(last):
                return time.monotonic() - started
            still_running()  # which may know more about it
            if isinstance(last, httpx2.Response):
                raise_if_ended(last, self.url)
            if self._refused(last) and self.access.hub_token:
                self._move_token()
            time.sleep(min(pause, max(limit - waited, 0)))
            pause = min(pause * 1.5, 1.0)
        raise self._gave_up(last, min(waited, limit))

    def _asked_for_health(self) -> httpx2.Response | httpx2.RequestError:
        try:
            return self.look("/health", limit=_HEALTH_LIMIT)
        except httpx2.RequestError as error:
            return error

    def _refused(self, answer: object) -> bool:
        """Whether that is how somebody is answered who may not come in."""
        return isinstance(answer, httpx2.Response) and (
            answer.status_code in REFUSED or led_away(answer)
        )

    def _gave_up(self, last: object, waited: float) -> OpsError:
        late = f"{self.url} was not healthy within {waited:.0f} s; its last answer was"
        if not isinstance(last, httpx2.Response):
            answer = type(last).__name__ if last is not None else "nothing"
            return TimedOut(
                f"{late} {answer}.",
                cause="The server does not listen on its port, or its model does not load.",
                next_step="Read its log: the lines above, or `ops logs` for a Space.",
            )
        why = refusal(last, self.url, self.access)
        if isinstance(why, NotAllowed) and last.status_code != httpx2.codes.NOT_FOUND:
            return why
        return TimedOut(f"{late} {quoted(last)}.", cause=why.cause, next_step=why.next_step)

    def info(self) -> ServerInfo:
        """What the server says of itself.

        Raises:
            NotAllowed: it wants a key or a token.
            OpsError: whatever else it said instead.
        """
        try:
            reply = self.look("/info")
        except httpx2.RequestError as error:
            raise Unhealthy(
                f"{self.url}/info does not answer ({type(error).__name__}).",
                cause="The server is not up, or its address is another.",
                next_step="Check the address; `ops status` shows what a Space does.",
            ) from error
        if not reply.is_success or is_page(reply) or led_away(reply):
            raise refusal(reply, self.url, self.access)
        try:
            body = reply.json()
            return _SERVER_INFO.validate_python({**body, **body["limits"]})
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Unhealthy(
                f"{self.url}/info does not describe an embedding server.",
                cause="Another app answers there.",
                next_step=f"Check the address: open {self.url} in a browser.",
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


_SERVER_INFO = TypeAdapter(ServerInfo)


def cosine(a: Vector, b: Vector) -> float:
    """Cosine of two vectors; 0 when one is all zeros or isn't all numbers."""
    if len(a) != len(b):
        return 0.0
    lengths = math.hypot(*a) * math.hypot(*b)
    # NaN would pass or fail each comparison by the way it is written.
    return sum(map(operator.mul, a, b)) / lengths if 0 < lengths < math.inf else 0.0


def _server_url(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL()
    if parsed.userinfo:
        raise ConfigError(
            "A URL with a password in it ends up in logs.",
            next_step="Leave it out, and put the key into an environment variable.",
        )
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(
            f"{url!r} is no URL of a server.",
            next_step="Write it in full, such as https://owner-name.hf.space.",
        )
    return parsed
