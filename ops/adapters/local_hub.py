"""The part of a running local Hub that huggingface.co has not: its faults."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx2
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from ops.errors import ConfigError, NotAHub, NotAllowed, NotRunning, OpsError
from ops.http_client import MIB, LimitedClient, Limits, OutOfTime, within

_TIMEOUT = 10.0
_LIMITS = Limits(size=MIB, seconds=20)
_BAD_REQUEST = 400
_NOT_ALLOWED = (401, 403)


@checked(frozen=True)
class Ordered:
    """A fault that is still to come; `taken` is how often it has happened."""

    number: int
    fault: str
    taken: int


_ORDERED = TypeAdapter(list[Ordered])


@dataclass(frozen=True)
class LocalHubFaults:
    """Asks a Hub by its endpoint."""

    endpoint: str
    token: str = field(repr=False)

    def ordered(self) -> list[Ordered]:
        """All that are still to come."""
        return self._faults("GET")

    def add(self, fault: str) -> list[Ordered]:
        """Order one; raises ConfigError for one that the Hub cannot read."""
        return self._faults("POST", {"fault": fault})

    def clear(self) -> list[Ordered]:
        """Call off all."""
        return self._faults("DELETE")

    def remove(self, number: int) -> None:
        """Call off one; raises ConfigError when there is none of that number."""
        self._ask("DELETE", f"/{number}", None)

    def _faults(self, method: str, body: dict[str, str] | None = None) -> list[Ordered]:
        reply = self._ask(method, "", body)
        try:
            return _ORDERED.validate_json(reply.content)
        except ValidationError as error:
            raise NotAHub(
                f"{self.endpoint} did not answer like a local Hub.",
                cause="Another server listens there.",
                next_step="Start one with ops hub serve, or give its URL with --url.",
            ) from error

    def _ask(self, method: str, path: str, body: dict[str, str] | None) -> httpx2.Response:
        url = f"{self.endpoint.rstrip('/')}/_local/faults{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            with LimitedClient(limits=_LIMITS, timeout=_TIMEOUT, trust_env=False) as http:
                reply = within(
                    _LIMITS.seconds,
                    lambda: http.request(method, url, headers=headers, json=body),
                )
        except (httpx2.RequestError, httpx2.InvalidURL, OutOfTime) as error:
            raise NotRunning(
                f"No Hub answers at {self.endpoint}.",
                next_step="Start one with ops hub serve, or give its URL with --url.",
            ) from error
        if not reply.is_success:
            raise self._refusal(reply)
        return reply

    def _refusal(self, reply: httpx2.Response) -> OpsError:
        if reply.status_code in _NOT_ALLOWED:
            return NotAllowed(
                f"{self.endpoint} takes no orders of this token (HTTP {reply.status_code}).",
                next_step="Set HF_TOKEN as ops hub serve prints it.",
            )
        if reply.status_code == _BAD_REQUEST:
            return ConfigError(
                f"The Hub cannot read the fault: {_said(reply)}.",
                next_step="ops hub fault add --help",
            )
        return ConfigError(
            f"{self.endpoint} has no such fault, or is no local Hub (HTTP {reply.status_code}).",
            next_step="ops hub fault list; give the URL that ops hub serve prints with --url.",
        )


def _said(reply: httpx2.Response) -> str:
    try:
        return str(reply.json()["error"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return "it does not say why"
