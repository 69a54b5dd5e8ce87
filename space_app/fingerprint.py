"""The fingerprint of an artefact: a hash of everything in it that decides a vector."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from space_app.core import manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CHUNK = 1 << 20
_LENGTH = 16
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
        if path.name != manifest.FILE_NAME and path.suffix != ".md"
    }
    whole = {"files": files, "decisions": dict(decisions)}
    return hashlib.sha256(_canonical(whole)).hexdigest()[:_LENGTH]


def _digest(path: Path) -> str:
    if path.suffix == ".json":
        return hashlib.sha256(_canonical(_stripped(json.loads(path.read_bytes())))).hexdigest()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _stripped(value: Any) -> Any:
    """Without the keys that say nothing, at the top level, where they are."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key not in _SAYS_NOTHING}
    return value


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
