"""Long requests to a Docker engine, and the lines of what it says meanwhile."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import docker
from docker.errors import APIError

from ops.adapters.docker_errors import engine_errors, explanation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import requests

    from ops.runner import Log

REQUEST_LIMIT = 60

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Terminal control sequences; the engine itself colours what a build writes to stderr."""


class Lines:
    """Makes lines of a stream's pieces, and tells each to all takers, without colours."""

    def __init__(self, *takers: Log):
        self._takers = takers
        self._rest = ""

    def feed(self, text: str) -> None:
        """The next piece."""
        *lines, self._rest = re.split(r"\r\n|[\r\n]", self._rest + text)
        for line in lines:
            self._tell(line)

    def end(self) -> None:
        """There is no more: tell a last line that has no newline."""
        if self._rest:
            self._tell(self._rest)
        self._rest = ""

    def _tell(self, line: str) -> None:
        plain = _COLOURS.sub("", line)
        for taker in self._takers:
            taker(plain)


@contextmanager
def streaming(
    call: Callable[[docker.APIClient], Iterator[dict[str, Any]]],
) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a long request, over a connection of its own that is cut when we leave.

    Cutting it is what tells the engine to give up a build or a pull. The library keeps the
    response to itself, hence the hook.
    """
    responses: list[requests.Response] = []

    def keep(response: requests.Response, **_: object) -> None:
        responses.append(response)

    with engine_errors():
        client = docker.from_env(timeout=REQUEST_LIMIT)
    client.api.hooks["response"].append(keep)
    try:
        yield _events(lambda: call(client.api))
    finally:
        for response in responses:
            response.close()
        client.close()


def _events(call: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """What the call yields; a refusal of the whole request reads as one that came in between."""
    with engine_errors(but=APIError):
        try:
            yield from call()
        except APIError as error:
            yield {"error": explanation(error)}


def text_of(event: Mapping[str, Any]) -> str:
    """What an event says to people; progress bars say nothing."""
    if "stream" in event:
        return str(event["stream"])
    if "status" in event and not event.get("progressDetail"):
        layer = f"{event['id']}: " if "id" in event else ""
        return f"{layer}{event['status']}\n"
    if "error" in event:
        return f"{event['error']}\n"
    return ""
