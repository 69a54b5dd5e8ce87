"""What is sent: texts of a known number of tokens, none of them ever twice in a run."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INSTRUCTION = "Represent this sentence for searching relevant passages: "
"""What the original app puts before every text; the other servers are made to do the same."""
INSTRUCTION_TOKENS = 8

SPECIAL_TOKENS = 2
QUERY_WORDS = 11
"""A short query: 13 tokens with the special ones."""
PASSAGE_WORDS = 60
MIXED_WORDS = (10, 200)
LONGEST_WORDS = 510

_SHORTEST_WORD = 3
_MOST_WORDS = 8000
"""The vocabulary is ordered by frequency, so these are the more usual words."""


def words(tokenizer: Path) -> list[str]:
    """Words that are one token each, from a WordPiece `tokenizer.json`."""
    vocabulary = json.loads(tokenizer.read_bytes())["model"]["vocab"]
    by_number = sorted(vocabulary.items(), key=lambda item: item[1])
    usable = (
        word
        for word, _ in by_number
        if word.isascii() and word.isalpha() and len(word) >= _SHORTEST_WORD
    )
    return [word for word, _ in zip(usable, range(_MOST_WORDS), strict=False)]


class Texts:
    """A seeded source of texts; the same seed gives the same lengths and words.

    None is given twice, since a server may remember vectors.
    """

    def __init__(self, vocabulary: list[str], seed: int):
        self._vocabulary = vocabulary
        self._chance = random.Random(seed)  # noqa: S311 -- the same texts for every server
        self._given: set[str] = set()

    def of(self, count: int) -> str:
        """A text of so many words."""
        while True:
            text = " ".join(self._chance.choices(self._vocabulary, k=count))
            if text not in self._given:
                self._given.add(text)
                return text

    def mixed(self) -> tuple[str, int]:
        """A text of 10 to 200 words, and its number of words."""
        count = self._chance.randint(*MIXED_WORDS)
        return self.of(count), count

    def lengths(self, number: int) -> list[int]:
        """Numbers of words, uniformly up to the longest that a model reads whole."""
        return [self._chance.randint(1, LONGEST_WORDS) for _ in range(number)]

    def pause(self, mean: float) -> float:
        """Seconds until somebody sends the next query: from a half to one and a half of `mean`."""
        return self._chance.uniform(0.5, 1.5) * mean
