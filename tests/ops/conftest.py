"""Options and fixtures of the tests of ops."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from fakes.embedding_server import Served, embedding_server

from ops import redaction
from ops.adapters import hf_client

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_secret_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of one test must not be found, nor hidden, in what another one publishes."""
    monkeypatch.setattr(redaction, "_known", {})
    monkeypatch.setattr(redaction, "_suspected", {})


@pytest.fixture(autouse=True, scope="module")
def _no_token_has_a_home() -> None:
    """The same token is for other Hubs in each file, whose own fixtures come after this."""
    hf_client._homes.clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Registers --update-golden: `pytest tests/ops/test_render.py --update-golden`."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="Write tests/golden anew from what is rendered now; refused in CI.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuses to make CI agree with whatever is rendered there."""
    if config.getoption("--update-golden", default=False) and os.environ.get("CI"):
        message = "--update-golden is refused in CI: render here, look at the change, commit it."
        raise pytest.UsageError(message)


@pytest.fixture(name="running_server", scope="session")
def _running_server() -> Iterator[Served]:
    with embedding_server() as served:
        yield served


@pytest.fixture(name="server")
def _server(running_server: Served) -> Served:
    """A sound embedding server on loopback; a fault can be switched on for the test."""
    running_server.reset()
    return running_server
