"""How the Hub sends the log of a build or of an app: server-sent events, without an end."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx2
from huggingface_hub.utils._datetime import parse_datetime

from ops.http_client import MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

QUIET = 5.0
"""Seconds without an event after which a log that is not followed is at its end, as the client
has it; `SILENT` is for one that is followed, where the Hub sends something now and then."""
SILENT = 120.0

LOG_SO_FAR = Limits(size=256 * MIB, seconds=60)
"""For a log that isn't followed: one that never pauses would never end."""

_LARGEST_EVENT = 16 * MIB


@dataclass(frozen=True)
class LogLine:
    """A line of a log, without its newline, and when the Hub took it down."""

    time: datetime
    text: str


def lines_to_come(response: httpx2.Response) -> Iterator[LogLine]:
    """Everything as it comes."""
    for time, text in _events(response):
        yield from _split(time, text)


def lines_so_far(response: httpx2.Response) -> Iterator[LogLine]:
    """What is there already: up to the first line after the reply's own time, or to silence."""
    until = None
    if date := response.headers.get("date"):
        with suppress(ValueError):
            # The header has whole seconds.
            until = parsedate_to_datetime(date).replace(tzinfo=UTC) + timedelta(seconds=1)
    try:
        for time, text in _events(response):
            if until is not None and time > until:
                return
            yield from _split(time, text)
    except httpx2.ReadTimeout:
        return


def _events(response: httpx2.Response) -> Iterator[tuple[datetime, str]]:
    """Time and text of server-sent events `data: {"data": ..., "timestamp": ...}`."""
    for event in httpx2.EventSource(response, max_event_size=_LARGEST_EVENT):
        try:
            told = json.loads(event.data)
            time, text = parse_datetime(told["timestamp"]), told["data"]
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            continue  # not a line of a log
        if isinstance(text, str):
            yield time, text


def _split(time: datetime, text: str) -> Iterator[LogLine]:
    """An event's lines; one without even a newline has none."""
    if text:
        for line in text.removesuffix("\n").split("\n"):
            yield LogLine(time, line)
