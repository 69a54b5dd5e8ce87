from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from fakes.asgi_server import serving
from fakes.embedder import FakeEmbedder, fake_manifest

from space_app.api.app import create_app
from space_app.api.connection import Connection
from space_app.core.service import Service
from space_app.settings import ApiKey, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from space_app.core.types import Encoded, Side

KEYED = {
    ("post", "/"),
    ("post", "/embed"),
    ("post", "/embeddings"),
    ("post", "/v1/embeddings"),
    ("post", "/similarity"),
    ("post", "/tokenize"),
    ("get", "/info"),
    ("get", "/metrics"),
    ("get", "/models"),
    ("get", "/v1/models"),
}
OPEN = {("get", "/"), ("get", "/health"), ("get", "/livez")}


class Brief(FakeEmbedder):
    """Reads every text as one word, so that none is too long."""

    def _encoded(self, text: str, side: Side) -> Encoded:  # noqa: ARG002 -- the text is not read
        return super()._encoded("word", side)


def app(folder: Path, **settings: Any) -> FastAPI:
    """The app over an embedder that takes any text."""
    given = Settings(model_dir=folder, max_inputs=16, **settings)
    return create_app(Service(Brief(), fake_manifest(), max_inputs=given.max_inputs), given)


def test_the_api_is_what_its_description_says(tmp_path: Path) -> None:
    """What the description allows is answered as it says, and what it does not is refused."""
    with serving(app(tmp_path), http=Connection) as url:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *("--phases=coverage,fuzzing", "--max-examples=40", "--continue-on-failure"),
            *("--generation-deterministic", "--no-color"),
        ]
        found = subprocess.run(
            command,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"NO_PROXY": "127.0.0.1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
        )

    assert found.returncode == 0, found.stdout
    assert "13 selected / 13 total" in found.stdout


def test_what_needs_a_key_says_so(tmp_path: Path) -> None:
    """Where keys are on, exactly the routes that want one name both ways to send it."""
    described = app(tmp_path, api_keys=(ApiKey("one", "secret"),)).openapi()
    operations = {
        (method, path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }

    assert set(operations) == KEYED | OPEN
    assert {name for name, operation in operations.items() if "security" in operation} == KEYED
    assert operations["post", "/embed"]["security"] == [{"bearer": []}, {"apiKey": []}]
    assert set(described["components"]["securitySchemes"]) == {"bearer", "apiKey"}


def test_without_keys_none_is_described(tmp_path: Path) -> None:
    """An open server asks for nothing."""
    assert "security" not in str(app(tmp_path).openapi())


def test_limits_are_described(tmp_path: Path) -> None:
    """The server's own limits are in the schemas."""
    schemas = app(tmp_path).openapi()["components"]["schemas"]

    assert schemas["OpenAIBody"]["properties"]["dimensions"]["anyOf"][0]["maximum"] == 8
    assert schemas["OpenAIBody"]["properties"]["input"]["oneOf"][1]["maxItems"] == 16
