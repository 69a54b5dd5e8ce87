"""The artefact's graph alone: the best steady rate of full steps, without HTTP and scheduling.

    python benchmarks/bare_graph.py ARTEFACT TOKENIZER.json [--seconds 3]

Prints JSON: tokens a second, by the rows and tokens of the step and the number of its texts.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workload import SPECIAL_TOKENS, Texts, words

from space_app import backends
from space_app.core import manifest
from space_app.cpus import available_cpus

if TYPE_CHECKING:
    from space_app.core.types import Embedder, Encoded

_SEED = 1
_SHORTEST_STEP = 64
_TEXT_LENGTHS = (64, 128)
_WARM_UP = 3


@dataclass(frozen=True)
class Rate:
    """Tokens a second of one kind of step."""

    rows: int
    step_tokens: int
    texts: int
    tokens_per_second: float


def main() -> None:
    """Measure every kind of step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artefact", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--seconds", type=float, default=3, help="for each kind of step")
    options = parser.parse_args()
    described = manifest.read(options.artefact)
    embedder = backends.load(options.artefact, described, threads=available_cpus())
    texts = Texts(words(options.tokenizer), _SEED)
    rates = [asdict(rate(step, embedder, options.seconds)) for step in steps(embedder, texts)]
    print(json.dumps(rates))


def steps(embedder: Embedder, texts: Texts) -> list[list[list[Encoded]]]:
    """Steps that are exactly full, of texts of one length."""

    def row(width: int, length: int) -> list[Encoded]:
        return embedder.encode([texts.of(length - SPECIAL_TOKENS)] * (width // length))

    return [
        [row(shape.width, length) for _ in range(shape.rows)]
        for shape in embedder.step_shapes
        for length in _TEXT_LENGTHS
        if shape.tokens >= _SHORTEST_STEP
        and shape.width % length == 0
        and shape.tokens // length <= embedder.step_texts
    ]


def rate(step: list[list[Encoded]], embedder: Embedder, seconds: float) -> Rate:
    """The same step again and again; the graph remembers nothing."""
    for _ in range(_WARM_UP):
        embedder.embed(step)
    tokens, runs = sum(len(text) for row in step for text in row), 0
    begin = time.perf_counter()
    while (taken := time.perf_counter() - begin) < seconds:
        embedder.embed(step)
        runs += 1
    return Rate(len(step), tokens, sum(map(len, step)), tokens * runs / taken)


if __name__ == "__main__":
    main()
