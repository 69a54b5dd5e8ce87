from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.embedder import FakeEmbedder, fake_manifest

from space_app.core import canaries
from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from space_app.core.types import Embeddings, Matrix


@dataclass
class Changed:
    """An embedder whose vectors are changed."""

    change: Callable[[Matrix], Matrix]

    def embed(self, texts: Sequence[str]) -> Embeddings:
        found = FakeEmbedder().embed(texts)
        return replace(found, vectors=self.change(found.vectors))


def test_the_same_vectors_pass() -> None:
    """An embedder that computes what the export did passes, with cosine 1."""
    assert canaries.check(FakeEmbedder(), fake_manifest()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda vectors: vectors[:, :4], "4 dimensions"),
        (lambda vectors: vectors * np.float32(1.1), "length"),
        (lambda vectors: vectors * np.float32("nan"), "length"),
        (lambda vectors: vectors[:, ::-1], "cosine"),
    ],
    ids=["dimensions", "length", "nan", "direction"],
)
def test_other_vectors_do_not(change: Callable[[Matrix], Matrix], complaint: str) -> None:
    """Vectors of another size, length or direction are refused, and it is said which."""
    with pytest.raises(ArtefactError, match=complaint):
        canaries.check(Changed(change), fake_manifest())
