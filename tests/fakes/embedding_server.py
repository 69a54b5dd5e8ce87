"""A small, sound embedding server over real HTTP, and the ways in which one can be broken.

Its vectors are counts of hashed words, so they are the same on every machine, and a question is
near the passage that shares its words. It speaks the contract that `ops.checks` asks for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from fakes.asgi_server import serving
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

DIMENSIONS = 512
QUERY_INSTRUCTION = "query: "
MAX_PAYLOAD_MB = 1
MAX_INPUTS = 16
MAX_LENGTH = 32
APP_KEY = "key-of-the-app"

_FILLER = frozenset(
    ("a", "and", "do", "from", "how", "i", "in", "is", "my", "of", "on", "the", "to")
)
_INSTRUCTIONS = ("query", "passage")
"""Words that move a vector, but less than what the text is about."""

_MEANS = {"food": "sugar", "plants": "photosynthesis"}
"""What a model would know and counted words do not."""


class Fault(Enum):
    """One way of being broken."""

    WRONG_DIMENSIONS = auto()
    UNNORMALISED = auto()
    INSTRUCTION_ON_DOCUMENTS = auto()
    NO_INSTRUCTION = auto()
    OTHER_INSTRUCTION = auto()
    FAILS_ON_A_BATCH = auto()
    NEIGHBOURS_LEAK = auto()
    BATCH_IN_WRONG_ORDER = auto()
    NEVER_THE_SAME = auto()
    SAME_FOR_EVERY_TEXT = auto()
    NULL_COMPONENTS = auto()
    ONE_VECTOR_TOO_FEW = auto()
    EMBEDDINGS_ARE_NULL = auto()
    NO_USAGE = auto()
    COUNTS_NO_TOKENS = auto()
    NO_BASE64 = auto()
    BIG_ENDIAN_BASE64 = auto()
    FRAMEWORK_ERRORS = auto()
    ERRORS_ARE_TEXT = auto()
    ERROR_CODES_ARE_NUMBERS = auto()
    NOT_SAID_WHEN_CUT = auto()
    NO_HEAD = auto()
    PAGE_IS_JSON = auto()
    HEALTH_SAYS_OK = auto()
    HEALTH_IS_A_LIST = auto()
    STILL_LOADING = auto()
    NO_SIZE_LIMIT = auto()
    NO_COUNT_LIMIT = auto()
    ANY_KEY = auto()
    TAKES_EMPTY_TEXT = auto()
    BAD_JSON_IS_500 = auto()
    UNKNOWN_ROUTE_IS_200 = auto()


@dataclass
class Switches:
    """What the running server does now; tests turn them between requests."""

    fault: Fault | None = None
    keys_required: bool = True
    query_instruction: str = QUERY_INSTRUCTION
    document_instruction: str = ""
    weights: str = ""
    key: str = APP_KEY
    answers: int = field(default=0, init=False)


@dataclass
class Served:
    """A server on loopback: sound, until a fault is switched on."""

    url: str
    _app: _App

    @property
    def switches(self) -> Switches:
        return self._app.switches

    def reset(self) -> None:
        """Every switch back where it was at the start."""
        self._app.switches = Switches()


@contextmanager
def embedding_server() -> Iterator[Served]:
    """Start it and end it."""
    app = _App()
    with serving(app.asgi()) as url:
        yield Served(url, app)


def embedding_app(fault: Fault | None = None, *, weights: str = "", key: str = APP_KEY) -> ASGIApp:
    """The server as an ASGI app, to be put behind something else."""
    app = _App()
    app.switches.fault = fault
    app.switches.weights = weights
    app.switches.key = key
    return app.asgi()


@dataclass(frozen=True)
class PrivateProxy:
    """What stands before a private Space: nothing exists without the token in the right header.

    The header is dropped before the app sees the request, as the Hub's proxy does.
    """

    app: ASGIApp
    token: str
    header: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = self.header.lower().encode()
        sent = dict(scope["headers"]).get(name, b"").decode()
        if sent != f"Bearer {self.token}":
            await PlainTextResponse("Sorry, we can't find that.", 404)(scope, receive, send)
            return
        headers = [(key, value) for key, value in scope["headers"] if key != name]
        await self.app({**scope, "headers": headers}, receive, send)


class _Refused(Exception):
    def __init__(self, status: int, message: str, code: str = "refused"):
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message


class _App:
    def __init__(self) -> None:
        self.switches = Switches()

    def asgi(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/", self._page, methods=["GET"]),
                Route("/livez", self._livez),
                Route("/health", self._health),
                Route("/info", self._info),
                Route("/embed", self._embed, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/v1/embeddings", self._openai, methods=["POST"]),
                Route("/{path:path}", self._unknown),
            ],
            exception_handlers={_Refused: self._refused},
        )

    def _has(self, fault: Fault) -> bool:
        return self.switches.fault is fault

    async def _page(self, request: Request) -> Response:
        if request.method == "HEAD" and self._has(Fault.NO_HEAD):
            raise _Refused(405, "Method not allowed")
        if self._has(Fault.PAGE_IS_JSON):
            return JSONResponse({"page": "none"})
        return HTMLResponse("<!doctype html><title>embeddings</title>")

    async def _livez(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _health(self, _: Request) -> Response:
        if self._has(Fault.HEALTH_IS_A_LIST):
            return JSONResponse(["healthy"])
        if self._has(Fault.STILL_LOADING):
            return JSONResponse({"status": "loading"}, 503)
        return JSONResponse({"status": "ok" if self._has(Fault.HEALTH_SAYS_OK) else "healthy"})

    async def _info(self, request: Request) -> Response:
        self._require_key(request)
        return JSONResponse(
            {
                "model": "counted-words",
                "revision": "1",
                "dimensions": DIMENSIONS,
                "query_instruction": self.switches.query_instruction,
                "document_instruction": self.switches.document_instruction,
                "max_length": MAX_LENGTH,
                "limits": {"max_payload_mb": MAX_PAYLOAD_MB, "max_inputs": MAX_INPUTS},
                "fingerprint": "0" * 64,
                "api_key_required": self.switches.keys_required,
            }
        )

    async def _models(self, request: Request) -> Response:
        self._require_key(request)
        return JSONResponse({"object": "list", "data": [{"id": "counted-words-embed"}]})

    async def _embed(self, request: Request) -> Response:
        body = await self._body(request)
        text = body.get("text")
        single = isinstance(text, str)
        query = body.get("input_type", "query" if single else "document") == "query"
        vectors, headers = self._vectors([text] if single else text, query=query)
        name, content = ("embedding", vectors[0]) if single else ("embeddings", vectors)
        if self._has(Fault.EMBEDDINGS_ARE_NULL):
            content = None
        return JSONResponse({name: content}, headers=headers)

    async def _openai(self, request: Request) -> Response:
        body = await self._body(request)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        query = body["model"].endswith(":query") or body.get("input_type") == "query"
        vectors, headers = self._vectors(texts, query=query)
        packed = body.get("encoding_format") == "base64" and not self._has(Fault.NO_BASE64)
        counted = not self._has(Fault.COUNTS_NO_TOKENS)
        tokens = sum(len(_words(text)) for text in texts) if counted else 0
        data: Any = [
            {"object": "embedding", "index": i, "embedding": self._pack(v) if packed else v}
            for i, v in enumerate(vectors)
        ]
        reply = {
            "object": "list",
            "data": None if self._has(Fault.EMBEDDINGS_ARE_NULL) else data,
            "model": "counted-words",
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        if self._has(Fault.NO_USAGE):
            del reply["usage"]
        return JSONResponse(reply, headers=headers)

    async def _unknown(self, _: Request) -> Response:
        if self._has(Fault.UNKNOWN_ROUTE_IS_200):
            return JSONResponse({})
        raise _Refused(404, "No such route")

    async def _refused(self, _: Request, error: _Refused) -> Response:
        if self._has(Fault.ERRORS_ARE_TEXT):
            return PlainTextResponse(error.message, error.status)
        if self._has(Fault.FRAMEWORK_ERRORS):
            return JSONResponse({"detail": error.message}, error.status)
        detail = {
            "message": error.message,
            "type": "invalid_request_error",
            "param": None,
            "code": error.status if self._has(Fault.ERROR_CODES_ARE_NUMBERS) else error.code,
        }
        return JSONResponse({"error": detail}, error.status)

    async def _body(self, request: Request) -> dict[str, Any]:
        raw = await request.body()
        if len(raw) > MAX_PAYLOAD_MB * 1024 * 1024 and not self._has(Fault.NO_SIZE_LIMIT):
            raise _Refused(413, "Too large")
        self._require_key(request)
        try:
            body: dict[str, Any] = json.loads(raw)
        except ValueError as error:
            status = 500 if self._has(Fault.BAD_JSON_IS_500) else 400
            raise _Refused(status, "Not JSON") from error
        return body

    def _require_key(self, request: Request) -> None:
        """X-API-Key decides where it is there, as with the server itself."""
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        key_is_wrong = request.headers.get("x-api-key", bearer) != self.switches.key
        if self.switches.keys_required and key_is_wrong and not self._has(Fault.ANY_KEY):
            raise _Refused(401, "Wrong key", "invalid_api_key")

    def _vectors(self, texts: list[str], *, query: bool) -> tuple[list[Any], dict[str, str]]:
        if len(texts) > MAX_INPUTS and not self._has(Fault.NO_COUNT_LIMIT):
            raise _Refused(422, "Too many")
        if not all(texts) and not self._has(Fault.TAKES_EMPTY_TEXT):
            raise _Refused(400, "Empty text")
        if len(texts) > 1 and self._has(Fault.FAILS_ON_A_BATCH):
            raise _Refused(500, "Failed")
        cut = [str(i) for i, text in enumerate(texts) if len(_words(text)) > MAX_LENGTH]
        said = cut and not self._has(Fault.NOT_SAID_WHEN_CUT)
        vectors = [self._vector(self._instructed(text, query=query)) for text in texts]
        return self._spoilt(vectors), {"x-embedding-truncated": ",".join(cut)} if said else {}

    def _instructed(self, text: str, *, query: bool) -> str:
        if self._has(Fault.NO_INSTRUCTION):
            return text
        if query and self._has(Fault.OTHER_INSTRUCTION):
            return f"passage: {text}"
        if query or self._has(Fault.INSTRUCTION_ON_DOCUMENTS):
            return self.switches.query_instruction + text
        return self.switches.document_instruction + text

    def _vector(self, text: str) -> list[float]:
        self.switches.answers += 1
        counts = [0.0] * DIMENSIONS
        for word in ["same"] if self._has(Fault.SAME_FOR_EVERY_TEXT) else _words(text):
            counts[_place(self.switches.weights + word)] += 0.5 if word in _INSTRUCTIONS else 1
        if self._has(Fault.NEVER_THE_SAME):
            counts[_place(str(self.switches.answers))] += 1
        return _unit(counts)

    def _spoilt(self, vectors: list[list[float]]) -> list[Any]:
        spoilt: list[Any] = vectors
        match self.switches.fault:
            case Fault.WRONG_DIMENSIONS:
                spoilt = [_unit([*v[:-2], v[-2] + v[-1]]) for v in vectors]
            case Fault.UNNORMALISED:
                spoilt = [[2 * x for x in v] for v in vectors]
            case Fault.NULL_COMPONENTS:
                spoilt = [[None, *v[1:]] for v in vectors]
            case Fault.NEIGHBOURS_LEAK:
                all_of_them = [sum(column) / 4 for column in zip(*vectors, strict=True)]
                spoilt = [_sum(v, all_of_them) for v in vectors]
            case Fault.BATCH_IN_WRONG_ORDER:
                spoilt = vectors[::-1]
            case Fault.ONE_VECTOR_TOO_FEW:
                spoilt = vectors[:-1] or vectors
        return spoilt

    def _pack(self, vector: list[Any]) -> str:
        order = ">" if self._has(Fault.BIG_ENDIAN_BASE64) else "<"
        numbers = [math.nan if x is None else x for x in vector]
        return base64.b64encode(struct.pack(f"{order}{len(numbers)}f", *numbers)).decode()


def _words(text: str) -> list[str]:
    words = re.findall(r"[a-z]+", text.lower())[: 4 * MAX_LENGTH]
    return [_MEANS.get(word, word) for word in words if word not in _FILLER]


def _place(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % DIMENSIONS


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [x / length for x in vector] if length else vector


def _sum(a: list[float], b: list[float]) -> list[float]:
    return _unit([x + y for x, y in zip(a, b, strict=True)])
