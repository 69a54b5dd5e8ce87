"""The self-check: does what is served agree with what sentence-transformers computed at export?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from space_app.core.manifest import Manifest
    from space_app.core.types import Embedder

_MIN_COSINE = {"fp32": 0.9999}
"""By precision; between CPUs fp32 differs in the sixth decimal."""

_LENGTH_TOLERANCE = 1e-3


def check(embedder: Embedder, manifest: Manifest) -> float:
    """Embed the canaries; returns the lowest cosine to their reference vectors.

    Raises:
        ArtefactError: a vector has the wrong size or length, or points elsewhere.
    """
    reference = np.array([canary.vector for canary in manifest.canaries], dtype=np.float32)
    vectors = embedder.embed([canary.text for canary in manifest.canaries]).vectors
    if vectors.shape != (len(manifest.canaries), manifest.dimensions):
        raise _disagree(f"{vectors.shape[-1]} dimensions instead of {manifest.dimensions}")
    lengths = np.linalg.norm(vectors, axis=1)
    # Written so that NaN fails too.
    if not np.all(np.abs(lengths - 1) <= _LENGTH_TOLERANCE):
        raise _disagree("a vector's length is not 1")
    lowest = float(np.min(np.sum(vectors * reference, axis=1)))
    allowed = _MIN_COSINE[manifest.precision]
    if lowest < allowed:
        raise _disagree(f"cosine {lowest:.4f}, at least {allowed} is needed")
    return lowest


def _disagree(found: str) -> ArtefactError:
    return ArtefactError(
        f"The model's vectors are not those of its export: {found}.",
        cause="The artefact was changed or damaged, or a library computes differently.",
        next_step="Export the model again with the libraries of requirements.txt.",
    )
