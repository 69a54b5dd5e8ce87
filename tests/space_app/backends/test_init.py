from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.embedder import fake_manifest

from space_app import backends
from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_backend_that_this_server_has_not(tmp_path: Path) -> None:
    """An artefact for another backend is refused by name."""
    with pytest.raises(ArtefactError, match="quantum"):
        backends.load(tmp_path, fake_manifest(backend="quantum"), threads=1)
