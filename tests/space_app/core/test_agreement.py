from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from space_app.core.agreement import agreement, spearman


def rows(count: int) -> np.ndarray:
    """Random rows of length 1."""
    made = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_the_same_vectors_agree() -> None:
    """A thing agrees with itself in everything."""
    found = agreement(rows(5), rows(5))

    assert (found.cosine_mean, found.cosine_min, found.rank) == pytest.approx((1, 1, 1))


def test_one_vector_off_is_seen() -> None:
    """The minimum is the worst row's own cosine, the mean counts every row."""
    vectors = rows(5)
    vectors[3] *= -1
    found = agreement(vectors, rows(5))

    assert (found.cosine_mean, found.cosine_min) == pytest.approx((0.6, -1))
    assert found.rank < 0.9


def test_spearman_is_spearman() -> None:
    """Ranks with ties are correlated as statistics has it."""
    values = np.array([3.0, 1, 1, 4, 1, 5, 9, 2, 6, 5])
    others = np.array([2.0, 7, 1, 8, 2, 8, 1, 8, 2, 8])

    assert spearman(values, others) == pytest.approx(spearmanr(values, others).statistic)


def test_what_is_not_a_number_agrees_with_nothing() -> None:
    """NaN in a row counts as no agreement, and what is measured can be written down."""
    vectors = rows(5)
    vectors[2, 1] = np.nan
    found = agreement(vectors, rows(5))
    nothing = agreement(np.full_like(vectors, np.nan), rows(5))

    assert found.cosine_min == 0
    assert (nothing.cosine_mean, nothing.cosine_min, nothing.rank) == (0, 0, 0)
