"""Counts what a JSON body holds before it is parsed.

Parsing makes an object of every value in one go, and nothing else runs in Python meanwhile: a body
of 880,000 keys would stop every other request for a second. Counting takes a fraction of the time,
and others run between the pieces.
"""

from __future__ import annotations

from typing import NamedTuple

_PIECE = 64 * 1024
"""Bytes that are looked at in one go: about a tenth of a millisecond."""


class Structure(NamedTuple):
    """How many of each a body holds, or may hold."""

    lists_and_objects: int
    strings: int
    """Keys included."""
    values: int
    """Counted by the commas between them."""


def excess(body: bytes, most: Structure) -> str | None:
    """Name a kind that the body has too many of, or None.

    Exact up to the first byte that isn't JSON, where a parser stops as well.
    """
    # Each takes a byte at least, so a short body needs no counting.
    if len(body) <= min(most):
        return None
    containers = quotes = commas = 0
    rest = b""
    for start in range(0, len(body), _PIECE):
        piece = rest + body[start : start + _PIECE]
        # In this order: a quote behind a pair of backslashes does end its string.
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        rest = b"\\" if piece.endswith(b"\\") else b""
        parts = piece.split(b'"')
        outside = b"".join(parts[quotes % 2 :: 2])
        quotes += len(parts) - 1
        containers += outside.count(b"[") + outside.count(b"{")
        commas += outside.count(b",")
        found = Structure(containers, quotes // 2, commas)
        for name, number, allowed in zip(Structure._fields, found, most, strict=True):
            if number > allowed:
                return name
    return None
