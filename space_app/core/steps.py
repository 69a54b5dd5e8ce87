"""Cuts a request into steps of the worker thread, small enough for others to get a turn between."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TEXTS = 32
MAX_CHARACTERS = 8_000
"""Of a step, padding included: about 2,000 tokens, however long its texts are."""


def steps(
    lengths: Sequence[int], *, max_texts: int = MAX_TEXTS, max_characters: int = MAX_CHARACTERS
) -> list[list[int]]:
    """Group positions of texts, given their lengths in characters.

    Texts of about the same length come together, so that little of a step is padding. A text that
    is too long by itself is a step of its own.
    """
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        padded = (len(groups[-1]) + 1) * lengths[position] if groups else 0
        if groups and len(groups[-1]) < max_texts and padded <= max_characters:
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups
