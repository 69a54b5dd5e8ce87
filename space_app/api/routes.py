"""The routes: read the request, ask the service, write the reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from space_app.api import body, page, replies
from space_app.api.keys import Keys
from space_app.api.schemas import (
    AnyBody,
    EmbedBody,
    EmbedReply,
    ErrorReply,
    OpenAIBody,
    OpenAIReply,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from space_app.core.service import Service
    from space_app.core.types import Embeddings
    from space_app.settings import Settings

_SMALL_BODY = 64 * 1024
"""Bytes that are parsed at once; larger ones are, off the event loop."""


class Routes:
    """Handlers over one service.

    Bodies are read here, not by the framework: after the key, within the limit, and without
    quoting them in errors.
    """

    def __init__(self, service: Service, settings: Settings, cpu: Mapping[str, object]):
        self._service = service
        self._settings = settings
        self._cpu = dict(cpu)
        self._keys = Keys(settings.api_keys)
        self._page = page.render(service.manifest, api_key_required=bool(self._keys))

    def router(self) -> APIRouter:
        """Every route; those without a key are what monitors and browsers open."""
        routes = APIRouter()
        routes.add_api_route("/", self.index, methods=["GET"])
        routes.add_api_route("/health", self.health, methods=["GET"])
        routes.add_api_route("/livez", self.livez, methods=["GET"])
        for path, handler in (("/", self.index), ("/health", self.health), ("/livez", self.livez)):
            routes.add_api_route(path, handler, methods=["HEAD"], include_in_schema=False)
        keyed = APIRouter(dependencies=[Depends(self._require_key)])
        keyed.add_api_route("/info", self.info, methods=["GET"])
        keyed.add_api_route(
            "/embed", self.embed, methods=["POST"], **_shapes(EmbedBody, EmbedReply)
        )
        for prefix in ("/v1", ""):
            keyed.add_api_route(f"{prefix}/models", self.models, methods=["GET"])
            keyed.add_api_route(
                f"{prefix}/embeddings",
                self.embeddings,
                methods=["POST"],
                **_shapes(OpenAIBody, OpenAIReply),
            )
        routes.include_router(keyed)
        return routes

    async def embed(self, request: Request) -> Response:
        """Embed one text or several; queries unless input_type says otherwise."""
        asked = await self._parsed(EmbedBody, request)
        result = await self._embedded(request, asked)
        return replies.embed(result, self._service.manifest, single=asked.single)

    async def embeddings(self, request: Request) -> Response:
        """Embed as OpenAI's API does; documents unless input_type or the model's suffix say so."""
        asked = await self._parsed(OpenAIBody, request)
        result = await self._embedded(request, asked)
        as_base64 = asked.encoding_format == "base64"
        return replies.openai(result, self._service.manifest, as_base64=as_base64)

    async def models(self) -> Response:
        """The model's names. Clients that offer a choice look for "embed" in an id."""
        model = self._service.manifest.model
        alias = _alias(model)
        entries = [
            {"id": name, "object": "model", "created": 0, "owned_by": model.partition("/")[0]}
            for name in (model, alias, f"{alias}:query", f"{alias}:document")
        ]
        return _json({"object": "list", "data": entries})

    async def info(self) -> Response:
        """What is served, and its limits."""
        described = self._service.manifest.model_dump(exclude={"format", "canaries"})
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

    async def health(self) -> Response:
        """Whether requests are answered: 200 once the model has passed its self-check, else 503."""
        if self._service.stopping:
            return _json({"status": "stopping"}, status=503)
        manifest = self._service.manifest
        return _json(
            {"status": "healthy", "model": manifest.model, "fingerprint": manifest.fingerprint}
        )

    async def livez(self) -> Response:
        """That the process is alive."""
        return _json({"status": "alive"})

    async def index(self) -> Response:
        """The page."""
        return page.reply(self._page)

    async def _parsed(self, model: type[AnyBody], request: Request) -> AnyBody:
        content = await body.read(request, limit=self._settings.max_payload_bytes)
        if len(content) <= _SMALL_BODY:
            return parse(model, content)
        return await run_in_threadpool(parse, model, content)

    async def _embedded(self, request: Request, asked: EmbedBody | OpenAIBody) -> Embeddings:
        # RFC 9111, 5.2.1.4: the client wants no answer from a cache.
        anew = "no-cache" in request.headers.get("cache-control", "").lower()
        work = self._service.embed(asked.request(anew=anew))
        return await body.while_connected(request, work)

    async def _require_key(self, request: Request) -> None:
        self._keys.require(request)


def _alias(model: str) -> str:
    name = model.rpartition("/")[2]
    return name if "embed" in name.lower() else f"{name}-embed"


def _json(content: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")


def _shapes(request: type[BaseModel], reply: type[BaseModel]) -> dict[str, Any]:
    """What /openapi.json says of a route whose body is not read by the framework."""
    schema = {"application/json": {"schema": request.model_json_schema()}}
    statuses = (400, 401, 413, 422, 429, 500, 503)
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": schema}},
        "responses": {200: {"model": reply}} | {key: {"model": ErrorReply} for key in statuses},
    }
