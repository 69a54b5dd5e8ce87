"""Recent vectors, so that a text which comes again is not computed again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from space_app.core.types import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from space_app.core.types import Matrix

_DIGEST = 16
_PIECE = 64 * 1024
_OVERHEAD = 400
"""Bytes of an entry besides its vector: what Python keeps of it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was computed of a text."""

    vector: bytes
    tokens: int
    truncated: bool

    @property
    def row(self) -> Matrix:
        """The vector."""
        return np.frombuffer(self.vector, dtype=np.float32)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.vector) + _OVERHEAD


@dataclass(frozen=True)
class CacheState:
    """How much is in the cache, and how often what was asked for was."""

    hits: int
    misses: int
    entries: int
    bytes: int
    max_bytes: int


class Cache:
    """The vectors used last, up to `max_bytes`; with 0 of them it is off. Any thread may use it.

    Texts are known by a digest of what the model reads, instruction included, of the side that is
    cut, and of the fingerprint: no vector is taken for another role's or another model's, and no
    text is kept.
    """

    def __init__(self, fingerprint: str, *, max_bytes: int):
        self._start = {
            side: hashlib.blake2b(fingerprint.encode() + mark, digest_size=_DIGEST)
            for side, mark in ((Side.RIGHT, b"\0"), (Side.LEFT, b"\1"))
        }
        self._max_bytes = max_bytes
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return self._max_bytes > 0

    @property
    def state(self) -> CacheState:
        """Counted since the start."""
        with self._lock:
            return CacheState(
                self._hits, self._misses, len(self._known), self._bytes, self._max_bytes
            )

    def key(self, text: str, side: Side = Side.RIGHT) -> bytes:
        """What a text is known by, its instruction before it."""
        digest = self._start[side].copy()
        # In pieces: others run in between. Half a surrogate pair is a text too.
        for start in range(0, len(text), _PIECE):
            digest.update(text[start : start + _PIECE].encode("utf-8", "surrogatepass"))
        return digest.digest()

    def find(self, keys: Sequence[bytes]) -> list[Known | None]:
        """What is known, in the order of the keys."""
        with self._lock:
            found = [self._known.get(key) for key in keys]
            for key, known in zip(keys, found, strict=True):
                if known is not None:
                    self._known.move_to_end(key)
            misses = found.count(None)
            self._hits += len(keys) - misses
            self._misses += misses
        return found

    def keep(self, entries: Iterable[tuple[bytes, Known]]) -> None:
        """Keep these, and let those go that were not used for longest."""
        with self._lock:
            for key, known in entries:
                if (old := self._known.pop(key, None)) is not None:
                    self._bytes -= old.size
                self._known[key] = known
                self._bytes += known.size
            while self._bytes > self._max_bytes:
                _, oldest = self._known.popitem(last=False)
                self._bytes -= oldest.size
