"""An Embedder without a model: deterministic, gated when asked to be, and it keeps what it got."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import numpy as np

from space_app.core.manifest import Canary, Manifest
from space_app.core.types import Encoded, Shape, Side, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Matrix

DIMENSIONS = 8
MAX_LENGTH = 6
STEP_SHAPES = (Shape(1, 8), Shape(1, 16), Shape(2, 16), Shape(1, 32))
STEP_TEXTS = 16
QUERY_INSTRUCTION = "query: "
WARMING = " ".join(["warm"] * MAX_LENGTH)
"""What steps that nobody asked for are made of."""


class FakeEmbedder:
    """A text's vector follows from the words that are read of it; a token is a word."""

    step_shapes = STEP_SHAPES
    step_texts = STEP_TEXTS
    arithmetic = "fp32"

    def __init__(self) -> None:
        self.steps: list[list[str]] = []
        """What was computed, as it was read; without warming."""
        self.warmed: list[int] = []
        """Tokens of the steps that were for warming."""
        self.read: list[list[str]] = []
        """What was tokenised."""
        self.threads: set[str] = set()
        self.readers: set[str] = set()
        self.poison: str | None = None
        """A step with this word in it fails, as a runtime does: quoting the text."""
        self.started = threading.Semaphore(0)
        """Released each time a step begins."""
        self.gate = threading.Event()
        """Steps wait for it; it is open unless a test closes it."""
        self.gate.set()
        self.reading = threading.Event()
        """Tokenising waits for it, when it is of more than one text."""
        self.reading.set()
        self.reading_started = threading.Semaphore(0)
        """Released each time tokenising begins."""
        self._words: list[str] = []
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], side: Side = Side.RIGHT) -> list[Encoded]:
        """As Embedder.encode."""
        self.reading_started.release()
        if len(texts) > 1 and not self.reading.wait(timeout=90):
            raise TimeoutError("a test left the reading gate closed")
        self.read.append(list(texts))
        self.readers.add(threading.current_thread().name)
        return [self._encoded(text, side) for text in texts]

    def tokenise(self, text: str, *, special: bool) -> list[Token]:
        """As Embedder.tokenise; there is one special token, a 0 at the beginning."""
        words = [Token(len(word), word, special=False, start=0, stop=1) for word in text.split()]
        return [Token(0, "[CLS]", special=True, start=None, stop=None), *words][not special :]

    def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
        """As Embedder.embed."""
        totals = [sum(map(len, row)) for row in step]
        assert min(totals) > 0
        assert any(shape.holds(totals) for shape in STEP_SHAPES)
        assert sum(map(len, step)) <= STEP_TEXTS
        texts = self.texts(step)
        if all(WARMING.startswith(text) for text in texts):
            self.warmed.append(sum(totals))
        else:
            self._compute(texts)
        return np.stack([vector(text) for text in texts])

    def texts(self, step: Sequence[Sequence[Encoded]]) -> list[str]:
        """What was read."""
        return [
            " ".join(self._words[number] for number in text.tokens) for row in step for text in row
        ]

    def _compute(self, texts: list[str]) -> None:
        self.steps.append(texts)
        self.threads.add(threading.current_thread().name)
        self.started.release()
        if not self.gate.wait(timeout=90):
            raise TimeoutError("a test left the gate closed")
        for text in texts:
            if self.poison is not None and self.poison in text.split():
                raise RuntimeError(f"cannot embed {text}")

    def _encoded(self, text: str, side: Side) -> Encoded:
        words = text.split() or [""]
        with self._lock:
            for word in words:
                if word not in self._numbers:
                    self._numbers[word] = len(self._words)
                    self._words.append(word)
            kept = words[:MAX_LENGTH] if side is Side.RIGHT else words[-MAX_LENGTH:]
            numbers = np.array([self._numbers[word] for word in kept], dtype=np.int64)
        beyond = len(words) - len(kept)
        return Encoded(numbers, truncated=beyond > 0, beyond=beyond)


class FailingEmbedder(FakeEmbedder):
    """Fails as a runtime does: with an exception that quotes what it got."""

    def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
        """As Embedder.embed."""
        raise RuntimeError(f"cannot embed {self.texts(step)}")


def vector(text: str) -> Matrix:
    """The vector of what FakeEmbedder reads of a text."""
    read = " ".join(text.split()[:MAX_LENGTH])
    digest = hashlib.sha256(read.encode("utf-8", "surrogatepass")).digest()[: DIMENSIONS * 4]
    numbers = np.frombuffer(digest, dtype="<u4").astype(np.float32) / np.float32(2**31) - 1
    return (numbers / np.linalg.norm(numbers)).astype(np.float32)


def fake_manifest(**changes: object) -> Manifest:
    """The manifest of FakeEmbedder's artefact, before the artefact's own vectors are added."""
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
