from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from ops.checks import CheckFailed
from ops.clients import CLIENTS

TEXTS = ["a", "b"]
VECTORS = [[1.0, 0.0], [0.0, 1.0]]


def packed(vector: list[float]) -> str:
    """As base64 has it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def openai_reply(embeddings: list[Any], order: tuple[int, ...] = (0, 1)) -> dict[str, Any]:
    """OpenAI's shape."""
    return {"data": [{"index": i, "embedding": embeddings[i]} for i in order]}


@pytest.mark.parametrize(
    ("name", "path", "document", "query"),
    [
        (
            "mem0",
            "/v1/embeddings",
            {"input": TEXTS, "model": "m", "encoding_format": "float", "dimensions": 2},
            {"input": ["q"], "model": "m", "encoding_format": "float", "dimensions": 2},
        ),
        (
            "haystack",
            "/v1/embeddings",
            {"input": TEXTS, "model": "m", "encoding_format": "float"},
            {"input": "q", "model": "m:query", "encoding_format": "float"},
        ),
        (
            "openwebui",
            "/v1/embeddings",
            {"input": TEXTS, "model": "m", "input_type": "document"},
            {"input": ["q"], "model": "m", "input_type": "query"},
        ),
        *(
            (
                name,
                "/v1/embeddings",
                {"input": TEXTS, "model": "m", "encoding_format": "base64"},
                {"input": ["q"], "model": "m:query", "encoding_format": "base64"},
            )
            for name in ("openai", "langchain", "llamaindex", "n8n")
        ),
        *(
            (
                name,
                "/embed",
                {"text": TEXTS, "input_type": "document"},
                {"text": ["q"], "input_type": "query"},
            )
            for name in ("curl", "python")
        ),
    ],
)
def test_what_a_client_sends(
    name: str, path: str, document: dict[str, Any], query: dict[str, Any]
) -> None:
    """The very body of each client, in each role, as its snippet sets it up."""
    client = CLIENTS[name]
    for texts, role, body in ((TEXTS, "document", document), (["q"], "query", query)):
        call = client.call(texts, role, "m", 2)  # type: ignore[arg-type]
        assert (call.path, call.body) == (path, body)


@pytest.mark.parametrize("embeddings", [VECTORS, [packed(vector) for vector in VECTORS]])
def test_openais_clients_read_both_encodings(embeddings: list[Any]) -> None:
    """A server that ignores base64 is understood, as the libraries do."""
    assert CLIENTS["openai"].read(openai_reply(embeddings)) == VECTORS


def test_a_reply_in_another_order_is_refused() -> None:
    """Most clients take vectors as they come, so that another order is a wrong answer."""
    with pytest.raises(CheckFailed, match="not in the order"):
        CLIENTS["langchain"].read(openai_reply(VECTORS, (1, 0)))


def test_the_own_route_is_read() -> None:
    """Those who write the request themselves get plain lists."""
    assert CLIENTS["curl"].read({"embeddings": VECTORS}) == VECTORS
