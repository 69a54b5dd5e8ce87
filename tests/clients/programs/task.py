"""What every program of this folder is asked to do, and how it says what came of it.

It stores the passages and looks for the query, by its client's own means, at URL with KEY. OPTIONS
are what its user would set beside those.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

_TASK = json.loads((Path(__file__).parent / "task.json").read_text(encoding="utf-8"))
PASSAGES: list[str] = _TASK["passages"]
QUERY: str = _TASK["query"]
URL = os.environ["EMBED_URL"]
KEY = os.environ["EMBED_KEY"]
MODEL = os.environ["EMBED_MODEL"]
OPTIONS: dict[str, object] = json.loads(os.environ["OPTIONS"])


def nearest(query: list[float], passages: list[list[float]]) -> str:
    """The passage whose vector is nearest, for clients that have no store."""
    scores = [sum(a * b for a, b in zip(query, passage, strict=True)) for passage in passages]
    return PASSAGES[scores.index(max(scores))]


def found(passage: str, vector: list[float]) -> None:
    """Report the passage that was found, and the query's vector."""
    print(json.dumps({"found": passage, "vector": vector}))


def failed(message: str) -> None:
    """Report what the client's user is told."""
    print(json.dumps({"told": message}))
