from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from space_app import backends
from space_app.backends.openvino import OpenVinoEmbedder, step_shapes
from space_app.core import canaries, manifest
from space_app.core.errors import ArtefactError
from space_app.core.types import Encoded, Shape
from space_app.export import export
from space_app.model_file import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from space_app.core.types import Matrix

TEXTS = [
    "how do I reset my password?",
    "ok",
    "  space around  ",
    "Zürich, 東京, naïve café 🙂\n\tand a tab",
    " ",
    "The bakery on the corner sells rye bread from six in the morning. " * 4,
    "word " * 400,
]
SELF_CHECK = """
import json, sys
from pathlib import Path
from space_app import backends
from space_app.core import canaries, manifest
folder = Path(sys.argv[1])
described = manifest.read(folder)
lowest = canaries.check(backends.load(folder, described, threads=1), described)
unwanted = {"torch", "transformers", "sentence_transformers", "nncf", "scipy", "huggingface_hub"}
print(json.dumps([lowest, sorted(unwanted & sys.modules.keys())]))
"""


@pytest.fixture(name="embedder", scope="module")
def _embedder(artefact: Path) -> OpenVinoEmbedder:
    return OpenVinoEmbedder.load(artefact, max_length=256, arithmetic="fp32", threads=2)


@pytest.fixture(name="bf16_artefact", scope="module")
def _bf16_artefact(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bf16") / "model"
    export(ModelSpec(id=str(minilm), precision="bf16"), folder)
    return folder


def cosines(vectors: Matrix, others: Matrix) -> list[float]:
    """Row by row."""
    found: list[float] = (vectors * others).sum(axis=1).tolist()
    return found


def one_by_one(embedder: OpenVinoEmbedder, texts: Sequence[str]) -> Matrix:
    """Each text in a step of its own."""
    return np.concatenate([embedder.embed([[text]]) for text in embedder.encode(texts)])


def self_check(folder: Path, **environment: str) -> tuple[float, list[str]]:
    """Load and check in a process of its own: the lowest cosine, and what should not be there."""
    done = subprocess.run(
        [sys.executable, "-c", SELF_CHECK, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    lowest, unwanted = json.loads(done.stdout)
    return lowest, unwanted


def test_vectors_are_close_to_those_of_sentence_transformers(
    embedder: OpenVinoEmbedder, minilm: Path
) -> None:
    """int8 comes near what the published model gives, for strange texts, too."""
    reference = SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    wanted = reference.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)

    assert min(cosines(embedder.embed([embedder.encode(TEXTS[:-1])]), wanted[:-1])) > 0.98
    assert min(cosines(one_by_one(embedder, TEXTS), wanted)) > 0.98


def test_neighbours_change_nothing(embedder: OpenVinoEmbedder) -> None:
    """A text has its vector whatever shares its step, and at whichever shape."""
    alone = one_by_one(embedder, TEXTS[:-1])
    encoded = embedder.encode(TEXTS[:-1])
    together = embedder.embed([encoded])
    backwards = embedder.embed([encoded[:2:-1], encoded[2::-1]])[::-1]

    assert min(cosines(alone, together)) > 0.9999
    assert min(cosines(alone, backwards)) > 0.9999


def test_vectors_are_float32_of_length_1(embedder: OpenVinoEmbedder) -> None:
    """Each row is a unit vector that can be written out as it is."""
    vectors = embedder.embed([embedder.encode(TEXTS[:3])])

    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_an_answer_is_kept(embedder: OpenVinoEmbedder) -> None:
    """Vectors do not change when the next step is computed."""
    first = embedder.embed([embedder.encode(["a cat"])])
    before = first.copy()
    embedder.embed([embedder.encode(["a different dog"])])

    np.testing.assert_array_equal(first, before)


def test_a_full_step(embedder: OpenVinoEmbedder) -> None:
    """As many tokens and texts as a step may have are computed, each text right."""
    for shape in (shape for shape in embedder.step_shapes if shape.tokens >= 512):
        texts = embedder.step_texts // shape.rows
        text = Encoded(np.arange(2000, 2000 + shape.width // texts), truncated=False)

        vectors = embedder.embed([[text] * texts] * shape.rows)

        assert vectors.shape == (texts * shape.rows, 384)
        alone = np.repeat(embedder.embed([[text]]), len(vectors), 0)
        assert min(cosines(vectors, alone)) > 0.9999


@pytest.mark.parametrize("max_length", [16, 512, 600, 8192])
def test_the_longest_text_fits(max_length: int) -> None:
    """The first shape that holds a text is the one that costs least, and one holds the longest."""
    shapes = step_shapes(max_length)

    assert any(shape.holds([max_length]) for shape in shapes)
    assert len(set(shapes)) == len(shapes)
    assert [shape.tokens for shape in shapes] == sorted(shape.tokens for shape in shapes)
    assert next(shape for shape in shapes if shape.holds([100] * 4)) == Shape(4, 128)


def test_the_serving_process_is_lean(artefact: Path) -> None:
    """Loading and computing imports neither PyTorch nor what only the export needs."""
    assert self_check(artefact)[1] == []


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16"])
def test_the_self_check_admits_other_cpus(artefact: Path, isa: str) -> None:
    """Another CPU's int8 arithmetic moves the vectors by next to nothing, and passes."""
    lowest, _ = self_check(artefact, ONEDNN_MAX_CPU_ISA=isa)

    assert lowest > canaries.MIN_COSINE["int8"]


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE_VNNI"])
def test_bf16_starts_on_a_cpu_without_it(bf16_artefact: Path, isa: str) -> None:
    """What was exported in bf16 is computed in fp32 where the CPU has no bf16, and passes."""
    lowest, _ = self_check(bf16_artefact, ONEDNN_MAX_CPU_ISA=isa)

    assert lowest > 0.999


def test_the_self_check_admits_no_other_text(embedder: OpenVinoEmbedder, artefact: Path) -> None:
    """A query without its instruction fails the self-check."""
    described = manifest.read(artefact)
    first, *others = described.canaries
    spoilt = first.model_copy(update={"text": first.text.removeprefix("query: ")})

    with pytest.raises(ArtefactError, match="cosine"):
        canaries.check(embedder, described.model_copy(update={"canaries": (spoilt, *others)}))


def test_a_graph_that_was_compiled_before_is_the_same(artefact: Path) -> None:
    """What the export compiled is used here, where it was made, and changes no vector at all."""
    kept = manifest.read(artefact).compiled
    encoded = OpenVinoEmbedder.load(artefact, max_length=256, arithmetic="mixed", threads=1).encode(
        TEXTS[:-1]
    )
    vectors = [
        OpenVinoEmbedder.load(
            artefact, max_length=256, arithmetic="mixed", threads=1, kept=each
        ).embed([encoded])
        for each in (kept, None)
    ]

    assert kept is not None
    np.testing.assert_array_equal(*vectors)


@pytest.mark.parametrize("broken", ["model.bin", "model.xml", "tokenizer.json"])
def test_a_changed_byte_is_noticed(artefact: Path, tmp_path: Path, broken: str) -> None:
    """One byte of one file makes another model, which does not load under the old name."""
    for path in artefact.iterdir():
        content = bytearray(path.read_bytes())
        if path.name == broken:
            content[len(content) // 2] ^= 1
        (tmp_path / path.name).write_bytes(content)

    with pytest.raises(ArtefactError, match=r"not the one that its manifest describes|be read"):
        backends.load(tmp_path, manifest.read(artefact), threads=1)


def test_half_a_graph_does_not_load(artefact: Path, tmp_path: Path) -> None:
    """A graph that OpenVINO cannot read is an ArtefactError that names the folder."""
    for name in ("model.bin", "tokenizer.json"):
        (tmp_path / name).symlink_to(artefact / name)
    content = (artefact / "model.xml").read_bytes()
    (tmp_path / "model.xml").write_bytes(content[: len(content) // 2])

    with pytest.raises(ArtefactError, match=str(tmp_path)):
        OpenVinoEmbedder.load(tmp_path, max_length=256, arithmetic="fp32", threads=1)
