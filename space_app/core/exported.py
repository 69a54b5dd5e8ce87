"""What a backend's export hands over, and the texts that every artefact is checked with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from space_app.core.manifest import Canary, Compiled, Quality, Refused

CANARY_QUERY = "how do I reset my password?"
CANARY_DOCUMENTS = (
    "To choose a new password, open the account page and follow the link in the e-mail.",
    "ok",
    "Zürich, 東京, naïve café — 3.14 % of €1,000; #hash @user 🙂",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. " * 8,
)
"""Short and long, with what tokenizers differ about."""


@dataclass(frozen=True)
class Instructions:
    """What is put before texts, by their role; empty for nothing."""

    query: str
    document: str


@dataclass(frozen=True)
class Reading:
    """A text, its instruction before it, and the numbers of its tokens."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Exported:
    """A model as it was saved; `canaries` and `readings` are what the reference makes of texts.

    The rest is as in the manifest.
    """

    precision: str
    arithmetic: str
    pooling: str
    instructions: Instructions
    max_length: int
    dimensions: int
    canaries: tuple[Canary, ...]
    readings: tuple[Reading, ...]
    padding_token: int | None = None
    quality: Quality | None = None
    refused: tuple[Refused, ...] = ()
    compiled: Compiled | None = None
