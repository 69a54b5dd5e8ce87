"""The torch backend: the model as sentence-transformers runs it, in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from space_app.core.errors import ArtefactError
from space_app.core.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

_CHARACTERS_PER_TOKEN = 250
"""Text beyond so many characters for each token that the model reads is not even tokenised.

Without it, one request of 10 MB costs ten seconds and two gigabytes before it is truncated.
"""


def load_model(folder: Path) -> SentenceTransformer:
    """Load a sentence-transformers folder in fp32; raises ArtefactError.

    Code that comes with a model is never run.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": torch.float32},
        )
    except (
        OSError,
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
        AttributeError,
        ImportError,
        SafetensorError,
    ) as error:
        # What transformers and its parsers are known to raise on files that they cannot use.
        raise ArtefactError(
            f"The model in {folder} does not load.",
            cause=f"{type(error).__name__}: {_first_line(error)}",
            next_step="Its files are damaged, or it is not a model that sentence-transformers runs "
            "without code of the model's own.",
        ) from error
    return model.eval()


class TorchEmbedder:
    """An Embedder over a loaded sentence-transformers model."""

    def __init__(self, model: SentenceTransformer, *, max_length: int):
        self.max_length = max_length
        self._model = model
        self._most_characters = max_length * _CHARACTERS_PER_TOKEN

    @classmethod
    def load(cls, folder: Path, *, threads: int) -> Self:
        """Load the model of an artefact's folder."""
        torch.set_num_threads(threads)
        model = load_model(folder)
        max_length = model.max_seq_length
        if max_length is None:
            raise ArtefactError(f"The model in {folder} does not say how long a text may be.")
        return cls(model, max_length=max_length)

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """As Embedder.embed."""
        read = [text[: self._most_characters] for text in texts]
        features = self._model.preprocess(read)
        tokens: list[int] = features["attention_mask"].sum(dim=1).tolist()
        with torch.inference_mode():
            vectors: Tensor = self._model(features)["sentence_embedding"]
            vectors = torch.nn.functional.normalize(vectors.float(), dim=1)
        cut = (
            len(text) < len(whole) or (count >= self.max_length and self._is_longer(text))
            for text, whole, count in zip(read, texts, tokens, strict=True)
        )
        return Embeddings(
            vectors=vectors.contiguous().numpy(), tokens=tuple(tokens), truncated=tuple(cut)
        )

    def _is_longer(self, text: str) -> bool:
        """Whether a text that fills the model goes on after that."""
        ids = self._model.tokenizer(text, truncation=False, verbose=False)["input_ids"]
        return len(ids) > self.max_length


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "no details")
