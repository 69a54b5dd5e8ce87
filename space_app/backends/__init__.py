"""What computes vectors: one ML runtime per module, imported only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from space_app.core.exported import Exported
    from space_app.core.manifest import Manifest
    from space_app.core.types import Embedder
    from space_app.model_file import ModelSpec


def load(folder: Path, manifest: Manifest, *, threads: int) -> Embedder:
    """Load an artefact with the backend that its manifest names; raises ArtefactError."""
    loader = _LOADERS.get(manifest.backend)
    if loader is None:
        raise ArtefactError(
            f"The artefact is for the backend {manifest.backend!r}.",
            cause=f"This server has: {', '.join(_LOADERS)}.",
            next_step="Export the model again with this version.",
        )
    return loader(folder, threads)


def export(source: Path, spec: ModelSpec, folder: Path) -> Exported:
    """Save a model's folder the way its backend wants it; raises ExportError or ArtefactError."""
    return _EXPORTERS[spec.backend](source, spec, folder)


def _torch(folder: Path, threads: int) -> Embedder:
    from space_app.backends.torch import TorchEmbedder  # noqa: PLC0415 -- seconds to import

    return TorchEmbedder.load(folder, threads=threads)


def _torch_export(source: Path, spec: ModelSpec, folder: Path) -> Exported:
    from space_app.backends import torch_export  # noqa: PLC0415 -- seconds to import

    return torch_export.export(source, spec, folder)


_LOADERS: dict[str, Callable[[Path, int], Embedder]] = {"torch": _torch}
_EXPORTERS: dict[str, Callable[[Path, ModelSpec, Path], Exported]] = {"torch": _torch_export}
