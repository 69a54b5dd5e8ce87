"""The checks of the smoke test: what a client relies on, each asked over HTTP.

A check takes the server and what it says of itself, and returns a short finding; it raises
CheckFailed with what was wrong. Texts and answers are chosen so that any sound embedding model
passes.
"""

from __future__ import annotations

import base64
import math
import struct
from typing import TYPE_CHECKING, Any

from ops.probe import Probe, ServerInfo, Vector, cosine
from ops.refusals import said

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

_SAME = 0.998
"""Cosine from which two vectors count as the same text's: in int8, what a text shares its step with
may decide to which side a number is rounded (0.9987 was seen). Another text is far below."""

_IDENTICAL = 0.9999
"""Cosine above which nothing but the last digits differs."""

_QUERY = "how do I reset my password?"
_TEXTS = [
    "To choose a new password, open the account page and follow the link in the e-mail.",
    "The bakery on the corner sells rye bread from six in the morning.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. " * 6,
    "ok",
]
_RANKING = {
    "how do I reset my password?": _TEXTS[0],
    "where can I buy bread early in the day?": _TEXTS[1],
    "how do plants make their food?": _TEXTS[2],
}
_LATENCY_TEXT = "what is the opening time of the museum on public holidays?"


class CheckFailed(Exception):
    """What a check found wrong."""


class Skipped(Exception):
    """Why a check has nothing to look at here."""


def page(probe: Probe, _: ServerInfo) -> str:
    """GET / is a page: whoever opens the Space sees it."""
    reply = _expect(probe.request("GET", "/"), 200)
    kind = reply.headers.get("content-type", "none")
    if not kind.startswith("text/html"):
        raise CheckFailed(f"content type {kind}, not text/html")
    return f"{len(reply.content)} bytes of HTML"


def page_head(probe: Probe, _: ServerInfo) -> str:
    """HEAD / answers: the Hub has been seen to ask so before it calls a Space running."""
    _expect(probe.request("HEAD", "/"), 200)
    return "200"


def health(probe: Probe, _: ServerInfo) -> str:
    """GET /health is the contract that monitors know."""
    status = _field(_json(_expect(probe.request("GET", "/health"), 200)), "status")
    if status != "healthy":
        raise CheckFailed(f"status {status!r}, not 'healthy'")
    return "healthy"


def embed(probe: Probe, info: ServerInfo) -> str:
    """POST /embed in its original contract: one text, one embedding."""
    vector = _embed_one(probe, _QUERY)
    _of_right_size([vector], info)
    return f"{len(vector)} dimensions"


def embed_list(probe: Probe, info: ServerInfo) -> str:
    """POST /embed with several texts."""
    vectors = _embed_many(probe, _TEXTS)
    _of_right_size(vectors, info)
    return f"{len(vectors)} vectors"


def openai(probe: Probe, info: ServerInfo) -> str:
    """POST /v1/embeddings in the shape that OpenAI's clients parse."""
    body = _json(_expect(_post_openai(probe, _TEXTS), 200))
    try:
        vectors = [_vector(item["embedding"]) for item in body["data"]]
        shape_ok = (
            body["object"] == "list"
            and [item["index"] for item in body["data"]] == list(range(len(_TEXTS)))
            and all(item["object"] == "embedding" for item in body["data"])
            and isinstance(body["model"], str)
            and body["usage"]["prompt_tokens"] > 0
            and body["usage"]["total_tokens"] >= body["usage"]["prompt_tokens"]
        )
    except (KeyError, TypeError) as error:
        raise CheckFailed(f"a field is missing or of the wrong type: {error}") from error
    if not shape_ok:
        raise CheckFailed("object, index, model or usage is not as OpenAI's reference has it")
    _of_right_size(vectors, info)
    return f"{body['usage']['prompt_tokens']} tokens"


def openai_base64(probe: Probe, info: ServerInfo) -> str:
    """base64, what OpenAI's own client asks for by default, holds the same numbers."""
    body = _json(_expect(_post_openai(probe, [_QUERY], encoding_format="base64"), 200))
    try:
        raw = base64.b64decode(body["data"][0]["embedding"], validate=True)
        packed = _vector(list(struct.unpack(f"<{len(raw) // 4}f", raw)))
    except (KeyError, IndexError, TypeError, ValueError, struct.error) as error:
        raise CheckFailed("no base64 of little-endian float32 in the reply") from error
    _of_right_size([packed], info)
    _same(packed, _documents(probe, [_QUERY])[0], "base64 and float answers differ")
    return "the same as float"


def unit_norm(probe: Probe, _: ServerInfo) -> str:
    """Vectors have length 1, so that dot product and cosine agree."""
    vectors = [_embed_one(probe, _QUERY), *_embed_many(probe, _TEXTS), *_documents(probe, _TEXTS)]
    worst = max((abs(math.hypot(*vector) - 1) for vector in vectors), default=1.0)
    if not worst <= 1e-3:  # noqa: PLR2004 -- float32's error is a thousandth of this
        raise CheckFailed(f"a vector's length is off by {worst:.3f}")
    return f"within {worst:.1e}"


def same_twice(probe: Probe, _: ServerInfo) -> str:
    """The same text gives the same vector."""
    _same(_embed_one(probe, _QUERY), _embed_one(probe, _QUERY), "two answers differ")
    return "the same"


def batch(probe: Probe, _: ServerInfo) -> str:
    """A text's vector does not depend on what it is sent with."""
    together = _documents(probe, _TEXTS)
    for text, vector in zip(_TEXTS, together, strict=True):
        _same(_documents(probe, [text])[0], vector, "alone and in a batch it differs")
    return f"{len(_TEXTS)} texts"


def roles(probe: Probe, info: ServerInfo) -> str:
    """The query instruction is put before queries and only before queries."""
    query, document = _embed_one(probe, _QUERY), _documents(probe, [_QUERY])[0]
    if info.query_instruction == info.document_instruction:
        _same(query, document, "no instructions, yet query and document differ")
        return "the model has no instructions of its own"
    if cosine(query, document) > _IDENTICAL:
        raise CheckFailed("the same vector as query and as document")
    if not info.document_instruction:
        spelt_out = _documents(probe, [info.query_instruction + _QUERY])[0]
        _same(query, spelt_out, "a query is not the document with the instruction before it")
    return f"cosine {cosine(query, document):.3f}"


def ranking(probe: Probe, _: ServerInfo) -> str:
    """Each question is nearest to the passage that answers it."""
    passages = _documents(probe, _TEXTS)
    for question, answer in _RANKING.items():
        vector = _embed_one(probe, question)
        nearest = max(range(len(_TEXTS)), key=lambda i: cosine(vector, passages[i]))
        if _TEXTS[nearest] != answer:
            raise CheckFailed(f"{question!r} is nearest to a passage that does not answer it")
    return f"{len(_RANKING)} questions"


def truncation(probe: Probe, info: ServerInfo) -> str:
    """A text beyond the model's length is cut, and the reply says so."""
    reply = _expect(_post_openai(probe, ["short", "word " * (2 * info.max_length)]), 200)
    if reply.headers.get("x-embedding-truncated") != "1":
        raise CheckFailed("no header x-embedding-truncated naming the long text")
    return f"at {info.max_length} tokens, said so"


def unknown_route(probe: Probe, _: ServerInfo) -> str:
    """An unknown path is a 404 in the one error shape."""
    return _error(probe.request("GET", "/no-such-route"), 404)


def bad_json(probe: Probe, _: ServerInfo) -> str:
    """A body that is no JSON is a 400."""
    headers = {"Content-Type": "application/json"}
    return _error(probe.request("POST", "/embed", content=b'{"text": ', headers=headers), 400)


def empty(probe: Probe, _: ServerInfo) -> str:
    """An empty text is refused."""
    return _error(_post_openai(probe, ""), 400)


def too_large(probe: Probe, info: ServerInfo) -> str:
    """A body above the limit is a 413, by the server or by the Hub's proxy before it."""
    text = "x" * (info.max_payload_mb * 1024 * 1024)
    _expect(probe.request("POST", "/embed", json={"text": text}), 413)
    return f"above {info.max_payload_mb} MB"


def too_many(probe: Probe, info: ServerInfo) -> str:
    """More texts than the limit are a 422."""
    return _error(_post_openai(probe, ["x"] * (info.max_inputs + 1)), 422)


def wrong_key(probe: Probe, info: ServerInfo) -> str:
    """Where keys are set, a wrong one is a 401."""
    if not info.api_key_required:
        raise Skipped("no keys are set")
    key = {"X-API-Key": "wrong"}
    return _error(probe.request("POST", "/embed", json={"text": "x"}, headers=key), 401)


def latency_request(probe: Probe) -> None:
    """One short query, for timing."""
    _embed_one(probe, _LATENCY_TEXT)


ALL: tuple[Callable[[Probe, ServerInfo], str], ...] = (
    page,
    page_head,
    health,
    embed,
    embed_list,
    openai,
    openai_base64,
    unit_norm,
    same_twice,
    batch,
    roles,
    ranking,
    truncation,
    unknown_route,
    bad_json,
    empty,
    too_large,
    too_many,
    wrong_key,
)
"""Every check, in the order of the table."""


def _embed_one(probe: Probe, text: str) -> Vector:
    body = _json(_expect(probe.request("POST", "/embed", json={"text": text}), 200))
    return _vector(_field(body, "embedding"))


def _embed_many(probe: Probe, texts: list[str]) -> list[Vector]:
    body = _json(_expect(probe.request("POST", "/embed", json={"text": texts}), 200))
    return [_vector(vector) for vector in _list(body, "embeddings", len(texts))]


def _documents(probe: Probe, texts: list[str]) -> list[Vector]:
    body = _json(_expect(_post_openai(probe, texts), 200))
    return [_vector(_field(item, "embedding")) for item in _list(body, "data", len(texts))]


def _post_openai(probe: Probe, texts: list[str] | str, **options: str) -> httpx2.Response:
    # Said outright: a Space may take what does not say it as queries.
    body = {"model": "smoke-test", "input": texts, "input_type": "document", **options}
    return probe.request("POST", "/v1/embeddings", json=body)


def _of_right_size(vectors: list[Vector], info: ServerInfo) -> None:
    for vector in vectors:
        if len(vector) != info.dimensions:
            raise CheckFailed(f"{len(vector)} dimensions, /info says {info.dimensions}")


def _vector(value: Any) -> Vector:
    if not isinstance(value, list):
        raise CheckFailed("an embedding is not a list of numbers")
    try:
        finite = all(isinstance(x, (int, float)) and math.isfinite(x) for x in value)
    except OverflowError:  # an integer of a thousand digits
        finite = False
    if not finite:
        raise CheckFailed("a component is not a finite number")
    return value


def _same(a: Vector, b: Vector, complaint: str) -> None:
    if not (found := cosine(a, b)) >= _SAME:
        raise CheckFailed(f"{complaint} (cosine {found:.4f})")


def _error(reply: httpx2.Response, status: int) -> str:
    """Expect an error in OpenAI's shape."""
    error = _field(_json(_expect(reply, status)), "error")
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        raise CheckFailed(f"{status}, but no error.message in it")
    if not isinstance(error.get("type"), str) or not isinstance(code, str | None):
        raise CheckFailed(f"{status}, but error.type or error.code is not as OpenAI has it")
    return str(status)


def _expect(reply: httpx2.Response, status: int) -> httpx2.Response:
    if reply.status_code != status:
        words = said(reply)
        raise CheckFailed(
            f"status {reply.status_code}, not {status}" + (f": {words}" if words else "")
        )
    return reply


def _json(reply: httpx2.Response) -> Any:
    try:
        return reply.json()
    except (ValueError, RecursionError) as error:
        raise CheckFailed("the reply is no JSON") from error


def _list(body: Any, name: str, count: int) -> list[Any]:
    value = _field(body, name)
    if not isinstance(value, list) or len(value) != count:
        raise CheckFailed(f"{name!r} is not a list of {count}")
    return value


def _field(body: Any, name: str) -> Any:
    if not isinstance(body, dict) or name not in body:
        raise CheckFailed(f"no {name!r} in the reply")
    return body[name]
