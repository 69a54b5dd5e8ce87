from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer

from space_app.backends.torch import TorchEmbedder
from space_app.core.errors import ArtefactError
from space_app.core.types import Side

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
def _embedder(torch_artefact: Path) -> TorchEmbedder:
    return TorchEmbedder.load(torch_artefact, max_length=256, threads=1)


def test_vectors_are_those_of_sentence_transformers(embedder: TorchEmbedder, minilm: Path) -> None:
    """The exported model gives what the published one gives in sentence-transformers."""
    reference = SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    wanted = reference.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)

    np.testing.assert_allclose(embedder.embed([embedder.encode(TEXTS)]), wanted, atol=1e-6)


def test_vectors_are_float32_of_length_1(embedder: TorchEmbedder) -> None:
    """Each row is a unit vector that can be written out as it is."""
    vectors = embedder.embed([embedder.encode(TEXTS)])

    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_the_end_of_a_text(embedder: TorchEmbedder, minilm: Path) -> None:
    """Cut on the left, a text has the vector of its end."""
    text = " ".join(f"{number}" for number in range(400))
    (found,) = embedder.encode([text], Side.LEFT)
    published = AutoTokenizer.from_pretrained(minilm, local_files_only=True, truncation_side="left")

    assert found.tokens.tolist() == published(text, truncation=True, max_length=256)["input_ids"]
    assert found.truncated


def test_what_is_cut_off_is_counted(embedder: TorchEmbedder) -> None:
    """The tokens of the whole text are known."""
    assert [text.beyond for text in embedder.encode(["word", "word " * 400])] == [0, 146]


def test_tokens(embedder: TorchEmbedder) -> None:
    """All of a text's tokens are told, uncut."""
    found = list(embedder.tokenise("word " * 400, special=True))

    assert len(found) == 402
    assert (found[0].text, found[1].text, found[1].start) == ("[CLS]", "word", 0)


def test_tokens_are_counted_after_truncation(embedder: TorchEmbedder) -> None:
    """Special tokens count, what was cut does not."""
    assert [len(text) for text in embedder.encode(["word", "word word", "word " * 400])] == [
        3,
        4,
        256,
    ]


@pytest.mark.parametrize(("words", "cut"), [(253, False), (254, False), (255, True), (900, True)])
def test_truncation_is_noticed_to_the_token(
    embedder: TorchEmbedder,
    words: int,
    cut: bool,  # noqa: FBT001 -- the expectation
) -> None:
    """A text that just fits is whole; one token more is not."""
    found = embedder.encode(["short", "word " * words])

    assert [text.truncated for text in found] == [False, cut]


def test_an_endless_text_is_cut_before_it_is_tokenised(embedder: TorchEmbedder) -> None:
    """Ten megabytes cost no more than what the model reads of them, and are called truncated."""
    endless, long = embedder.encode(["word " * 2_000_000, "word " * 400])

    assert endless.truncated
    assert endless.tokens.tolist() == long.tokens.tolist()


def test_what_was_not_even_tokenised_counts_as_truncated(embedder: TorchEmbedder) -> None:
    """Words behind a desert of spaces are not read, and that is said."""
    assert embedder.encode(["word" + " " * 100_000 + "word"])[0].truncated


@pytest.mark.parametrize("broken", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_artefact_does_not_load(
    torch_artefact: Path, tmp_path: Path, broken: str
) -> None:
    """Half a file is an ArtefactError that names the folder."""
    for path in torch_artefact.rglob("*"):
        target = tmp_path / path.relative_to(torch_artefact)
        if path.is_dir():
            target.mkdir()
        elif path.name != broken:
            target.symlink_to(path)
    content = (torch_artefact / broken).read_bytes()
    (tmp_path / broken).write_bytes(content[: len(content) // 2])

    with pytest.raises(ArtefactError, match=str(tmp_path)):
        TorchEmbedder.load(tmp_path, max_length=256, threads=1)
