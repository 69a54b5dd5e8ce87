"""Reads texts by a tokenizer.json: token numbers, cut to what the model takes."""

from __future__ import annotations

import os
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Self

import numpy as np
from tokenizers import Tokenizer

from space_app.core.errors import ArtefactError
from space_app.core.types import Encoded, Side, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tokenizers import Encoding

FILE_NAME = "tokenizer.json"
CHARACTERS_PER_TOKEN = 250
"""Text beyond so many characters for each token that the model reads is not even tokenised.

Without it, one request of 10 MB costs ten seconds and two gigabytes before it is truncated.
"""


class Reader:
    """A tokenizer that says what it cut off."""

    def __init__(self, tokenizer: Tokenizer, max_length: int):
        # Its thread pool counts the machine's CPUs, not the container's, and costs more than it
        # gives: reading takes a hundredth of the time that computing does.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length)
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._special = tokenizer.num_special_tokens_to_add(is_pair=False)
        self._most_characters = max_length * CHARACTERS_PER_TOKEN

    @classmethod
    def load(cls, folder: Path, max_length: int) -> Self:
        """Load an artefact's tokenizer; raises ArtefactError."""
        try:
            return cls(Tokenizer.from_file(str(folder / FILE_NAME)), max_length)
        except Exception as error:  # tokenizers raises nothing narrower
            raise ArtefactError(
                f"The tokenizer in {folder} does not load.",
                cause=f"{type(error).__name__}.",
                next_step="Export the model again.",
            ) from error

    def read(self, texts: Sequence[str], side: Side = Side.RIGHT) -> list[Encoded]:
        """As Embedder.encode."""
        if side is Side.LEFT:
            shown = [text[-self._most_characters :] for text in texts]
            encodings = self._cutting_left.encode_batch_fast(shown)
        else:
            shown = [text[: self._most_characters] for text in texts]
            encodings = self._tokenizer.encode_batch_fast(shown)
        return [
            self._encoded(encoding, cut=len(part) < len(text))
            for text, part, encoding in zip(texts, shown, encodings, strict=True)
        ]

    def tokens(self, text: str, *, special: bool) -> Iterator[Token]:
        """As Embedder.tokenise."""
        # As a batch, because others run in Python meanwhile; beside `encode` nobody does.
        (encoding,) = self._uncut.encode_batch([text], add_special_tokens=special)
        at = _bytes_before(text)
        numbered = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
        for index, (number, is_special) in enumerate(numbered):
            # One by one: lists of all names and places take a tenth of a second to be made.
            place = None if is_special else encoding.token_to_chars(index)
            if place is None:
                name = self._tokenizer.id_to_token(number) or ""
                yield Token(number, name, special=True, start=None, stop=None)
            else:
                start, stop = place
                yield Token(number, text[start:stop], special=False, start=at(start), stop=at(stop))

    def _encoded(self, encoding: Encoding, *, cut: bool) -> Encoded:
        rest = encoding.overflowing
        return Encoded(
            tokens=np.array(encoding.ids, dtype=np.int64),
            truncated=bool(rest) or cut,
            beyond=sum(len(part) - self._special for part in rest),
        )

    @cached_property
    def _cutting_left(self) -> Tokenizer:
        """Which side is cut is a property of a tokenizer, and two threads read at once."""
        copy = Tokenizer.from_str(self._tokenizer.to_str())
        copy.enable_truncation(self._max_length, direction="left")
        return copy

    @cached_property
    def _uncut(self) -> Tokenizer:
        copy = Tokenizer.from_str(self._tokenizer.to_str())
        copy.no_truncation()
        return copy


def _bytes_before(text: str) -> Callable[[int], int]:
    """How many bytes come before a character."""
    if text.isascii():
        return int
    before = [0, *accumulate(len(character.encode("utf-8", "surrogatepass")) for character in text)]
    return before.__getitem__
