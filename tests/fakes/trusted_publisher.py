"""A Hub that trusts a CI job: GitHub's issuer of identities, the exchange, and a local Hub behind.

The exchange is as huggingface_hub asks for it (its `_oidc.py`, RFC 8693), the refusal as RFC 6749,
5.2, has it; nothing here checks a signature.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

REQUEST_TOKEN = "asked-by-this-job"
IDENTITY = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZXBvOm1lL2FwcCJ9."
_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]
_HOP_BY_HOP = frozenset({"connection", "content-length", "transfer-encoding", "content-encoding"})


@dataclass
class TrustedPublisher:
    """Exchanges `IDENTITY` for `token`, for one resource; counts how often."""

    hub: str
    resource: str
    token: str = field(repr=False)
    status: int = 200
    exchanges: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/identity", self._identity),
                Route("/oauth/token", self._exchange, methods=["POST"]),
                Route("/{path:path}", self._forward, methods=_METHODS),
            ]
        )

    async def _identity(self, request: Request) -> Response:
        """What GitHub gives a job with `id-token: write`."""
        if request.headers.get("authorization") != f"Bearer {REQUEST_TOKEN}":
            return Response(status_code=401)
        audience = str(request.base_url).rstrip("/")
        right = request.query_params.get("audience") == audience
        return JSONResponse({"value": IDENTITY if right else "for somebody else"})

    async def _exchange(self, request: Request) -> Response:
        self.exchanges += 1
        asked = json.loads(await request.body())
        expected = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "subject_token": IDENTITY,
            "resource": self.resource,
        }
        if self.status != 200:
            return Response(status_code=self.status)
        if asked != expected:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(
            {"access_token": self.token, "token_type": "bearer", "expires_in": 3600}
        )

    async def _forward(self, request: Request) -> Response:
        body = await request.body()

        def ask() -> httpx2.Response:
            path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            with httpx2.Client(timeout=60) as client:
                return client.request(
                    request.method, self.hub + path, content=body, headers=request.headers.raw
                )

        reply = await run_in_threadpool(ask)
        kept = {k: v for k, v in reply.headers.items() if k.lower() not in _HOP_BY_HOP}
        return Response(reply.content, reply.status_code, kept)
