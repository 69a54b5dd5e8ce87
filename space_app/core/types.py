"""The vocabulary of the core: texts in, vectors out, and the seam to whatever computes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]


class Role(StrEnum):
    """What a text is; it decides which of the model's instructions is put before it."""

    QUERY = "query"
    DOCUMENT = "document"


@dataclass(frozen=True)
class EmbedRequest:
    """Texts of one role; `dimensions` keeps the first so many components, None all of them."""

    texts: tuple[str, ...]
    role: Role
    dimensions: int | None = None


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of length 1, one row for each text.

    `tokens` counts what was read of each text, `truncated` says whether that was not all of it.
    """

    vectors: Matrix
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


class Embedder(Protocol):
    """What computes vectors; one per file in `space_app.backends`."""

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed a few texts in one step, instructions already before them.

        It blocks, and is called by one thread at a time, never by the event loop's.
        """
