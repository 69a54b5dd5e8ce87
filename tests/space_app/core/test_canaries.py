from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.embedder import STEP_SHAPES, STEP_TEXTS, FakeEmbedder, fake_manifest, vector

from space_app.core import canaries
from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from space_app.core.types import Encoded, Matrix


class Changed(FakeEmbedder):
    """An embedder whose vectors are changed."""

    def __init__(self, change: Callable[[Matrix], Matrix]):
        super().__init__()
        self.change = change

    def embed(self, step: Sequence[Encoded]) -> Matrix:
        return self.change(super().embed(step))


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


def test_more_texts_than_a_step_holds() -> None:
    """Steps keep to the embedder's limits, and vectors come in the order of the texts."""
    texts = [f"text {number} of many" for number in range(3 * STEP_TEXTS)]
    embedder = FakeEmbedder()
    vectors = canaries.embed_all(embedder, texts)

    np.testing.assert_array_equal(vectors, [vector(text) for text in texts])
    assert len(embedder.steps) == len(texts) * 4 // STEP_SHAPES[-1].tokens


def test_vectors_are_held_to_those_of_the_export() -> None:
    """Where int8 may be far from the reference, it must still be what it was at export."""
    written = canaries.with_exported(FakeEmbedder(), fake_manifest(precision="int8"))
    shift = np.linspace(0.05, 0.1, 8, dtype=np.float32)

    def shifted(vectors: Matrix) -> Matrix:
        moved = vectors + shift
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)

    assert canaries.check(FakeEmbedder(), written) == pytest.approx(1)
    assert canaries.check(Changed(shifted), fake_manifest(precision="int8")) > 0.96
    with pytest.raises(ArtefactError, match=r"cosine 0\.9.*, at least 0\.998"):
        canaries.check(Changed(shifted), written)


def test_another_arithmetic_may_differ_more() -> None:
    """A CPU that computes in what the export's had not is held to the others' vectors, less."""
    written = canaries.with_exported(FakeEmbedder(), fake_manifest(precision="int8"))

    class Elsewhere(Changed):
        arithmetic = "bf16"

    def turned(vectors: Matrix, by: float) -> Matrix:
        moved = vectors + np.float32(by) * np.roll(vectors, 1, axis=1)
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)

    assert canaries.check(Elsewhere(lambda found: turned(found, 0.1)), written) < 0.998
    with pytest.raises(ArtefactError, match=r"at least 0\.98 is"):
        canaries.check(Elsewhere(lambda found: turned(found, 0.25)), written)
    both = canaries.with_exported(Elsewhere(lambda found: found), written)
    with pytest.raises(ArtefactError, match=r"at least 0\.998"):
        canaries.check(Elsewhere(lambda found: turned(found, 0.1)), both)


@pytest.mark.parametrize("field", ["vector", "exported"])
def test_a_vector_that_is_not_a_number_is_like_no_other(field: str) -> None:
    """With NaN in one canary the check fails, whatever the others are."""
    written = canaries.with_exported(FakeEmbedder(), fake_manifest())
    (good,) = written.canaries
    nowhere = (float("nan"), *good.vector[1:])
    changed = good.model_copy(
        update={field: nowhere if field == "vector" else {"fp32": nowhere}},
    )
    damaged = written.model_copy(update={"canaries": (good, changed, good)})

    with pytest.raises(ArtefactError, match="cosine nan"):
        canaries.check(FakeEmbedder(), damaged)
