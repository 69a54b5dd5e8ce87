"""The vocabulary of the core: texts in, vectors out, and the seam to whatever computes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Tokens = NDArray[np.int64]


class Role(StrEnum):
    """What a text is; it decides which of the model's instructions is put before it."""

    QUERY = "query"
    DOCUMENT = "document"


class Side(StrEnum):
    """Where a text that is too long is cut."""

    RIGHT = "right"
    LEFT = "left"


@dataclass(frozen=True)
class EmbedRequest:
    """Texts of one role; `dimensions` keeps the first so many components, None all of them.

    `anew` has all of them computed, whatever is remembered of earlier requests. A text that is too
    long is cut at a side; without `truncate` the request is refused.
    """

    texts: tuple[str, ...]
    role: Role
    dimensions: int | None = None
    anew: bool = False
    truncate: bool = True
    side: Side = Side.RIGHT


class Phase(NamedTuple):
    """A stretch of work, between two moments of `time.perf_counter`."""

    name: str
    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.begun


@dataclass(frozen=True)
class Timing:
    """Where a request's time went, in seconds: read, waiting, and in the steps it had texts in.

    Of a big request texts are read while others are computed; `phases` says when.
    """

    tokenise: float = 0.0
    queue: float = 0.0
    compute: float = 0.0
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of length 1, one row for each text.

    `tokens` counts what was read of each text, `truncated` says whether that was not all of it.
    """

    vectors: Matrix
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    timing: Timing = Timing()


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text as the model reads it: token numbers, special ones included, cut to its length.

    `beyond` counts the tokens that were cut off, as far as they were read.
    """

    tokens: Tokens
    truncated: bool
    beyond: int = 0

    def __len__(self) -> int:
        return len(self.tokens)


class Token(NamedTuple):
    """A token of a text, and the bytes of its UTF-8 that it stands for; a special one has none."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Shape(NamedTuple):
    """What a step is brought to: rows of so many tokens. A text lies within one row.

    A token costs the more the wider its row is, and a row the less the more there are.
    """

    rows: int
    width: int

    @property
    def tokens(self) -> int:
        """How many it has room for."""
        return self.rows * self.width

    def holds(self, rows: Sequence[int]) -> bool:
        """Whether rows of so many tokens fit."""
        return len(rows) <= self.rows and max(rows) <= self.width


class Embedder(Protocol):
    """What computes vectors; one per file in `space_app.backends`.

    Work is done in steps: rows of texts, at most `step_texts` together. A step costs as much as the
    first of `step_shapes` that holds it.
    """

    @property
    def step_shapes(self) -> tuple[Shape, ...]:
        """What steps are brought to, by their tokens; the model's longest text fits in a row."""

    @property
    def step_texts(self) -> int:
        """Most texts in one step."""

    @property
    def arithmetic(self) -> str:
        """What it computes in here besides its products: "fp32" or "bf16"."""

    def encode(self, texts: Sequence[str], side: Side = Side.RIGHT) -> list[Encoded]:
        """Read texts, instructions already before them. Blocks; several threads may call it."""

    def tokenise(self, text: str, *, special: bool) -> Iterable[Token]:
        """All tokens of a text, uncut; with the special ones or without. Blocks likewise."""

    def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
        """Compute one step of rows: a vector of length 1 for each text, in order.

        It blocks, and is called by one thread at a time, never by the event loop's.
        """
