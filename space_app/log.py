"""The log: one plain line for each thing that happened, and never what somebody sent."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


def configure(level: int) -> None:
    """Write everything at or above `level` to stderr, libraries from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    logging.getLogger("space_app").setLevel(level)


class OneLine(logging.Formatter):
    """Keeps a record on one line; of an exception only its type and place.

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
        return " | ".join(super().format(record).splitlines())


def describe(error: BaseException) -> str:
    """An exception's type and where it was raised, nothing that it says."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
