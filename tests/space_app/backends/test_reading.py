from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from transformers import AutoTokenizer

from space_app.backends.reading import Reader
from space_app.core.errors import ArtefactError
from space_app.core.types import Side

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


@pytest.mark.parametrize("words", [3, 254, 255, 900])
def test_the_end_of_a_text(reader: Reader, minilm: Path, words: int) -> None:
    """Cut on the left, a text has the tokens that transformers leaves it, special ones around."""
    published = AutoTokenizer.from_pretrained(minilm, local_files_only=True, truncation_side="left")
    text = " ".join(f"{number}" for number in range(words))
    (found,) = reader.read([text], Side.LEFT)

    assert found.tokens.tolist() == published(text, truncation=True, max_length=256)["input_ids"]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(("words", "beyond"), [(3, 0), (254, 0), (255, 1), (900, 646)])
def test_what_is_cut_off_is_counted(reader: Reader, side: Side, words: int, beyond: int) -> None:
    """The tokens of the whole text are known, whichever side is cut."""
    (found,) = reader.read(["word " * words], side)

    assert (found.truncated, found.beyond) == (beyond > 0, beyond)


def test_sides_do_not_disturb_each_other(reader: Reader) -> None:
    """Two threads may read at once, each with its own side."""
    text = " ".join(f"{number}" for number in range(400))
    before = reader.read([text])[0].tokens.tolist()
    reader.read([text], Side.LEFT)

    assert reader.read([text])[0].tokens.tolist() == before


def test_the_end_of_an_endless_text(reader: Reader) -> None:
    """Its beginning is not even tokenised."""
    (found,) = reader.read(["start " + "x" * 10_000_000 + " end"], Side.LEFT)

    assert found.truncated
    assert len(found) <= 256


def test_tokens_with_their_places(reader: Reader) -> None:
    """Places count bytes of UTF-8, as TEI's do, and the text there is the token's."""
    text = "Zürich is 🙂 fine"
    found = list(reader.tokens(text, special=True))
    plain = [token for token in found if not token.special]

    assert (found[0].text, found[-1].text) == ("[CLS]", "[SEP]")
    assert (found[0].start, found[0].stop) == (None, None)
    assert [token.text for token in plain] == ["Zürich", "is", "🙂", "fine"]
    for token in plain:
        assert text.encode()[token.start : token.stop].decode() == token.text


def test_all_tokens_are_told(reader: Reader) -> None:
    """They are those that are read, but not cut; special ones only where they are wanted."""
    text = "word " * 300
    found = list(reader.tokens(text, special=True))

    assert len(found) == 302
    assert [token.id for token in found[:255]] == reader.read([text])[0].tokens.tolist()[:-1]
    assert len(list(reader.tokens(text, special=False))) == 300


def test_others_run_while_a_long_text_is_tokenised(reader: Reader) -> None:
    """The tokenizer takes a second for it, without Python's lock."""
    tokens = iter(reader.tokens("語" * 200_000, special=False))
    reading = threading.Thread(target=next, args=(tokens,))
    turns = 0
    reading.start()
    while reading.is_alive():
        time.sleep(0.001)
        turns += 1

    assert turns > 20


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
