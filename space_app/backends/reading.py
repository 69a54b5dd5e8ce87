"""Reads texts by a tokenizer.json: token numbers, cut to what the model takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

import numpy as np
from tokenizers import Tokenizer

from space_app.core.errors import ArtefactError
from space_app.core.types import Encoded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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

    def read(self, texts: Sequence[str]) -> list[Encoded]:
        """As Embedder.encode."""
        shown = [text[: self._most_characters] for text in texts]
        return [
            Encoded(
                tokens=np.array(encoding.ids, dtype=np.int64),
                truncated=bool(encoding.overflowing) or len(part) < len(text),
            )
            for text, part, encoding in zip(
                texts, shown, self._tokenizer.encode_batch_fast(shown), strict=True
            )
        ]
