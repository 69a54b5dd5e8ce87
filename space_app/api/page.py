"""GET /: the page, filled in once with what is served."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from fastapi import Response

if TYPE_CHECKING:
    from space_app.core.manifest import Manifest, Quality

_FILE = Path(__file__).with_name("page.html")
_PLACE = re.compile(r"%([a-z_]+)%")
# Anybody may frame it: that is how the Hub shows a Space, and how others embed one.
_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors *"
)
_NONE = '<span class="quiet">nothing</span>'


def render(manifest: Manifest, *, api_key_required: bool) -> str:
    """The page's HTML."""
    values = _texts(manifest) | _markup(manifest, keyed=api_key_required)
    # In one go, so that a value with a place's name in it stays a value.
    return _PLACE.sub(lambda place: values[place[1]], _FILE.read_text(encoding="utf-8"))


def reply(text: str) -> Response:
    """The page as a reply; it loads nothing from anywhere else, and a browser holds it to that."""
    policy = _POLICY.format(script=hashes(text, "script"), style=hashes(text, "style"))
    return Response(text, media_type="text/html", headers=headers(policy))


def headers(content_security_policy: str) -> dict[str, str]:
    """What a browser is told of a page besides its content."""
    return {
        "Content-Security-Policy": content_security_policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        # The page of a new version must not meet the server of an old one, or the other way round.
        "Cache-Control": "no-cache",
    }


def hashes(text: str, tag: str) -> str:
    """What a policy allows of a page's inline scripts or styles: exactly those that it has."""
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(block.encode()).digest()) for block in blocks]
    return " ".join(f"'sha256-{digest.decode()}'" for digest in digests)


def _texts(manifest: Manifest) -> dict[str, str]:
    """Values that are text, escaped."""
    owner, slash, name = manifest.model.rpartition("/")
    texts = {
        "owner": owner + slash,
        "name": name,
        "model": manifest.model,
        "revision": manifest.revision or "a local folder's, which has none",
        "dimensions": str(manifest.dimensions),
        "max_length": str(manifest.max_length),
        "precision": manifest.precision,
        "backend": manifest.backend,
        "pooling": manifest.pooling,
        "fingerprint": manifest.fingerprint,
    }
    return {key: html.escape(text) for key, text in texts.items()}


def _markup(manifest: Manifest, *, keyed: bool) -> dict[str, str]:
    """Values that are HTML already."""
    served = {"model": manifest.model, "dimensions": manifest.dimensions}
    limits = {"max_length": manifest.max_length, "keyed": keyed}
    query, document = (
        f"<code>{html.escape(text)}</code>" if text else ""
        for text in (manifest.query_instruction, manifest.document_instruction)
    )
    return {
        "query_instruction": query or _NONE,
        "document_instruction": document or _NONE,
        "instruction": f"The model reads {query} before it." if query else "",
        "agreement": _agreement(manifest.quality),
        "quality": _quality(manifest.quality),
        # `<` would end the script that it stands in.
        "served": orjson.dumps(served | limits).decode().replace("<", "\\u003c"),
    }


def _agreement(quality: Quality | None) -> str:
    if quality is None:
        return "<b>as the reference</b>, which computes it"
    return f"<b>{quality.cosine_mean:.4f}</b> mean cosine to the original"


def _quality(quality: Quality | None) -> str:
    if quality is None:
        return "<dt>Measured</dt><dd>Nothing: it is computed by the reference itself.</dd>"
    return (
        f"<dt>Measured</dt><dd>on {quality.texts} texts, against sentence-transformers in fp32</dd>"
        f"<dt>Cosine</dt><dd>{quality.cosine_mean:.4f} on average, "
        f"{quality.cosine_min:.4f} at worst</dd>"
        f"<dt>Ranking</dt><dd>{quality.rank:.4f} (Spearman, all pairs by their similarity)</dd>"
    )
