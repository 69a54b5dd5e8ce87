"""A vector that is wrong is neither delivered nor remembered: real servers over damaged models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import numpy as np
import pytest
from damaged import (
    POSITIONS,
    SPOILED,
    small_artefact,
    with_max_length,
    with_spoiled_word,
    with_token_beyond,
)
from server_process import started

from space_app import backends
from space_app.backends.openvino import OpenVinoEmbedder
from space_app.backends.pack import Pack, texts_in
from space_app.backends.reading import Reader
from space_app.backends.tables import Tables
from space_app.core import manifest
from space_app.core.types import Shape
from space_app.core.unit import are_unit

if TYPE_CHECKING:
    from pathlib import Path

    from space_app.core.types import Matrix

GOOD = [f"the {word} on the hill" for word in ("house", "church", "tree", "river", "road", "mill")]
OTHERS = [f"a {word} in the valley" for word in ("dog", "cat", "cow", "bird", "fox", "bee")]


@pytest.fixture(name="small", scope="module")
def _small(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_artefact(minilm, tmp_path_factory.mktemp("small"))


def vectors_of(artefact: Path, texts: list[str]) -> Matrix:
    """What the backend makes of each text by itself."""
    embedder = backends.load(artefact, manifest.read(artefact), threads=1)
    return np.concatenate([embedder.embed([[text]]) for text in embedder.encode(texts)])


def require_right(replies: list[httpx2.Response], wanted: Matrix) -> None:
    """Each reply has its text's vector."""
    assert [reply.status_code for reply in replies] == [200] * len(replies)
    found = np.array([reply.json()["data"][0]["embedding"] for reply in replies])
    assert (found * wanted).sum(axis=1).min() > 0.9999


@pytest.mark.parametrize("kind", ["weights that are not numbers", "a token beyond the vocabulary"])
def test_a_text_without_a_vector_fails_alone(small: Path, tmp_path: Path, kind: str) -> None:
    """Its request gets a 500, nothing of it is cached, others beside it are right, health tells."""
    if kind == "weights that are not numbers":
        damaged, spoiled = with_spoiled_word(small, tmp_path / "model"), SPOILED
    else:
        spoiled = "zzyzx"
        damaged = with_token_beyond(small, tmp_path / "model", spoiled)
    right = vectors_of(small, GOOD + OTHERS)
    with (
        started(damaged) as server,
        httpx2.Client(base_url=server.url, trust_env=False, timeout=60) as http,
        ThreadPoolExecutor(16) as pool,
    ):
        server.wait_until_healthy()

        def ask(*texts: str) -> httpx2.Response:
            return http.post("/v1/embeddings", json={"input": texts})

        together = ask(*GOOD, f"a {spoiled} crossing")
        mixed = [
            (
                pool.submit(ask, f"the {spoiled} of number {number}"),
                pool.submit(ask, OTHERS[number % len(OTHERS)]),
            )
            for number in range(30)
        ]
        bad = [one.result() for one, _ in mixed]
        beside = [one.result() for _, one in mixed]
        again = [ask(text) for text in GOOD]
        health = http.get("/health")
        counted = http.get("/metrics").text

    assert {reply.status_code for reply in (together, *bad)} == {500}
    assert together.json()["error"]["code"] == "invalid_vector"
    require_right(beside, np.array([right[len(GOOD) + n % len(OTHERS)] for n in range(30)]))
    require_right(again, right[: len(GOOD)])
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert "embedding_invalid_vector_requests_total 31.0" in counted


def test_a_manifest_that_says_more_than_the_graph_reads(small: Path, tmp_path: Path) -> None:
    """The server doesn't start, and says what to do."""
    damaged = with_max_length(small, tmp_path / "model", POSITIONS + 1)
    with started(damaged) as server:
        _, log = server.process.communicate(timeout=120)

    assert server.process.returncode == 1
    assert "Traceback" not in log
    assert f"reads {POSITIONS} tokens, but its manifest says {POSITIONS + 1}" in log
    assert "Export the model again." in log


def test_a_step_that_the_engine_gives_up_leaves_no_vectors(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves nothing that looks like one: not what an earlier step computed."""
    embedder = OpenVinoEmbedder.load(small, max_length=POSITIONS, arithmetic="fp32", threads=1)
    few, (long,) = embedder.encode(GOOD), Reader.load(small, 64).read(["word " * 50])
    assert are_unit(embedder.embed([few])).all()
    monkeypatch.setattr(embedder, "_tables", Tables(tokens=10**6, positions=10**6))
    shape = Shape(1, 128)
    monkeypatch.setattr(embedder, "_packs", [Pack(shape, texts_in(shape, 32))])
    try:
        found = embedder.embed([[*few[:2], long]])
    except RuntimeError:  # with more threads the engine says so
        return

    assert not are_unit(found).any()


def test_only_finite_rows_of_length_1_are_right() -> None:
    """Zeros, NaN, infinity and other lengths are not."""
    rows = np.array(
        [[0.6, 0.8], [0, 0], [np.nan, 1], [np.inf, 0], [0.7, 0.8], [1e30, 0], [1.001, 0]],
        dtype=np.float32,
    )

    assert are_unit(rows).tolist() == [True, False, False, False, False, False, True]
