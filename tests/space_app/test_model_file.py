from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from space_app.core.errors import ExportError
from space_app.model_file import ModelSpec, read, with_precision

if TYPE_CHECKING:
    from pathlib import Path


def test_every_key(tmp_path: Path) -> None:
    """What `ops render` writes is read; only id is needed."""
    path = tmp_path / "model.toml"
    path.write_text(
        'id = "acme/m"\nrevision = "abc"\nbackend = "torch"\nprecision = "fp32"\n'
        'query_instruction = "q: "\ndocument_instruction = "d: "\nmax_length = 128\n'
    )

    assert read(path) == ModelSpec(
        id="acme/m",
        revision="abc",
        backend="torch",
        precision="fp32",
        query_instruction="q: ",
        document_instruction="d: ",
        max_length=128,
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('revision = "main"', "id"),
        ('id = "a/b"\nquantise = true', "quantise"),
        ('id = "a/b"\nbackend = "jax"', "backend"),
        ('id = "a/b"\nprecision = "int4"', "precision"),
        ('id = "a/b"\nbackend = "torch"\nprecision = "int8"', "fp32 only"),
        ('id = "a/b"\nmax_length = "long"', "max_length"),
        ('id = "a/b"\nmax_length = 4', "max_length"),
        ("id = ", "TOML"),
        (f"max_length = {'9' * 5000}", "TOML"),
        (f"id = {'[' * 5000}", "TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """The error names the file and the key."""
    path = tmp_path / "model.toml"
    path.write_text(text)

    with pytest.raises(ExportError) as caught:
        read(path)

    assert str(path) in str(caught.value)
    assert named in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ExportError, match=r"nothing\.toml cannot be read"):
        read(tmp_path / "nothing.toml")


def test_usual_values() -> None:
    """int8 by OpenVINO; torch has but one precision, which need not be named."""
    usual, torch = ModelSpec(id="a/b"), ModelSpec(id="a/b", backend="torch")

    assert (usual.backend, usual.precision) == ("openvino", "int8")
    assert torch.precision == "fp32"


def test_another_precision() -> None:
    """The command line's precision replaces the file's, and obeys the same rules."""
    assert with_precision(ModelSpec(id="a/b"), "bf16") == ModelSpec(id="a/b", precision="bf16")
    with pytest.raises(ExportError, match="fp32 only"):
        with_precision(ModelSpec(id="a/b", backend="torch"), "int8")
