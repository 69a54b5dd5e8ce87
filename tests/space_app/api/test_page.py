from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from fakes.embedder import fake_manifest

from space_app.api import page
from space_app.core.manifest import Quality

if TYPE_CHECKING:
    from conftest import Running

HOSTILE = "</script><script>alert(1)</script>"


def served(text: str) -> Any:
    """What the page's script is told."""
    block = re.search(r'<script type="application/json" id="served">(.*?)</script>', text)
    assert block is not None
    return json.loads(block[1])


def test_it_says_what_is_served() -> None:
    """Every place for a value is filled in."""
    quality = Quality(texts=40, cosine_mean=0.99871, cosine_min=0.98765, rank=0.99612)
    text = page.render(fake_manifest(quality=quality), api_key_required=True)

    for value in ("tiny-model", "feedc0de", "0123456789abcdef", "query: "):
        assert value in text
    for number in ("0.9987", "0.9877", "0.9961", "40 texts"):
        assert number in text
    assert served(text) == {
        "model": "acme/tiny-model",
        "dimensions": 8,
        "max_length": 6,
        "keyed": True,
    }
    assert not re.search(r"%[a-z_]+%", text)


def test_without_measured_quality() -> None:
    """The reference's own vectors have nothing to be measured against, and the page says so."""
    text = page.render(fake_manifest(quality=None), api_key_required=False)

    assert "computed by the reference itself" in text
    assert served(text)["keyed"] is False


@pytest.mark.parametrize("field", ["model", "revision", "query_instruction"])
def test_values_are_no_markup(field: str) -> None:
    """A manifest cannot bring a script along, neither into the page nor into its data."""
    text = page.render(fake_manifest(**{field: HOSTILE}), api_key_required=False)

    assert "<script>alert" not in text
    if field == "model":
        assert served(text)["model"] == HOSTILE


def test_a_value_that_looks_like_a_place_stays_a_value() -> None:
    """What is filled in is not filled in again."""
    text = page.render(fake_manifest(query_instruction="%fingerprint% "), api_key_required=False)

    assert "<code>%fingerprint% </code>" in text


def test_it_loads_nothing_from_elsewhere(app: Running) -> None:
    """The page names no other origin, and its policy lets a browser ask none."""
    reply = app.http.get("/")

    assert reply.headers["content-type"].startswith("text/html")
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', reply.text)) == {
        "data:,",
        "docs",
        "openapi.json",
    }
    assert "http://" not in reply.text
    assert "https://" not in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "connect-src 'self'" in reply.headers["content-security-policy"]


def test_its_policy_allows_its_own_script_and_no_other(app: Running) -> None:
    """Scripts and styles run by their hash: what somebody brings in does not."""
    reply = app.http.get("/")
    policy = reply.headers["content-security-policy"]

    assert "unsafe" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", reply.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def test_others_may_frame_it(app: Running) -> None:
    """The Hub shows a Space in a frame of its own page."""
    reply = app.http.get("/")

    assert "frame-ancestors *" in reply.headers["content-security-policy"]
    assert "x-frame-options" not in reply.headers


def test_it_is_small(app: Running) -> None:
    """All of it in at most 60 kB."""
    assert len(app.http.get("/").content) <= 60_000
