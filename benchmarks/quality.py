"""Does an artefact rank as the model does? Spearman on STS Benchmark, against full precision.

    python benchmarks/quality.py ARTEFACT MODEL PAIRS.tsv

Prints JSON: both scores (times 100), and cosines of the artefact's vectors to the model's (mean and
minimum) on the pairs and on the texts that the export verifies with, computed here anew.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer

import space_app
from space_app import backends
from space_app.core import manifest
from space_app.core.canaries import embed_all
from space_app.cpus import available_cpus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Embedder, Matrix

VERIFICATION = Path(space_app.__file__).parent / "texts" / "verification.txt"


def main(artefact: Path, model: Path, pairs: Path) -> None:
    """Score both."""
    with pairs.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    gold = [float(row["score"]) for row in rows]
    texts = [row["sentence1"] for row in rows] + [row["sentence2"] for row in rows]
    described = manifest.read(artefact)
    both = Both(
        backends.load(artefact, described, threads=available_cpus()),
        SentenceTransformer(str(model), device="cpu"),
        described.document_instruction,
    )
    ours, reference = both.vectors(texts)
    verified = VERIFICATION.read_text(encoding="utf-8").splitlines()
    report = {
        "precision": described.precision,
        "manifest": described.quality.model_dump() if described.quality else None,
        "pairs": len(rows),
        "ours": score(ours, gold),
        "reference": score(reference, gold),
        "pairs_cosines": cosines(ours, reference),
        "cosines": cosines(*both.vectors([text for text in verified if text])),
    }
    print(json.dumps(report))


@dataclass(frozen=True)
class Both:
    """The artefact, and the model that it was made from."""

    embedder: Embedder
    model: SentenceTransformer
    instruction: str

    def vectors(self, texts: Sequence[str]) -> tuple[Matrix, Matrix]:
        """The artefact's, then the model's in full precision."""
        read = [self.instruction + text for text in texts]
        reference = self.model.encode(read, prompt="", normalize_embeddings=True)
        return embed_all(self.embedder, read), reference


def cosines(ours: Matrix, reference: Matrix) -> tuple[float, float]:
    """Their mean and their minimum."""
    found = (ours * reference).sum(axis=1)
    return float(found.mean()), float(found.min())


def score(vectors: Matrix, gold: list[float]) -> float:
    """Spearman's correlation of cosines with people's scores, times 100."""
    first, second = np.split(vectors, 2)
    return float(spearmanr((first * second).sum(axis=1), gold).statistic) * 100


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
