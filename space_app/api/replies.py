"""Vectors as JSON, straight from float32: no list of Python floats in between.

Many vectors are written slice by slice, so that the event loop answers others meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import orjson
from fastapi import Response

from space_app.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from starlette.types import Receive, Scope, Send

    from space_app.core.manifest import Manifest
    from space_app.core.types import Embeddings, Matrix, Token

    Row = Callable[[int], bytes]

_MAX_IN_HEADER = 200
"""Indices that the header lists at most: proxies and clients refuse long ones. The body has all."""

_SLICE_NUMBERS = 16_384
"""Written in one go: about a third of a millisecond."""

_SLICE_TOKENS = 500
_PART = 64 * 1024
"""Bytes of tokens that are sent in one go, at least."""

MAX_TOKENS = 1_000_000
"""In one reply: a character is several tokens where a vocabulary does not know it."""

_JSON = "application/json"


def embed(result: Embeddings, manifest: Manifest, *, single: bool) -> Response:
    """The reply to POST /embed with `text`."""
    vectors = _contiguous(result.vectors)
    if single:
        return _object(b'{"embedding":', lambda _: _floats(vectors[0]), b"", result, manifest)
    return _object(
        b'{"embeddings":[', lambda index: _floats(vectors[index]), b"]", result, manifest
    )


def inputs(result: Embeddings, manifest: Manifest) -> Response:
    """The reply to `inputs`: a list of vectors, for one text too."""
    vectors = _contiguous(result.vectors)
    return _reply(b"[", lambda index: _floats(vectors[index]), b"]", result, manifest)


def similarity(result: Embeddings, manifest: Manifest) -> Response:
    """The reply to POST /similarity: how near the first text is to each of the others."""
    scores = _contiguous(result.vectors[1:] @ result.vectors[0])
    return Response(_floats(scores), headers=_headers(result, manifest), media_type=_JSON)


def tokens(written: list[bytes]) -> Response:
    """The reply to POST /tokenize, of what `written_tokens` made."""
    if len(written) == 1:
        return Response(written[0], media_type=_JSON)
    return _Sliced(iter(written), headers={})


def written_tokens(texts: Iterable[Iterable[Token]], *, take: Callable[[int], None]) -> list[bytes]:
    """The tokens of texts as JSON, in parts, each told to `take` when it is made. In any thread.

    Raises:
        InvalidRequest: there are too many of them.
        Whatever `take` raises.
    """
    parts: list[bytes] = []
    part = bytearray(b"[")
    room = MAX_TOKENS

    def cut(least: int) -> None:
        if len(part) >= least:
            take(len(part))
            parts.append(bytes(part))
            part.clear()

    for index, text in enumerate(texts):
        part += b",[" if index else b"["
        left, comma = iter(text), b""
        while some := list(islice(left, _SLICE_TOKENS)):
            if (room := room - len(some)) < 0:
                raise InvalidRequest(
                    f"The texts have more than {MAX_TOKENS} tokens. Send them in several requests."
                )
            part += comma + orjson.dumps([token._asdict() for token in some])[1:-1]
            comma = b","
            cut(_PART)
        part += b"]"
        cut(_PART)
    part += b"]"
    cut(0)
    return parts


def openai(result: Embeddings, manifest: Manifest, *, as_base64: bool) -> Response:
    """The reply to POST /v1/embeddings."""
    vectors = _contiguous(result.vectors)
    tokens = sum(result.tokens)
    encoded = _base64 if as_base64 else _floats

    def row(index: int) -> bytes:
        return b'{"object":"embedding","index":%d,"embedding":%b}' % (
            index,
            encoded(vectors[index]),
        )

    rest = orjson.dumps(
        {"model": manifest.model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    )
    return _object(b'{"object":"list","data":[', row, b"]," + rest[1:-1], result, manifest)


def _object(head: bytes, row: Row, tail: bytes, result: Embeddings, manifest: Manifest) -> Response:
    """A reply that is an object: there is room in it to say what was cut."""
    if truncated := _cut(result):
        tail += b',"truncated":' + orjson.dumps(truncated)
    return _reply(head, row, tail + b"}", result, manifest)


def _cut(result: Embeddings) -> list[int]:
    return [index for index, cut in enumerate(result.truncated) if cut]


def _headers(result: Embeddings, manifest: Manifest) -> dict[str, str]:
    headers = {"x-embedding-fingerprint": manifest.fingerprint}
    if truncated := _cut(result):
        headers["x-embedding-truncated"] = ",".join(map(str, truncated[:_MAX_IN_HEADER]))
    return headers


def _reply(head: bytes, row: Row, tail: bytes, result: Embeddings, manifest: Manifest) -> Response:
    headers = _headers(result, manifest)
    count, dimensions = result.vectors.shape
    rows = max(1, _SLICE_NUMBERS // dimensions)
    parts = _parts(head, row, tail, count=count, rows=rows)
    if count <= rows:
        return Response(b"".join(parts), headers=headers, media_type=_JSON)
    return _Sliced(parts, headers=headers)


def _parts(head: bytes, row: Row, tail: bytes, *, count: int, rows: int) -> Iterator[bytes]:
    yield head
    for start in range(0, count, rows):
        written = b",".join(row(index) for index in range(start, min(start + rows, count)))
        yield b"," + written if start else written
    yield tail


class _Sliced(Response):
    """A JSON body that is made while it is sent, in chunks; others get a turn between them."""

    media_type = _JSON

    def __init__(self, parts: Iterator[bytes], *, headers: Mapping[str, str]):
        super().__init__(headers=dict(headers))
        del self.headers["content-length"]
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it; called by the framework."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _floats(vector: Matrix) -> bytes:
    return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY)


def _base64(vector: Matrix) -> bytes:
    return b'"%b"' % base64.b64encode(vector.data)


def _contiguous(vectors: Matrix) -> Matrix:
    """Little-endian float32 in one piece, which both encodings are made from."""
    return np.ascontiguousarray(vectors, dtype="<f4")
