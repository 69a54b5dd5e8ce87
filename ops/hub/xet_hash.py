"""The hashes by which Xet names chunks, xorbs and ranges of them, and their way to be written.

From huggingface.co/docs/xet: "Hashing" and "CAS API", "Converting hashes to strings". The size of
a tree's branches is in xet-core, merklehash/aggregated_hashes.rs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blake3 import blake3

from ops.hub.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = 32
_WORD = 8
_TEXT = re.compile(r"[0-9a-f]{64}")
_CHUNK_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
_NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
_RANGE_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
_FEWEST, _MOST, _MEAN = 3, 9, 4
"""Children of a node that does not end its row."""

Chunk = tuple[bytes, int]
"""A chunk's hash and how many bytes it has."""


def to_text(digest: bytes) -> str:
    """A hash as paths have it: each eight bytes are a little-endian number."""
    return _words_reversed(digest).hex()


def from_text(text: str) -> bytes:
    """A hash of a path; raises HubError when it is none, so that it can name no other path."""
    if not _TEXT.fullmatch(text):
        raise bad_request("A hash must be 64 hexadecimal digits")
    return _words_reversed(bytes.fromhex(text))


def chunk_hash(content: bytes) -> bytes:
    """Of a chunk's content."""
    return blake3(content, key=_CHUNK_KEY).digest()


def range_hash(hashes: bytes) -> bytes:
    """Of consecutive chunks, of which the hashes are given one behind the other."""
    return blake3(hashes, key=_RANGE_KEY).digest()


def xorb_hash(chunks: Sequence[Chunk]) -> bytes:
    """Of a xorb's chunks, at least one: the root of a tree over them."""
    row = list(chunks)
    while len(row) > 1:
        row = list(_parents(row))
    return row[0][0]


def _parents(row: Sequence[Chunk]) -> list[Chunk]:
    parents = []
    start = 0
    while start < len(row):
        end = _end(row, start)
        parents.append(_node(row[start:end]))
        start = end
    return parents


def _end(row: Sequence[Chunk], start: int) -> int:
    """Where a node's children end: behind the first whose hash, as a number, four divides."""
    last = min(start + _MOST, len(row))
    for end in range(start + _FEWEST, last):
        if row[end - 1][0][SIZE - _WORD] % _MEAN == 0:
            return end
    return last


def _node(children: Sequence[Chunk]) -> Chunk:
    lines = "".join(f"{to_text(digest)} : {size}\n" for digest, size in children)
    return blake3(lines.encode(), key=_NODE_KEY).digest(), sum(size for _, size in children)


def _words_reversed(content: bytes) -> bytes:
    return b"".join(content[at : at + _WORD][::-1] for at in range(0, SIZE, _WORD))
