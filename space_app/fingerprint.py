"""The fingerprint of an artefact: a hash of everything in it that decides a vector."""

from __future__ import annotations

import hashlib
import json
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

from space_app.core import manifest as manifests
from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from space_app.core.manifest import Manifest

_LENGTH = 16
_DECIDE_NOTHING = (".md", ".blob")
"""Endings of files that tell of the model, or are made of the others."""

_SAYS_NOTHING = frozenset(
    {
        "__version__",
        "_name_or_path",
        "is_local",
        "local_files_only",
        "name_or_path",
        "transformers_version",
    }
)
"""Keys of a model's files that tell who wrote them and where, and decide nothing."""


def fingerprint(folder: Path, decisions: Mapping[str, object]) -> str:
    """Hash a model's files (weights, tokenizer, modules), and what is decided besides.

    The same content gives the same fingerprint wherever it came from: ids, revisions, library
    versions and the layout of JSON do not count.
    """
    paths = (path for path in folder.rglob("*") if path.is_file())
    files = {
        path.relative_to(folder).as_posix(): _digest(path)
        for path in paths
        if path.name != manifests.FILE_NAME and path.suffix not in _DECIDE_NOTHING
    }
    whole = {"files": files, "decisions": dict(decisions)}
    return hashlib.sha256(_canonical(whole)).hexdigest()[:_LENGTH]


def verify(folder: Path, manifest: Manifest) -> None:
    """Raise ArtefactError unless the folder's files are those that the manifest was written for."""
    try:
        found = fingerprint(folder, manifest.decisions)
    except (OSError, ValueError, RecursionError) as error:
        raise ArtefactError(
            f"The model in {folder} cannot be read.",
            cause=f"{type(error).__name__}.",
            next_step="Export the model again.",
        ) from error
    if found != manifest.fingerprint:
        raise ArtefactError(
            f"The model in {folder} is not the one that its manifest describes.",
            cause=f"Its fingerprint is {found}, not {manifest.fingerprint}: a file was changed, "
            "damaged, added or removed.",
            next_step="Export the model again.",
        )


def _digest(path: Path) -> str:
    if path.suffix == ".json":
        return hashlib.sha256(_canonical(_stripped(json.loads(path.read_bytes())))).hexdigest()
    if path.stat().st_size == 0:  # which cannot be mapped
        return hashlib.sha256().hexdigest()
    # In one piece, during which Python's other threads run on; between pieces they would wait.
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()


def _stripped(value: Any) -> Any:
    """Without the keys that say nothing, at the top level, where they are."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key not in _SAYS_NOTHING}
    return value


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
