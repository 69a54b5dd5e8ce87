"""The log: one line for each thing that happened, plain or JSON, and never what somebody sent."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered: what is logged meanwhile carries it."""

_JSON = json.JSONEncoder(separators=(",", ":"))
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:")


def configure(level: int, style: str = "text", *, handler: logging.Handler | None = None) -> None:
    """Log everything at or above `level`, libraries from warnings on.

    Args:
        level: as the logging module counts it.
        style: `text` for people, `json` for what collects logs.
        handler: what writes it; by default, it goes to standard error at once.
    """
    handler = handler or logging.StreamHandler(sys.stderr)
    line = "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(JsonLine() if style == "json" else OneLine(line))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    logging.getLogger("space_app").setLevel(level)
    # Each try to reach a collector is a warning; that spans were lost in the end is an error.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)


class OneLine(logging.Formatter):
    """Keeps a record on one line, its fields behind; of an exception only its type and place.

    An exception's text may quote what it choked on, which here is a user's input.
    """

    def formatException(  # noqa: N802 -- the name that logging calls
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Such as `RuntimeError at torch.py:57`."""
        return "" if ei[1] is None else describe(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        """The record without line breaks."""
        line = " | ".join(super().format(record).splitlines())
        return " ".join((line, *(f"{name}={_shown(value)}" for name, value in fields(record))))


class JsonLine(OneLine):
    """A record as one JSON object: time, level, logger, message, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, without line breaks."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update(fields(record))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _JSON.encode(entry)


def fields(record: logging.LogRecord) -> list[tuple[str, object]]:
    """What is known besides the message: the request's id, and `extra={"fields": {…}}`."""
    request_id = REQUEST_ID.get()
    found: list[tuple[str, object]] = [("request_id", request_id)] if request_id else []
    found += getattr(record, "fields", {}).items()
    return found


def describe(error: BaseException) -> str:
    """An exception's type and where it was raised, nothing that it says."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _shown(value: object) -> str:
    text = str(value)
    return text if text and _BARE.issuperset(text) else _JSON.encode(text)
