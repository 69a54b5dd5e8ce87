"""The artefact's graph alone: the best steady rate of full steps, without HTTP and scheduling.

    python benchmarks/bare_graph.py ARTEFACT TOKENIZER.json [--seconds 3]

Prints JSON: tokens a second, by the length of the step and of its texts.
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


def steps(embedder: Embedder, texts: Texts) -> list[list[Encoded]]:
    """Steps that are exactly full, of texts of one length."""
    return [
        embedder.encode([texts.of(length - SPECIAL_TOKENS) for _ in range(step_length // length)])
        for step_length in embedder.step_lengths
        for length in _TEXT_LENGTHS
        if step_length >= _SHORTEST_STEP
        and step_length % length == 0
        and step_length // length <= embedder.step_texts
    ]


def rate(step: list[Encoded], embedder: Embedder, seconds: float) -> Rate:
    """The same step again and again; the graph remembers nothing."""
    for _ in range(_WARM_UP):
        embedder.embed(step)
    tokens, runs = sum(map(len, step)), 0
    begin = time.perf_counter()
    while (taken := time.perf_counter() - begin) < seconds:
        embedder.embed(step)
        runs += 1
    return Rate(tokens, len(step), tokens * runs / taken)


if __name__ == "__main__":
    main()
