"""An Embedder without a model: deterministic, gated when asked to be, and it keeps what it got."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import numpy as np

from space_app.core.manifest import Canary, Manifest
from space_app.core.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Matrix

DIMENSIONS = 8
MAX_LENGTH = 6
QUERY_INSTRUCTION = "query: "


class FakeEmbedder:
    """A text's vector follows from its hash; a token is a word, and `MAX_LENGTH` are read."""

    def __init__(self) -> None:
        self.steps: list[list[str]] = []
        self.threads: set[str] = set()
        self.started = threading.Semaphore(0)
        """Released each time a step begins."""
        self.gate = threading.Event()
        """Steps wait for it; it is open unless a test closes it."""
        self.gate.set()

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """As Embedder.embed."""
        self.steps.append(list(texts))
        self.threads.add(threading.current_thread().name)
        self.started.release()
        if not self.gate.wait(timeout=90):
            raise TimeoutError("a test left the gate closed")
        counts = [len(text.split()) for text in texts]
        return Embeddings(
            vectors=np.stack([vector(text) for text in texts]),
            tokens=tuple(min(count, MAX_LENGTH) for count in counts),
            truncated=tuple(count > MAX_LENGTH for count in counts),
        )


class FailingEmbedder:
    """Fails as a runtime does: with an exception that quotes the text."""

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """As Embedder.embed."""
        raise RuntimeError(f"cannot embed {texts[0]}")


def vector(text: str) -> Matrix:
    """The vector of what FakeEmbedder reads of a text."""
    read = " ".join(text.split()[:MAX_LENGTH])
    digest = hashlib.sha256(read.encode()).digest()[: DIMENSIONS * 4]
    numbers = np.frombuffer(digest, dtype="<u4").astype(np.float32) / np.float32(2**31) - 1
    return (numbers / np.linalg.norm(numbers)).astype(np.float32)


def fake_manifest(**changes: object) -> Manifest:
    """The manifest of FakeEmbedder's artefact."""
    text = "a canary"
    values: dict[str, object] = {
        "model": "acme/tiny-model",
        "revision": "0123456789abcdef0123456789abcdef01234567",
        "backend": "fake",
        "precision": "fp32",
        "pooling": "mean",
        "query_instruction": QUERY_INSTRUCTION,
        "document_instruction": "",
        "dimensions": DIMENSIONS,
        "max_length": MAX_LENGTH,
        "libraries": {"numpy": np.__version__},
        "canaries": (Canary(text=text, vector=tuple(vector(text).tolist())),),
        "fingerprint": "feedc0de",
    }
    return Manifest.model_validate(values | changes)
