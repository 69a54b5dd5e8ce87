from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from space_app.api.cl100k import Vocabulary
from space_app.core.errors import EmptyInput, InvalidRequest, PayloadTooLarge, SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="vocabulary")
def _vocabulary() -> Vocabulary:
    return Vocabulary([b"one", b" two", "é".encode()[:1], "é".encode()[1:], b" " * 100])


def test_numbers_are_text(vocabulary: Vocabulary) -> None:
    """One list is one text; a character may be made of two tokens."""
    assert vocabulary.texts([0, 1, 2, 3]) == "one twoé"
    assert vocabulary.texts([[0], [1]]) == ["one", " two"]


def test_half_a_character(vocabulary: Vocabulary) -> None:
    """LangChain cuts long texts anywhere."""
    assert vocabulary.texts([3, 0, 2]) == "�one�"


def test_special_tokens(vocabulary: Vocabulary) -> None:
    """They are what they are called."""
    assert vocabulary.texts([100257]) == "<|endoftext|>"


@pytest.mark.parametrize(
    "tokens", [[5], [-1], [100256], [10**30], [0, "a"], [0, 1.0], [0, True], [[0], 1], [0, [1]]]
)
def test_what_is_no_number_of_it(vocabulary: Vocabulary, tokens: list[Any]) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidRequest):
        vocabulary.texts(tokens)


def test_an_empty_list_among_others(vocabulary: Vocabulary) -> None:
    """It is no text."""
    with pytest.raises(EmptyInput):
        vocabulary.texts([[0], []])


def test_few_numbers_that_are_much_text(vocabulary: Vocabulary) -> None:
    """A number of three bytes may stand for a hundred: what they become is limited too."""
    with pytest.raises(PayloadTooLarge):
        vocabulary.texts([[4] * 200_000] * 2)


def test_another_file_is_not_taken(tmp_path: Path) -> None:
    """Only the published file is: by any other, numbers would become other words."""
    (other := tmp_path / "cl100k_base.tiktoken").write_bytes(b"IQ== 0\nIg== 1\n")

    with pytest.raises(SettingsError, match="checksum"):
        Vocabulary.load(other)
    with pytest.raises(SettingsError, match="cannot be read"):
        Vocabulary.load(tmp_path)
