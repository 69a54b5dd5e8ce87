"""A request while it waits: what was found of its texts so far, and the answer once it is all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from space_app.core.cache import Known
from space_app.core.errors import InvalidVector
from space_app.core.stopwatch import Stopwatch
from space_app.core.types import Embeddings
from space_app.core.unit import are_unit

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence

    from space_app.core.types import EmbedRequest, Encoded, Matrix, Phase


@dataclass
class Slice:
    """Some texts of a request, in a row, and what a reader found of them."""

    start: int
    texts: tuple[str, ...]
    keys: Sequence[bytes] = ()
    known: Sequence[Known | None] = ()
    encoded: Sequence[Encoded] = ()
    reading: Phase | None = None
    """When they were tokenised."""


@dataclass(eq=False)
class Pending:
    """A request that is being worked on; only the event loop touches it."""

    request: EmbedRequest
    answer: asyncio.Future[Embeddings]
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    tokens: list[int] = field(init=False)
    truncated: list[bool] = field(init=False)
    _left: int = field(init=False)
    _vectors: Matrix | None = None
    _keys: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left = len(self.request.texts)
        self.tokens = [0] * self._left
        self.truncated = [False] * self._left

    def take(self, part: Slice) -> list[tuple[int, Encoded]]:
        """Note what was read and what was known; returns the rest, by position, to compute."""
        if part.reading is not None:
            self.stopwatch.read(part.reading)
        known = part.known or [None] * len(part.texts)
        encoded = iter(part.encoded)
        rest = []
        for offset, found in enumerate(known):
            position = part.start + offset
            if found is not None:
                self._note(position, found.tokens, truncated=found.truncated)
                self._put(position, found.row)
                continue
            text = next(encoded)
            self._note(position, len(text), truncated=text.truncated)
            if part.keys:
                self._keys[position] = part.keys[offset]
            rest.append((position, text))
        self._answer_when_whole()
        return rest

    def put(self, rows: Iterable[tuple[int, Matrix]]) -> list[tuple[bytes, Known]]:
        """Vectors that were computed, by position; returns what is worth remembering."""
        remembered = []
        for position, row in rows:
            self._put(position, row)
            if (key := self._keys.pop(position, None)) is not None:
                known = Known(row.tobytes(), self.tokens[position], self.truncated[position])
                remembered.append((key, known))
        self._answer_when_whole()
        return remembered

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def end(self) -> None:
        """Nobody waits any more. An error that nobody asked for is not asyncio's to log."""
        if not self.answer.cancel() and not self.answer.cancelled():
            self.answer.exception()

    def _note(self, position: int, tokens: int, *, truncated: bool) -> None:
        self.tokens[position] = tokens
        self.truncated[position] = truncated

    def _put(self, position: int, row: Matrix) -> None:
        if self._vectors is None:
            self._vectors = np.empty((len(self.tokens), len(row)), dtype=np.float32)
        self._vectors[position] = row
        self._left -= 1

    def _answer_when_whole(self) -> None:
        if self._left or self.answer.done() or self._vectors is None:
            return
        try:
            vectors = _shortened(self._vectors, self.request.dimensions)
        except InvalidVector as error:
            self.fail(error)
            return
        self.answer.set_result(
            Embeddings(
                vectors=vectors,
                tokens=tuple(self.tokens),
                truncated=tuple(self.truncated),
                timing=self.stopwatch.timing(),
            )
        )


def _shortened(vectors: Matrix, dimensions: int | None) -> Matrix:
    """The first components, brought to length 1 again; raises InvalidVector for zeros."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    short = np.ascontiguousarray(cut / np.maximum(lengths, np.finfo(np.float32).tiny))
    if not are_unit(short).all():
        raise InvalidVector(
            f"The first {dimensions} components of a text's vector are zeros, which no factor "
            "brings to length 1. Ask for more dimensions."
        )
    return short
