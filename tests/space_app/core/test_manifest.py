from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fakes.embedder import fake_manifest

from space_app.core import manifest
from space_app.core.errors import ArtefactError
from space_app.core.manifest import Quality, Refused

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """A manifest survives the file, its vectors and its measured quality included."""
    quality = Quality(texts=3, cosine_mean=0.99, cosine_min=0.9, rank=0.95)
    written = fake_manifest(
        query_instruction="Frage: ö ",
        quality=quality,
        refused=(Refused(precision="int8", quality=quality),),
    )
    manifest.write(written, tmp_path)

    assert manifest.read(tmp_path) == written


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dimensions": 0}, "dimensions"),
        ({"canaries": []}, "canaries"),
        ({"format": 1}, "format"),
        ({"fingerprint": None}, "fingerprint"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, object], named: str) -> None:
    """A manifest that cannot be used is refused by the field that is wrong."""
    values = json.loads(fake_manifest().model_dump_json()) | change
    (tmp_path / manifest.FILE_NAME).write_text(json.dumps(values))

    with pytest.raises(ArtefactError, match=named):
        manifest.read(tmp_path)


@pytest.mark.parametrize("content", [None, "{"])
def test_no_manifest(tmp_path: Path, content: str | None) -> None:
    """A folder without one, or with half of one, is no artefact, and the error says what to run."""
    if content is not None:
        (tmp_path / manifest.FILE_NAME).write_text(content)

    with pytest.raises(ArtefactError, match=r"space_app\.export"):
        manifest.read(tmp_path)
