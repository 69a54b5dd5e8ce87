from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fakes.embedder import fake_manifest

from space_app.api import page

if TYPE_CHECKING:
    from conftest import Running


def test_it_says_what_is_served() -> None:
    """Every place for a value is filled in."""
    text = page.render(fake_manifest(), api_key_required=True)

    assert "acme/tiny-model" in text
    assert "feedc0de" in text
    assert 'data-keys="on"' in text
    assert not re.search(r"%[a-z_]+%", text)


def test_values_are_no_markup() -> None:
    """A model's name cannot bring a script along."""
    text = page.render(fake_manifest(model="<script>alert(1)</script>"), api_key_required=False)

    assert "<script>alert" not in text


def test_it_loads_nothing_from_elsewhere(app: Running) -> None:
    """The page names no other origin, and its policy lets a browser ask none."""
    reply = app.http.get("/")

    assert reply.headers["content-type"].startswith("text/html")
    assert not re.search(r"(?:src|href)=\"(?!data:|openapi\.json)", reply.text)
    assert "http://" not in reply.text
    assert "https://" not in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]
