from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from transformers import AutoTokenizer

from space_app.backends.reading import Reader
from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from pathlib import Path

NASTY = [
    "",
    " ",
    "\x00",
    "nul\x00in the middle",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈",
    "שלום עולם, مرحبا بالعالم",
    "e\u0301 \ufeff \u200b \u202e reversed",
    "Zürich, 東京, naïve café",
    "[CLS] [SEP] [PAD] [MASK]",
    "\t\r\n",
    "a" * 300,
    "word " * 900,
]


@pytest.fixture(name="reader", scope="module")
def _reader(artefact: Path) -> Reader:
    return Reader.load(artefact, 256)


def test_tokens_are_the_published_tokenizers(reader: Reader, minilm: Path) -> None:
    """Nasty texts have the very tokens that transformers gives them."""
    published = AutoTokenizer.from_pretrained(minilm, local_files_only=True)
    wanted = published(NASTY, truncation=True, max_length=256)["input_ids"]

    assert [text.tokens.tolist() for text in reader.read(NASTY)] == wanted


@pytest.mark.parametrize(("words", "cut"), [(253, False), (254, False), (255, True), (900, True)])
def test_truncation_is_noticed_to_the_token(
    reader: Reader,
    words: int,
    cut: bool,  # noqa: FBT001 -- the expectation
) -> None:
    """A text that just fits is whole; one token more is not, and is not read."""
    short, text = reader.read(["short", "word " * words])

    assert (short.truncated, text.truncated) == (False, cut)
    assert len(text) == min(words + 2, 256)


def test_an_endless_text_is_cut_before_it_is_tokenised(reader: Reader) -> None:
    """Ten megabytes read as what the model takes of them, and are called truncated."""
    endless, word, long = reader.read(["word " * 2_000_000, "x" * 10_000_000, "word " * 400])

    assert endless.truncated
    assert word.truncated
    assert endless.tokens.tolist() == long.tokens.tolist()


def test_what_was_not_even_tokenised_counts_as_truncated(reader: Reader) -> None:
    """Words behind a desert of spaces are not read, and that is said."""
    assert reader.read(["word" + " " * 100_000 + "word"])[0].truncated


def test_a_damaged_tokenizer_does_not_load(artefact: Path, tmp_path: Path) -> None:
    """Half a tokenizer.json is an ArtefactError that names the folder."""
    content = (artefact / "tokenizer.json").read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(content[: len(content) // 2])

    with pytest.raises(ArtefactError, match=str(tmp_path)):
        Reader.load(tmp_path, 256)
