"""The export side of the torch backend: checks a sentence-transformers model, saves it in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError

from space_app.backends import model_settings, reference
from space_app.core.errors import ExportError
from space_app.core.exported import Exported

if TYPE_CHECKING:
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

    from space_app.backends import Say
    from space_app.model_file import ModelSpec


def export(source: Path, spec: ModelSpec, folder: Path, say: Say) -> Exported:
    """Save the model of `source` in `folder`; its canaries are sentence-transformers' own vectors.

    Raises:
        ExportError: it is no model of this kind, or cannot be saved.
        ArtefactError: it does not load.
    """
    say(f"Loading {spec.id}")
    model = reference.load_model(source)
    model_settings.require_known(model, source, spec)
    instructions = model_settings.instructions(model, spec, say)
    pooling = reference.pooling(model, spec, instructions)
    max_length = reference.limit(model, spec, say)
    say("Saving it")
    _save(model, folder)
    canaries = reference.canaries(model, instructions)
    return Exported(
        precision="fp32",
        arithmetic="fp32",
        pooling=pooling,
        instructions=instructions,
        max_length=max_length,
        dimensions=len(canaries[0].vector),
        canaries=canaries,
        readings=reference.readings(model, instructions),
    )


def _save(model: SentenceTransformer, folder: Path) -> None:
    try:
        model.save_pretrained(str(folder), create_model_card=False)
    except SafetensorError as error:
        raise ExportError(
            "The model could not be saved.",
            cause=f"{type(error).__name__}: {error}.",
            next_step="Make room on the disk of OUT, or choose another OUT.",
        ) from error
