"""Is a vector one? A damaged one is never delivered and never remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from space_app.core.types import Matrix

_TOLERANCE = 0.01
"""What rounding to bf16, the coarsest arithmetic there is, changes a length by, and some more."""


def are_unit(vectors: Matrix) -> NDArray[np.bool_]:
    """For each row, whether all of it is finite and its length is 1."""
    squares = np.einsum("ij,ij->i", vectors, vectors)
    # Written so that NaN fails too.
    found: NDArray[np.bool_] = np.abs(squares - 1) <= 2 * _TOLERANCE
    return found
