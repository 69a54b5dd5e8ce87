from __future__ import annotations

import json

import numpy as np
from fakes.embedder import fake_manifest

from space_app.api import replies
from space_app.core.types import Embeddings


def test_the_header_stays_short() -> None:
    """Of thousands of cut texts the header names some, so that proxies pass it; the body all."""
    count = 2048
    vectors = np.ones((count, 1), dtype=np.float32)
    result = Embeddings(vectors, tokens=(1,) * count, truncated=(True,) * count)
    reply = replies.embed(result, fake_manifest(), single=False)

    assert len(reply.headers["x-embedding-truncated"]) < 1000
    assert json.loads(bytes(reply.body))["truncated"] == list(range(count))


def test_vectors_that_are_not_contiguous() -> None:
    """Rows that were reversed or cut by numpy are written as what they are."""
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)[::-1, :2]
    result = Embeddings(vectors, tokens=(1, 1), truncated=(False, False))
    reply = replies.openai(result, fake_manifest(), as_base64=False)

    data = json.loads(bytes(reply.body))["data"]
    assert [item["embedding"] for item in data] == [[3.0, 4.0], [0.0, 1.0]]
