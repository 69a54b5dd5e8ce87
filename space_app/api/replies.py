"""Vectors as JSON, straight from float32: no list of Python floats in between."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np
import orjson
from fastapi import Response

if TYPE_CHECKING:
    from space_app.core.manifest import Manifest
    from space_app.core.types import Embeddings, Matrix

_MAX_IN_HEADER = 200
"""Indices that the header lists at most: proxies and clients refuse long ones. The body has all."""


def embed(result: Embeddings, manifest: Manifest, *, single: bool) -> Response:
    """The reply to POST /embed."""
    vectors = _contiguous(result.vectors)
    body: dict[str, object] = {"embedding": vectors[0]} if single else {"embeddings": vectors}
    return _reply(body, result, manifest)


def openai(result: Embeddings, manifest: Manifest, *, as_base64: bool) -> Response:
    """The reply to POST /v1/embeddings."""
    vectors = _contiguous(result.vectors)
    tokens = sum(result.tokens)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector).decode("ascii") if as_base64 else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    body: dict[str, object] = {
        "object": "list",
        "data": data,
        "model": manifest.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return _reply(body, result, manifest)


def _reply(body: dict[str, object], result: Embeddings, manifest: Manifest) -> Response:
    headers = {"x-embedding-fingerprint": manifest.fingerprint}
    if truncated := [index for index, cut in enumerate(result.truncated) if cut]:
        headers["x-embedding-truncated"] = ",".join(map(str, truncated[:_MAX_IN_HEADER]))
        body["truncated"] = truncated
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=headers, media_type="application/json")


def _contiguous(vectors: Matrix) -> Matrix:
    """Little-endian float32 in one piece, which both encodings are made from."""
    return np.ascontiguousarray(vectors, dtype="<f4")
