"""The self-check: does what is served agree with what sentence-transformers computed at export?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from space_app.core.manifest import Manifest
    from space_app.core.types import Embedder, Encoded, Matrix

MIN_COSINE = {"fp32": 0.9999, "bf16": 0.96, "int8": 0.96}
"""To the reference's vectors, by precision: what an export admits, and a little for the CPU."""

SAME = {"fp32": 0.9999, "bf16": 0.998, "int8": 0.998}
"""To the artefact's own vectors of its export in the same arithmetic: what the code for another CPU
differs by at most."""

ALIKE = {"fp32": 0.9999, "bf16": 0.998, "int8": 0.98}
"""To its vectors in another arithmetic, where the export's CPU had not this one: what is rounded to
int8 then falls now on one side and now on the other."""

_LENGTH_TOLERANCE = 1e-3


def check(embedder: Embedder, manifest: Manifest) -> float:
    """Embed the canaries; returns the lowest cosine to their reference vectors.

    Raises:
        ArtefactError: a vector has the wrong size or length, or points elsewhere.
    """
    vectors = embed_all(embedder, [canary.text for canary in manifest.canaries])
    if vectors.shape != (len(manifest.canaries), manifest.dimensions):
        raise _disagree(f"{vectors.shape[-1]} dimensions instead of {manifest.dimensions}")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.all(np.abs(lengths - 1) <= _LENGTH_TOLERANCE):
        raise _disagree("a vector's length is not 1")
    lowest = _lowest(vectors, [canary.vector for canary in manifest.canaries])
    _require(lowest, MIN_COSINE[manifest.precision])
    _require_as_exported(embedder, vectors, manifest)
    return lowest


def _require_as_exported(embedder: Embedder, vectors: Matrix, manifest: Manifest) -> None:
    known = manifest.canaries[0].exported
    same = embedder.arithmetic in known
    for arithmetic in [embedder.arithmetic] if same else known:
        exported = [canary.exported[arithmetic] for canary in manifest.canaries]
        _require(_lowest(vectors, exported), (SAME if same else ALIKE)[manifest.precision])


def with_exported(embedder: Embedder, manifest: Manifest) -> Manifest:
    """The manifest with what the embedder makes of its canaries now, in its arithmetic."""
    vectors = embed_all(embedder, [canary.text for canary in manifest.canaries])
    canaries = tuple(
        canary.model_copy(
            update={"exported": {**canary.exported, embedder.arithmetic: tuple(vector.tolist())}}
        )
        for canary, vector in zip(manifest.canaries, vectors, strict=True)
    )
    return manifest.model_copy(update={"canaries": canaries})


def _lowest(vectors: Matrix, wanted: Sequence[tuple[float, ...]]) -> float:
    return float(np.min(np.sum(vectors * np.array(wanted, dtype=np.float32), axis=1)))


def _require(cosine: float, allowed: float) -> None:
    if not cosine >= allowed:  # also if it is NaN, which no comparison holds for
        raise _disagree(f"cosine {cosine:.4f}, at least {allowed} is needed")


def embed_all(embedder: Embedder, texts: Sequence[str]) -> Matrix:
    """Embed texts one step after another, in their order."""
    width = max(shape.width for shape in embedder.step_shapes)
    steps = _steps(embedder.encode(texts), width, embedder.step_texts)
    return np.concatenate([embedder.embed([step]) for step in steps])


def _steps(texts: Sequence[Encoded], most_tokens: int, most_texts: int) -> Iterator[list[Encoded]]:
    step: list[Encoded] = []
    for text in texts:
        if step and (len(step) == most_texts or sum(map(len, step)) + len(text) > most_tokens):
            yield step
            step = []
        step.append(text)
    if step:
        yield step


def _disagree(found: str) -> ArtefactError:
    return ArtefactError(
        f"The model's vectors are not those of its export: {found}.",
        cause="The artefact was changed or damaged, or a library computes differently.",
        next_step="Export the model again with the libraries of requirements.txt.",
    )
