"""Takes the place of `space_app/__main__.py` in a Space: the real server, broken in one way.

The environment's BREAK says how. The self-check at start is left out, as in a server that breaks
after it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import uvicorn

from space_app import backends
from space_app.api.app import create_app
from space_app.core import manifest
from space_app.core.service import Service
from space_app.core.types import Side
from space_app.settings import from_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Embedder, Encoded, Matrix, Shape, Token


@dataclass(frozen=True)
class BrokenEmbedder:
    """Spoils what a sound embedder reads or answers."""

    sound: Embedder
    how: str
    instruction: str

    @property
    def step_shapes(self) -> tuple[Shape, ...]:
        """As the sound one's."""
        return self.sound.step_shapes

    @property
    def step_texts(self) -> int:
        """As the sound one's."""
        return self.sound.step_texts

    @property
    def arithmetic(self) -> str:
        """As the sound one's."""
        return self.sound.arithmetic

    def encode(self, texts: Sequence[str], side: Side = Side.RIGHT) -> list[Encoded]:
        """Read, spoilt."""
        if self.how == "instruction on documents":
            texts = [self.instruction + text.removeprefix(self.instruction) for text in texts]
        return self.sound.encode(texts, side)

    def tokenise(self, text: str, *, special: bool) -> list[Token]:
        """Tokens, as the sound one's."""
        return self.sound.tokenise(text, special=special)

    def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
        """Embed, spoilt."""
        if self.how == "500 on a batch" and sum(map(len, step)) > 1:
            raise RuntimeError(self.how)
        vectors = self.sound.embed(step)
        if self.how == "wrong dimensions":
            return vectors[:, :-1].copy()
        if self.how == "unnormalised":
            return vectors * np.float32(2)
        return vectors


def main() -> None:
    """Serve until told to stop."""
    how = os.environ["BREAK"]
    if how == "crash at start":
        sys.exit("the model does not load")
    settings = from_environment(os.environ)
    described = manifest.read(settings.model_dir)
    sound = backends.load(settings.model_dir, described, threads=settings.threads)
    broken = BrokenEmbedder(sound, how, described.query_instruction)
    service = Service(broken, described, max_inputs=settings.max_inputs, cache_bytes=0)
    uvicorn.run(
        create_app(service, settings), host=settings.host, port=settings.port, log_level="warning"
    )


main()
