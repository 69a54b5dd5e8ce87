"""GET /: the page, filled in once with what is served."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Response

if TYPE_CHECKING:
    from space_app.core.manifest import Manifest

_FILE = Path(__file__).with_name("page.html")
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)


def render(manifest: Manifest, *, api_key_required: bool) -> str:
    """The page's HTML."""
    text = _FILE.read_text(encoding="utf-8")
    values = {
        "model": manifest.model,
        "dimensions": str(manifest.dimensions),
        "max_length": str(manifest.max_length),
        "precision": manifest.precision,
        "fingerprint": manifest.fingerprint,
        "keys": "on" if api_key_required else "off",
    }
    for name, value in values.items():
        text = text.replace(f"%{name}%", html.escape(value))
    return text


def reply(text: str) -> Response:
    """The page as a reply; it loads nothing from anywhere else, and a browser holds it to that."""
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": _POLICY})
