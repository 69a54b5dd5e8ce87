"""The reference: a sentence-transformers model in fp32, what it is made of, and its own vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers.utils import logging as transformers_logging

from space_app.core.errors import ArtefactError, ExportError
from space_app.core.exported import CANARY_DOCUMENTS, CANARY_QUERY
from space_app.core.manifest import Canary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from space_app.core.types import Matrix
    from space_app.model_file import ModelSpec


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


def pooling(model: SentenceTransformer, spec: ModelSpec) -> str:
    """How tokens become one vector; raises ExportError for a model that does not work so."""
    found = [module for module in model if isinstance(module, Pooling)]
    if len(found) != 1 or getattr(model, "tokenizer", None) is None:
        raise ExportError(
            f"{spec.id} is not a text model with one pooling.",
            cause=f"It is made of {made_of(model)}.",
            next_step="Use a model of the BERT kind: a Transformer, then a Pooling.",
        )
    how = found[0].get_config_dict()
    instructed = spec.query_instruction or spec.document_instruction
    if instructed and not how.get("include_prompt", True):
        raise ExportError(
            f"{spec.id} leaves instructions out of its pooling, which this server does not do.",
            next_step="Use another model, or none of query_instruction and document_instruction.",
        )
    mode = how["pooling_mode"]
    return mode if isinstance(mode, str) else "+".join(mode)


def made_of(model: SentenceTransformer) -> str:
    """The model's modules, in their order."""
    return ", ".join(type(module).__name__ for module in model)


def limit(model: SentenceTransformer, spec: ModelSpec) -> int:
    """Lower the model's length to what was asked; returns what it is then."""
    own = model.max_seq_length
    wanted = spec.max_length or own
    if wanted is None:
        raise ExportError(
            f"{spec.id} does not say how long a text may be.", next_step="Set max_length."
        )
    if own is not None and wanted > own:
        raise ExportError(
            f"max_length is {wanted}, but {spec.id} reads {own} tokens at most.",
            next_step=f"Set max_length to {own} or less, or leave it out.",
        )
    model.max_seq_length = wanted
    return wanted


def vectors(model: SentenceTransformer, texts: Sequence[str]) -> Matrix:
    """What sentence-transformers makes of texts, with nothing put before them."""
    # An empty prompt: the model's own ones are not used, the instructions are in the texts.
    found: Matrix = model.encode(
        list(texts), prompt="", normalize_embeddings=True, show_progress_bar=False
    )
    return found


def canaries(model: SentenceTransformer, spec: ModelSpec) -> tuple[Canary, ...]:
    """The texts that an artefact of this model is checked with, and the reference's vectors."""
    texts = [
        spec.query_instruction + CANARY_QUERY,
        *(spec.document_instruction + text for text in CANARY_DOCUMENTS),
    ]
    return tuple(
        Canary(text=text, vector=tuple(vector.tolist()))
        for text, vector in zip(texts, vectors(model, texts), strict=True)
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "no details")
