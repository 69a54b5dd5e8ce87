from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fakes.embedder import fake_manifest

from space_app.core.errors import ArtefactError
from space_app.fingerprint import fingerprint, verify

if TYPE_CHECKING:
    from pathlib import Path

DECISIONS = {"precision": "fp32", "query_instruction": ""}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder, as far as hashing goes."""
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text('{"pooling_mode": "mean", "dimension": 4}')
    (tmp_path / "config.json").write_text('{"model_type": "bert", "transformers_version": "5.0"}')
    (tmp_path / "model.safetensors").write_bytes(b"\x00\x01\x02")
    return tmp_path


def test_what_decides_no_vector_does_not_count(model: Path) -> None:
    """Library versions, JSON's layout, a README and the manifest leave the fingerprint alone."""
    before = fingerprint(model, DECISIONS)
    config = {"transformers_version": "6.0", "model_type": "bert"}
    (model / "config.json").write_text(json.dumps(config, indent=4))
    (model / "README.md").write_text("hello")
    (model / "manifest.json").write_text("{}")

    assert fingerprint(model, dict(reversed(DECISIONS.items()))) == before


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("model.safetensors", b"\x00\x01\x03"),
        ("1_Pooling/config.json", b'{"pooling_mode": "cls", "dimension": 4}'),
        ("tokenizer.json", b"{}"),
    ],
)
def test_every_file_that_decides_counts(model: Path, path: str, content: bytes) -> None:
    """Weights, modules and a new file each change the fingerprint."""
    before = fingerprint(model, DECISIONS)
    (model / path).write_bytes(content)

    assert fingerprint(model, DECISIONS) != before


def test_decisions_count(model: Path) -> None:
    """An instruction changes the fingerprint."""
    other = DECISIONS | {"query_instruction": "query: "}

    assert fingerprint(model, other) != fingerprint(model, DECISIONS)


def test_a_folder_is_held_to_its_manifest(model: Path) -> None:
    """What was exported passes; another file, or another decision, is refused with both prints."""
    described = fake_manifest()
    written = described.model_copy(update={"fingerprint": fingerprint(model, described.decisions)})
    verify(model, written)

    with pytest.raises(ArtefactError, match=written.fingerprint):
        verify(model, written.model_copy(update={"query_instruction": "another: "}))
    (model / "model.safetensors").write_bytes(b"\x00\x01\x03")
    with pytest.raises(ArtefactError, match=written.fingerprint):
        verify(model, written)


def test_a_folder_that_cannot_be_read(model: Path) -> None:
    """Half a JSON file is refused by the folder's name."""
    (model / "config.json").write_text('{"model_type": ')

    with pytest.raises(ArtefactError, match=str(model)):
        verify(model, fake_manifest())
