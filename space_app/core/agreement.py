"""How far vectors agree with a reference: in direction, and in the ranking that a search makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from space_app.core.types import Matrix

    Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class Agreement:
    """Of vectors and their references: cosines, and Spearman's rho over all pairs' similarities."""

    cosine_mean: float
    cosine_min: float
    rank: float


def agreement(vectors: Matrix, references: Matrix) -> Agreement:
    """Compare rows of length 1, three at least; one that is not all numbers agrees with nothing."""
    vectors = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0)
    cosines = np.sum(vectors * references, axis=1, dtype=np.float64)
    pairs = np.triu_indices(len(vectors), 1)
    return Agreement(
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        rank=spearman((vectors @ vectors.T)[pairs], (references @ references.T)[pairs]),
    )


def spearman(values: Numbers, others: Numbers) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks.

    Where all values are equal there is no ranking to agree with: 0.
    """
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(values), _ranks(others))[0, 1])


def _ranks(values: Numbers) -> NDArray[np.float64]:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[group]
