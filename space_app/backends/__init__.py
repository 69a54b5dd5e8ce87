"""What computes vectors: one ML runtime per module, imported only when it is used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from space_app import fingerprint
from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from pathlib import Path

    from space_app.core.exported import Exported
    from space_app.core.manifest import Manifest
    from space_app.core.types import Embedder
    from space_app.model_file import ModelSpec

Say = Callable[[str], None]
"""Takes a line of progress."""


def load(
    folder: Path, manifest: Manifest, *, threads: int, arithmetic: str | None = None
) -> Embedder:
    """Load an artefact with the backend that its manifest names, and in its arithmetic or another.

    Raises:
        ArtefactError: its files are not those that its fingerprint was taken of, or do not load,
            or there is no such backend here.
    """
    loader = _LOADERS.get(manifest.backend)
    if loader is None:
        raise ArtefactError(
            f"The artefact is for the backend {manifest.backend!r}.",
            cause=f"This server has: {', '.join(_LOADERS)}.",
            next_step="Export the model again with this version.",
        )
    fingerprint.verify(folder, manifest)
    return loader(folder, manifest, threads, arithmetic or manifest.arithmetic)


def require(manifest: Manifest) -> None:
    """Import the runtime of an artefact's backend ahead of `load`, which then need not."""
    if manifest.backend in _LOADERS:
        import_module(f"space_app.backends.{manifest.backend}")


def export(source: Path, spec: ModelSpec, folder: Path, say: Say) -> Exported:
    """Save a model's folder the way its backend wants it; raises ExportError or ArtefactError."""
    return _EXPORTERS[spec.backend](source, spec, folder, say)


def _openvino(folder: Path, manifest: Manifest, threads: int, arithmetic: str) -> Embedder:
    from space_app.backends.openvino import OpenVinoEmbedder  # noqa: PLC0415 -- may not be there

    return OpenVinoEmbedder.load(
        folder,
        max_length=manifest.max_length,
        arithmetic=arithmetic,
        threads=threads,
        kept=manifest.compiled,
        padding=manifest.padding_token,
    )


def _torch(folder: Path, manifest: Manifest, threads: int, _arithmetic: str) -> Embedder:
    from space_app.backends.torch import TorchEmbedder  # noqa: PLC0415 -- seconds to import

    return TorchEmbedder.load(folder, max_length=manifest.max_length, threads=threads)


def _openvino_export(source: Path, spec: ModelSpec, folder: Path, say: Say) -> Exported:
    from space_app.backends import openvino_export  # noqa: PLC0415 -- seconds to import

    return openvino_export.export(source, spec, folder, say)


def _torch_export(source: Path, spec: ModelSpec, folder: Path, say: Say) -> Exported:
    from space_app.backends import torch_export  # noqa: PLC0415 -- seconds to import

    return torch_export.export(source, spec, folder, say)


_LOADERS: dict[str, Callable[[Path, Manifest, int, str], Embedder]] = {
    "openvino": _openvino,
    "torch": _torch,
}
_EXPORTERS: dict[str, Callable[[Path, ModelSpec, Path, Say], Exported]] = {
    "openvino": _openvino_export,
    "torch": _torch_export,
}
