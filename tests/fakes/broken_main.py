"""Takes the place of `space_app/__main__.py` in a Space: the real server, broken in one way.

The environment's BREAK says how. The self-check at start is left out, as in a server that breaks
after it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import uvicorn

from space_app import backends
from space_app.api.app import create_app
from space_app.core import manifest
from space_app.core.service import Service
from space_app.settings import from_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Embedder, Embeddings


@dataclass(frozen=True)
class BrokenEmbedder:
    """Spoils what a sound embedder answers."""

    sound: Embedder
    how: str
    instruction: str

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed, spoilt."""
        if self.how == "500 on a batch" and len(texts) > 1:
            raise RuntimeError(self.how)
        if self.how == "instruction on documents":
            texts = [self.instruction + text.removeprefix(self.instruction) for text in texts]
        answer = self.sound.embed(texts)
        if self.how == "wrong dimensions":
            return replace(answer, vectors=answer.vectors[:, :-1].copy())
        if self.how == "unnormalised":
            return replace(answer, vectors=answer.vectors * 2)
        return answer


def main() -> None:
    """Serve until told to stop."""
    how = os.environ["BREAK"]
    if how == "crash at start":
        sys.exit("the model does not load")
    settings = from_environment(os.environ)
    described = manifest.read(settings.model_dir)
    sound = backends.load(settings.model_dir, described, threads=settings.threads)
    broken = BrokenEmbedder(sound, how, described.query_instruction)
    service = Service(broken, described, max_inputs=settings.max_inputs)
    uvicorn.run(
        create_app(service, settings), host=settings.host, port=settings.port, log_level="warning"
    )


main()
