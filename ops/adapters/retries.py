"""Tries again what the Hub refused for now, or may never have seen; never does a write twice."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils._http import parse_ratelimit_headers

from ops.adapters.hf_client import SERVER_ERRORS, TOO_MANY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class NoAnswer(Exception):
    """A program that speaks with the Hub for us, such as git, got no whole answer."""


_Failure = HfHubHTTPError | httpx2.TransportError | NoAnswer
_FAILURES = (HfHubHTTPError, httpx2.TransportError, NoAnswer)


@dataclass(frozen=True)
class Retries:
    """How often to try, and how long to wait in between, in seconds.

    Waits double from `first_wait`; where the Hub says how long, that is obeyed, up to
    `longest_wait`. `say` is told of every wait.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 300
    say: Callable[[str], None] = lambda _: None

    def read(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer; the last failure is raised as it came."""
        return self._tried(ask, lambda: None)

    def write(self, do: Callable[[], T], landed: Callable[[], T | None]) -> T:
        """Write once.

        A failure that leaves open whether the write was done (no reply, or a server error) is
        followed by a look: `landed` returns what `do` would have, or None when it was not done.
        """
        looking = replace(self, tries=2)
        return self._tried(do, lambda: looking.read(landed))

    def _tried(self, do: Callable[[], T], landed: Callable[[], T | None]) -> T:
        for turns_left in reversed(range(self.tries)):
            try:
                return do()
            except _FAILURES as error:
                wait = self._wait(error, self.tries - 1 - turns_left)
                if wait is None:
                    raise
                if turns_left:
                    self.say(f"{_reason(error)}; trying again in {wait:.0f} s")
                    time.sleep(wait)
                if _undecided(error) and (found := landed()) is not None:
                    return found
                if not turns_left:
                    raise
        raise AssertionError  # the last try returns or raises

    def _wait(self, error: _Failure, turn: int) -> float | None:
        """Seconds until the next try; None when none would help."""
        doubling = float(self.first_wait * 2**turn)
        if not isinstance(error, HfHubHTTPError):
            return doubling
        status = error.response.status_code
        if status not in SERVER_ERRORS | {TOO_MANY}:
            return None
        asked = _asked_wait(error.response.headers)
        if asked is None:
            return doubling
        return asked if asked <= self.longest_wait else None


def _undecided(error: _Failure) -> bool:
    """Whether what was asked for may have been done all the same."""
    return not isinstance(error, HfHubHTTPError) or error.response.status_code != TOO_MANY


def _reason(error: _Failure) -> str:
    if isinstance(error, HfHubHTTPError):
        return f"The Hub answered {error.response.status_code}"
    if isinstance(error, NoAnswer):
        return str(error)
    return f"The Hub did not answer ({error})"


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """What Retry-After (RFC 9110, 10.2.3) or RateLimit asks for, in seconds."""
    if (value := headers.get("retry-after", "")).isdigit():
        return float(value)
    limits = parse_ratelimit_headers(headers)
    if limits is not None and limits.remaining == 0:
        return float(limits.reset_in_seconds)
    return None
