from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from space_app.backends import compiled

if TYPE_CHECKING:
    from pathlib import Path

    from space_app.core.manifest import Compiled

SETTINGS: dict[str, str | int] = {
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
}
MORE_THREADS = {**SETTINGS, "INFERENCE_NUM_THREADS": 2}


def save(factor: float, path: Path) -> None:
    """A graph that multiplies by a matrix of one number."""
    numbers = ops.parameter([-1, 8], np.float32)
    matrix = ops.constant(np.full((8, 8), factor, dtype=np.float32))
    product = ops.matmul(numbers, matrix, transpose_a=False, transpose_b=False)
    ov.save_model(ov.Model([product], [numbers]), path, compress_to_fp16=False)


def factor(graph: ov.CompiledModel) -> float:
    """What it multiplies by."""
    return float(graph(np.eye(8, dtype=np.float32)[:1])[0][0, 0])


@pytest.fixture(name="kept")
def _kept(graph: Path) -> Compiled:
    save(2, graph)
    return compiled.keep(graph, SETTINGS)


@pytest.fixture(name="graph")
def _graph(tmp_path: Path) -> Path:
    return tmp_path / "model.xml"


def leave_only_what_was_kept(graph: Path) -> None:
    """Without its XML nothing can be compiled anew."""
    graph.unlink()


def test_what_was_kept_is_used(graph: Path, kept: Compiled) -> None:
    """The graph itself is not read, its weights are, and threads may be others."""
    leave_only_what_was_kept(graph)

    assert factor(compiled.compile_graph(graph, MORE_THREADS, kept)) == 2


def test_the_weights_are_not_kept_twice(graph: Path, kept: Compiled) -> None:
    """Weights are taken from the graph's own file, so that the image has them once."""
    weights = graph.with_suffix(".bin")
    numbers = np.frombuffer(weights.read_bytes(), dtype=np.float32)
    weights.write_bytes((numbers * 3).tobytes())

    assert factor(compiled.compile_graph(graph, SETTINGS, kept)) == 6


@pytest.mark.parametrize("other", [0, 1, 2])
def test_what_another_machine_kept_is_not_used(graph: Path, kept: Compiled, other: int) -> None:
    """Another engine, arithmetic or CPU compiles by itself."""
    made_for = list(kept.made_for)
    made_for[other] = "another"
    elsewhere = kept.model_copy(update={"made_for": tuple(made_for)})
    graph.with_suffix(compiled.SUFFIX).unlink()

    assert factor(compiled.compile_graph(graph, SETTINGS, elsewhere)) == 2


def test_what_is_damaged_is_not_used(graph: Path, kept: Compiled) -> None:
    """It only saves time: a server starts without it."""
    blob = graph.with_suffix(compiled.SUFFIX)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)

    assert factor(compiled.compile_graph(graph, SETTINGS, kept)) == 2


def test_what_is_missing_is_not_used(graph: Path, kept: Compiled) -> None:
    """A manifest without its file is not the end."""
    graph.with_suffix(compiled.SUFFIX).unlink()

    assert factor(compiled.compile_graph(graph, SETTINGS, kept)) == 2
