from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from space_app.backends.torch import TorchEmbedder
from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    "how do I reset my password?",
    "ok",
    "  space around  ",
    "Zürich, 東京, naïve café 🙂\n\tand a tab",
    " ",
    "word " * 400,
]


@pytest.fixture(name="embedder", scope="module")
def _embedder(artefact: Path) -> TorchEmbedder:
    return TorchEmbedder.load(artefact, threads=1)


def test_vectors_are_those_of_sentence_transformers(embedder: TorchEmbedder, minilm: Path) -> None:
    """The exported model gives what the published one gives in sentence-transformers."""
    reference = SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    wanted = reference.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)

    np.testing.assert_allclose(embedder.embed(TEXTS).vectors, wanted, atol=1e-6)


def test_vectors_are_float32_of_length_1(embedder: TorchEmbedder) -> None:
    """Each row is a unit vector that can be written out as it is."""
    vectors = embedder.embed(TEXTS).vectors

    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_tokens_are_counted_after_truncation(embedder: TorchEmbedder) -> None:
    """Special tokens count, padding and what was cut do not."""
    assert embedder.embed(["word", "word word", "word " * 400]).tokens == (3, 4, 256)


@pytest.mark.parametrize(("words", "cut"), [(253, False), (254, False), (255, True), (900, True)])
def test_truncation_is_noticed_to_the_token(
    embedder: TorchEmbedder,
    words: int,
    cut: bool,  # noqa: FBT001 -- the expectation
) -> None:
    """A text that just fits is whole; one token more is not."""
    assert embedder.embed(["short", "word " * words]).truncated == (False, cut)


def test_an_endless_text_is_cut_before_it_is_tokenised(embedder: TorchEmbedder) -> None:
    """Ten megabytes cost no more than what the model reads of them, and are called truncated."""
    endless = embedder.embed(["word " * 2_000_000])

    assert endless.truncated == (True,)
    np.testing.assert_allclose(endless.vectors, embedder.embed(["word " * 400]).vectors, atol=1e-6)


def test_what_was_not_even_tokenised_counts_as_truncated(embedder: TorchEmbedder) -> None:
    """Words behind a desert of spaces are not read, and that is said."""
    assert embedder.embed(["word" + " " * 100_000 + "word"]).truncated == (True,)


@pytest.mark.parametrize("broken", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_artefact_does_not_load(artefact: Path, tmp_path: Path, broken: str) -> None:
    """Half a file is an ArtefactError that names the folder."""
    for path in artefact.rglob("*"):
        target = tmp_path / path.relative_to(artefact)
        if path.is_dir():
            target.mkdir()
        elif path.name != broken:
            target.symlink_to(path)
    content = (artefact / broken).read_bytes()
    (tmp_path / broken).write_bytes(content[: len(content) // 2])

    with pytest.raises(ArtefactError, match=str(tmp_path)):
        TorchEmbedder.load(tmp_path, threads=1)
