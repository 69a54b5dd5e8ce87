"""The export side of the torch backend: checks a sentence-transformers model, saves it in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError
from sentence_transformers.sentence_transformer.modules import Pooling

from space_app.backends.torch import load_model
from space_app.core.errors import ExportError
from space_app.core.exported import CANARY_DOCUMENTS, CANARY_QUERY, Exported
from space_app.core.manifest import Canary

if TYPE_CHECKING:
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

    from space_app.model_file import ModelSpec


def export(source: Path, spec: ModelSpec, folder: Path) -> Exported:
    """Save the model of `source` in `folder`; its canaries are sentence-transformers' own vectors.

    Raises:
        ExportError: it is no model of this kind, or cannot be saved.
        ArtefactError: it does not load.
    """
    model = load_model(source)
    pooling = _pooling(model, spec)
    max_length = _limit(model, spec)
    _save(model, folder)
    texts = [
        spec.query_instruction + CANARY_QUERY,
        *(spec.document_instruction + text for text in CANARY_DOCUMENTS),
    ]
    # An empty prompt: the model's own ones are not used, the instructions are in the texts.
    vectors = model.encode(texts, prompt="", normalize_embeddings=True, show_progress_bar=False)
    return Exported(
        pooling=pooling,
        max_length=max_length,
        dimensions=int(vectors.shape[1]),
        canaries=tuple(
            Canary(text=text, vector=tuple(vector.tolist()))
            for text, vector in zip(texts, vectors, strict=True)
        ),
    )


def _pooling(model: SentenceTransformer, spec: ModelSpec) -> str:
    """How tokens become one vector; raises ExportError for a model that does not work so."""
    found = [module for module in model if isinstance(module, Pooling)]
    if len(found) != 1 or getattr(model, "tokenizer", None) is None:
        names = ", ".join(type(module).__name__ for module in model)
        raise ExportError(
            f"{spec.id} is not a text model with one pooling.",
            cause=f"It is made of {names}.",
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


def _limit(model: SentenceTransformer, spec: ModelSpec) -> int:
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


def _save(model: SentenceTransformer, folder: Path) -> None:
    try:
        model.save_pretrained(str(folder), create_model_card=False)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # weights are written as 0600
    except SafetensorError as error:
        raise ExportError(
            "The model could not be saved.",
            cause=f"{type(error).__name__}: {error}.",
            next_step="Make room on the disk of OUT, or choose another OUT.",
        ) from error
