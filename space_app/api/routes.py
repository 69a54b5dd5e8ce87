"""The routes: read the request, ask the service, write the reply."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import orjson
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from space_app.api import body, description, page, replies
from space_app.api.budget import SMALL, lease_of
from space_app.api.cl100k import Vocabulary
from space_app.api.errors import answer_as_tei
from space_app.api.keys import Keys
from space_app.api.observing import note_embeddings
from space_app.api.parsing import Parser
from space_app.api.schemas import EmbedBody, SimilarityBody, TokenizeBody, role_of, tupled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import TypeVar

    from space_app.core.service import Service
    from space_app.core.types import Embeddings, EmbedRequest
    from space_app.metrics import Metrics
    from space_app.settings import Settings

    Asked = TypeVar("Asked")
    Handler = Callable[[Request], Awaitable[Response]]


class Routes:
    """Handlers over one service.

    Bodies are read here, not by the framework: after the key, within the limit, and without
    quoting them in errors.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        cpu: Mapping[str, object],
        metrics: Metrics,
    ):
        self._service = service
        self._metrics = metrics
        self._settings = settings
        self._cpu = dict(cpu)
        self._keys = Keys(settings.api_keys)
        vocabulary = Vocabulary.load(settings.cl100k_file) if settings.cl100k_file else None
        self._parser = Parser(max_inputs=settings.max_inputs, vocabulary=vocabulary)
        self._parsing = asyncio.Lock()
        self._page = page.render(service.manifest, api_key_required=bool(self._keys))

    def add_to(self, app: FastAPI) -> None:
        """Every route, those that compute first: they are compared in this order.

        Those without a key are what monitors and browsers open.
        """
        say, get, post = description, ["GET"], ["POST"]
        for path, handler, methods, described in (
            ("/v1/embeddings", self.embeddings, post, say.OPENAI),
            ("/embeddings", self.embeddings, post, say.OPENAI),
            ("/embed", self.embed, post, say.EMBED),
            ("/", self.inputs, post, say.INPUTS),
            ("/similarity", self.similarity, post, say.SIMILARITY),
            ("/tokenize", self.tokenize, post, say.TOKENIZE),
            ("/v1/models", self.models, get, say.MODELS),
            ("/models", self.models, get, say.MODELS),
            ("/info", self.info, get, say.INFO),
            ("/metrics", self.metrics, get, say.METRICS),
        ):
            app.add_api_route(path, self._keyed(handler), methods=methods, **described)
        for path, handler, described in (
            ("/", self.index, say.PAGE),
            ("/health", self.health, say.HEALTH),
            ("/livez", self.livez, say.LIVEZ),
        ):
            app.add_api_route(path, handler, methods=get, **described)
            app.add_api_route(path, handler, methods=["HEAD"], include_in_schema=False)

    async def embed(self, request: Request) -> Response:
        """Embed one text or several.

        `text` is taken as a query unless input_type says otherwise; `inputs`, as TEI's clients
        send it, as a document, and is answered with a bare list of vectors.
        """
        parse = partial(self._parser.embed, if_inputs=partial(answer_as_tei, request))
        asked = await self._parsed(parse, request)
        if isinstance(asked, EmbedBody):
            result = await self._embedded(request, asked.request(anew=_anew(request)))
            return replies.embed(result, self._service.manifest, single=asked.single)
        result = await self._embedded(request, asked.request(anew=_anew(request)))
        return replies.inputs(result, self._service.manifest)

    async def inputs(self, request: Request) -> Response:
        """Embed as TEI does at its root, where huggingface_hub's InferenceClient asks."""
        asked = await self._parsed(self._parser.inputs, request)
        result = await self._embedded(request, asked.request(anew=_anew(request)))
        if isinstance(asked, SimilarityBody):
            return replies.similarity(result, self._service.manifest)
        return replies.inputs(result, self._service.manifest)

    async def similarity(self, request: Request) -> Response:
        """Compare a sentence with others, as TEI does: by the cosine of their vectors."""
        asked = await self._parsed(partial(self._parser.any, SimilarityBody), request)
        result = await self._embedded(request, asked.request(anew=_anew(request)))
        return replies.similarity(result, self._service.manifest)

    async def tokenize(self, request: Request) -> Response:
        """The tokens of each text, uncut, as TEI tells them."""
        asked = await self._parsed(partial(self._parser.any, TokenizeBody), request)
        work = self._service.tokenise(
            tupled(asked.inputs),
            role_of(asked.prompt_name),
            special=asked.add_special_tokens is not False,
            write=partial(replies.written_tokens, take=lease_of(request).take),
        )
        return replies.tokens(await body.while_connected(request, work))

    async def embeddings(self, request: Request) -> Response:
        """Embed as OpenAI's API does; input_type or the model's suffix name a query."""
        asked = await self._parsed(self._parser.openai, request)
        default = self._settings.default_input_type
        result = await self._embedded(request, asked.request(default, anew=_anew(request)))
        as_base64 = asked.encoding_format == "base64"
        return replies.openai(result, self._service.manifest, as_base64=as_base64)

    async def models(self, _: Request) -> Response:
        """The model's names. Clients that offer a choice look for "embed" in an id."""
        model = self._service.manifest.model
        alias = _alias(model)
        entries = [
            {"id": name, "object": "model", "created": 0, "owned_by": model.partition("/")[0]}
            for name in (model, alias, f"{alias}:query", f"{alias}:document")
        ]
        return _json({"object": "list", "data": entries})

    async def info(self, _: Request) -> Response:
        """What is served, and its limits."""
        described = self._service.manifest.model_dump(exclude={"format", "canaries", "compiled"})
        limits = {
            "max_payload_mb": self._settings.max_payload_mb,
            "max_inputs": self._settings.max_inputs,
            "max_wait_seconds": self._settings.max_wait_seconds,
        }
        state = self._service.state
        return _json(
            described
            | {
                "limits": limits,
                "threads": self._settings.threads,
                "cpu": self._cpu,
                "api_key_required": bool(self._keys),
                "warm": state.warm,
                "queue": state.load,
                "cache": state.cache,
            }
        )

    async def metrics(self, request: Request) -> Response:
        """What is counted, for Prometheus; in OpenMetrics where the Accept header asks for it."""
        accept = request.headers.get("accept", "")
        content, content_type = await run_in_threadpool(self._metrics.exposition, accept)
        return Response(content, headers={"content-type": content_type})

    async def health(self, _: Request) -> Response:
        """Whether requests are answered: 503 when stopping, or when no text has a right vector.

        A text without one makes it "degraded", with 200: others are answered, and one text must not
        take the server away from them.
        """
        if self._service.stopping:
            return _json({"status": "stopping"}, status=503)
        manifest, soundness = self._service.manifest, self._service.soundness
        described = {"model": manifest.model, "fingerprint": manifest.fingerprint}
        if soundness.broken:
            reason = "The engine computes no usable vector any more. Restart the server."
            return _json({"status": "unhealthy", **described, "reason": reason}, status=503)
        if soundness.invalid:
            reason = (
                f"{soundness.invalid} requests got 500 (invalid_vector) since the start: the "
                "model's vector of a text was not finite or not of length 1."
            )
            return _json({"status": "degraded", **described, "reason": reason})
        return _json({"status": "healthy", **described})

    async def livez(self, _: Request) -> Response:
        """That the process is alive."""
        return _json({"status": "alive"})

    async def index(self, _: Request) -> Response:
        """The page."""
        return page.reply(self._page)

    async def _parsed(self, parse: Callable[[bytes], Asked], request: Request) -> Asked:
        content = await body.read(
            request, limit=self._settings.max_payload_bytes, take=lease_of(request).take
        )
        if len(content) <= SMALL:
            return parse(content)
        # Off the event loop, and one after the other: a small request waits for one at most.
        async with self._parsing:
            return await run_in_threadpool(parse, content)

    async def _embedded(self, request: Request, asked: EmbedRequest) -> Embeddings:
        lease_of(request).take(len(asked.texts) * self._service.manifest.dimensions * 4)
        work = self._service.embed(asked, key=request.state.key_name)
        result = await body.while_connected(request, work)
        note_embeddings(request, result)
        return result

    def _keyed(self, handler: Handler) -> Handler:
        """The same, for who has a key; without the framework's dependencies, which take longer."""

        async def guarded(request: Request) -> Response:
            request.state.key_name = name = self._keys.require(request)
            if request.method == "POST":
                lease_of(request).key = name
            return await handler(request)

        guarded.__name__, guarded.__doc__ = handler.__name__, handler.__doc__
        return guarded


def _anew(request: Request) -> bool:
    """RFC 9111, 5.2.1.4: the client wants no answer from a cache."""
    return "no-cache" in request.headers.get("cache-control", "").lower()


def _alias(model: str) -> str:
    name = model.rpartition("/")[2]
    return name if "embed" in name.lower() else f"{name}-embed"


def _json(content: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
