"""A Docker registry on loopback, from which an engine can pull one tiny image."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fakes.asgi_server import serving
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

_DOCKER = "application/vnd.docker."
_MANIFEST = f"{_DOCKER}distribution.manifest.v2+json"


@dataclass(frozen=True)
class Registry:
    """Where it listens; `reference` names its image by tag, `digest` is that of the image."""

    reference: str
    digest: str


@contextmanager
def registry(name: str) -> Iterator[Registry]:
    """Serve an image of one empty file as NAME:1 (distribution specification, "Pulling")."""
    layer = _layer()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(layer))]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _described(config, f"{_DOCKER}container.image.v1+json"),
            "layers": [_described(layer, f"{_DOCKER}image.rootfs.diff.tar.gzip")],
        }
    ).encode()
    blobs = {_digest(blob): blob for blob in (layer, config)}

    async def answer(request: Request) -> Response:
        path = request.url.path
        if path == "/v2/":
            return Response("{}")
        reference = path.rpartition("/")[2]
        if path.startswith(f"/v2/{name}/manifests/") and reference in ("1", _digest(manifest)):
            headers = {"Docker-Content-Digest": _digest(manifest)}
            return Response(manifest, media_type=_MANIFEST, headers=headers)
        if reference in blobs:
            return Response(blobs[reference], media_type="application/octet-stream")
        return Response(status_code=404)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "HEAD"])])
    with serving(app) as url:
        host = url.removeprefix("http://")
        yield Registry(f"{host}/{name}:1", _digest(manifest))


def _layer() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    return gzip.compress(raw.getvalue(), mtime=0)


def _described(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
