"""Times as the Hub writes them: ISO 8601 in UTC, milliseconds, Z; its client reads nothing else."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def seconds(text: str) -> float:
    """A time as written here, in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def timestamp(seconds: float | None = None) -> str:
    """A time given in seconds since 1970; by default now."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
