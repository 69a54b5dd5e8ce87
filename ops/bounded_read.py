"""Reads a file or stdin that a user names, and that may never end."""

from __future__ import annotations

import errno
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1024 * 1024
"""Bytes; a value, a .env file or a configuration is far smaller."""


class TooLarge(OSError):
    """More than the limit; a device without an end among others."""

    def __init__(self, most: int):
        super().__init__(errno.EFBIG, f"it is larger than {most / 1024:.0f} KiB")


def read_file(path: Path, most: int = MOST) -> bytes:
    """The content of a file; raises OSError, TooLarge among them."""
    with path.open("rb") as file:
        return read_stream(file, most)


def read_stream(stream: IO[bytes], most: int = MOST) -> bytes:
    """All that a stream has; raises TooLarge."""
    content = stream.read(most + 1)
    if len(content) > most:
        raise TooLarge(most)
    return content
