"""The torch backend: the model as sentence-transformers runs it, in fp32."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence

from space_app.backends.reading import CHARACTERS_PER_TOKEN, Reader
from space_app.backends.reference import load_model, positions
from space_app.core.errors import ArtefactError
from space_app.core.types import Encoded, Shape, Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sentence_transformers import SentenceTransformer
    from torch import Tensor

    from space_app.core.types import Matrix, Token

_STEP_TOKENS = (128, 512, 2048)


class TorchEmbedder:
    """An Embedder over a loaded sentence-transformers model."""

    step_texts = 32
    arithmetic = "fp32"

    def __init__(self, model: SentenceTransformer, *, max_length: int):
        self.max_length = max_length
        longer = (max_length,) if max_length > _STEP_TOKENS[-1] else ()
        self.step_shapes = tuple(Shape(1, tokens) for tokens in (*_STEP_TOKENS, *longer))
        self._model = model
        self._most_characters = max_length * CHARACTERS_PER_TOKEN

    @classmethod
    def load(cls, folder: Path, *, max_length: int, threads: int) -> Self:
        """Load the model of an artefact's folder; raises ArtefactError."""
        torch.set_num_threads(threads)
        model = load_model(folder)
        most = positions(model)
        if most is not None and max_length > most:
            raise ArtefactError(
                f"The model in {folder} has positions for {most} tokens, not for {max_length}.",
                next_step="Export the model again.",
            )
        # What it says itself after it was saved may be less.
        model.max_seq_length = max_length
        return cls(model, max_length=max_length)

    def encode(self, texts: Sequence[str], side: Side = Side.RIGHT) -> list[Encoded]:
        """As Embedder.encode."""
        if side is Side.LEFT:
            return self._reader.read(texts, side)
        return [self._encode(text) for text in texts]

    def tokenise(self, text: str, *, special: bool) -> Iterable[Token]:
        """As Embedder.tokenise."""
        return self._reader.tokens(text, special=special)

    def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
        """As Embedder.embed; texts are padded to the longest, however they were laid out."""
        tokens = [torch.from_numpy(text.tokens) for row in step for text in row]
        features = {
            "input_ids": pad_sequence(tokens, batch_first=True, padding_value=self._padding),
            "attention_mask": pad_sequence(
                [torch.ones_like(row) for row in tokens], batch_first=True
            ),
        }
        with torch.inference_mode():
            vectors: Tensor = self._model(features)["sentence_embedding"]
            vectors = torch.nn.functional.normalize(vectors.float(), dim=1)
        return vectors.contiguous().numpy()

    @property
    def _padding(self) -> int:
        return int(self._model.tokenizer.pad_token_id or 0)

    @cached_property
    def _reader(self) -> Reader:
        """Reads by the model's tokenizer what sentence-transformers has no call for."""
        copy = Tokenizer.from_str(self._model.tokenizer.backend_tokenizer.to_str())
        return Reader(copy, self.max_length)

    def _encode(self, text: str) -> Encoded:
        read = text[: self._most_characters]
        ids = self._model.preprocess([read])["input_ids"][0].numpy().astype(np.int64)
        beyond = self._beyond(read) if len(ids) >= self.max_length else 0
        return Encoded(tokens=ids, truncated=len(read) < len(text) or beyond > 0, beyond=beyond)

    def _beyond(self, text: str) -> int:
        """How many tokens a text that fills the model has after that."""
        ids = self._model.tokenizer(text, truncation=False, verbose=False)["input_ids"]
        return len(ids) - self.max_length
