from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.embedder import fake_manifest

from space_app.api import replies
from space_app.core.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import MutableMapping


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


class Connection:
    """Keeps what an ASGI app sends."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(dict(message))

    async def receive(self) -> MutableMapping[str, Any]:
        raise AssertionError("a reply reads nothing")


@pytest.mark.parametrize("as_base64", [False, True])
def test_many_vectors_are_written_in_slices(as_base64: bool) -> None:  # noqa: FBT001
    """Others get a turn while a large reply is written, which is the same JSON as a small one."""
    vectors = np.random.default_rng(0).normal(size=(100, 768)).astype(np.float32)
    result = Embeddings(vectors, tokens=(2,) * 100, truncated=(False,) * 99 + (True,))
    reply = replies.openai(result, fake_manifest(), as_base64=as_base64)
    connection = Connection()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def write() -> None:
        task = asyncio.create_task(other())
        await reply({"type": "http"}, connection.receive, connection.send)
        task.cancel()

    asyncio.run(write())

    start, *parts = connection.sent
    body = json.loads(b"".join(part["body"] for part in parts))
    assert "content-length" not in dict(start["headers"])
    assert turns > 4
    assert max(len(part["body"]) for part in parts) < 300_000
    assert [part["more_body"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert body["usage"] == {"prompt_tokens": 200, "total_tokens": 200}
    assert body["truncated"] == [99]
    assert [item["index"] for item in body["data"]] == list(range(100))
    for item, vector in zip(body["data"], vectors, strict=True):
        sent = item["embedding"]
        got = np.frombuffer(base64.b64decode(sent), "<f4") if as_base64 else np.float32(sent)
        np.testing.assert_array_equal(got, vector)
