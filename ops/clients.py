"""The clients that people come with: what each sends to the server, and how it reads the reply.

As their packages of November 2026 do it: those for Python seen on the wire, n8n and Open WebUI read
in their source. A request is made here as the client would make it, so that it can be tried
without the packages.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ops.checks import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.probe import Vector

Role = Literal["document", "query"]


@dataclass(frozen=True)
class Call:
    """One POST; `dimensions` below are the server's, which clients are told."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Client:
    """A client by the name that `ops connect` knows it by.

    `second_header` says whether its user can have it send a header beside Authorization,
    `picks_model` whether its user chooses the model from the server's list.
    """

    name: str
    about: str
    call: Callable[[list[str], Role, str, int], Call]
    read: Callable[[Any], list[Vector]]
    second_header: bool = True
    picks_model: bool = False


def _openai(texts: list[str], role: Role, model: str, _: int) -> Call:
    """OpenAI's own library, which asks for base64 when nothing is said; LangChain's, n8n's."""
    return _v1({"input": texts, "model": _named(model, role), "encoding_format": "base64"})


def _haystack(texts: list[str], role: Role, model: str, _: int) -> Call:
    asked = texts[0] if role == "query" else texts
    return _v1({"input": asked, "model": _named(model, role), "encoding_format": "float"})


def _mem0(texts: list[str], _: Role, model: str, dimensions: int) -> Call:
    """It has one model for both roles, and sends the dimensions that it was told."""
    body = {"input": texts, "model": model, "encoding_format": "float", "dimensions": dimensions}
    return _v1(body)


def _open_webui(texts: list[str], role: Role, model: str, _: int) -> Call:
    """It names no format, and sends its prefix in the field that the snippet names."""
    return _v1({"input": texts, "model": model, "input_type": role})


def _own(texts: list[str], role: Role, _: str, __: int) -> Call:
    """The server's own route, for those who write the request themselves."""
    return Call("/embed", {"text": texts, "input_type": role})


def _v1(body: dict[str, Any]) -> Call:
    return Call("/v1/embeddings", body)


def _named(model: str, role: Role) -> str:
    return f"{model}:query" if role == "query" else model


def _data(reply: Any) -> list[Vector]:
    """Vectors in the order in which they came, which is how clients take them."""
    items = reply["data"]
    if [item["index"] for item in items] != list(range(len(items))):
        raise CheckFailed("the vectors are not in the order of the texts")
    return [_unpacked(item["embedding"]) for item in items]


def _unpacked(embedding: Any) -> Vector:
    if not isinstance(embedding, str):
        return list(embedding)
    raw = base64.b64decode(embedding, validate=True)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


def _embeddings(reply: Any) -> list[Vector]:
    return [list(vector) for vector in reply["embeddings"]]


CLIENTS = {
    client.name: client
    for client in (
        Client("mem0", "Mem0 with Qdrant, its server and its library", _mem0, _data),
        Client("openai", "OpenAI's library for Python", _openai, _data),
        Client("langchain", "LangChain for Python", _openai, _data),
        Client("llamaindex", "LlamaIndex for Python", _openai, _data),
        Client("haystack", "Haystack", _haystack, _data),
        Client("n8n", "n8n's node Embeddings OpenAI", _openai, _data, picks_model=True),
        Client("openwebui", "Open WebUI", _open_webui, _data, second_header=False),
        Client("curl", "a shell", _own, _embeddings),
        Client("python", "Python and nothing else", _own, _embeddings),
    )
}
"""Every client, in the order in which they are listed."""
