"""What all tests share: real weights, a state folder, the engine of those marked `docker`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from ops.adapters.docker_engine import DockerEngine
from ops.errors import BaseImageUnavailable, EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ("artefacts",)

BASE_IMAGE = "python:3.11-slim"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> DockerEngine:
    """An engine that answers and has the base image, else a skip (a failure in CI)."""
    tree: Path = tmp_path_factory.mktemp("base-image")
    (tree / "Dockerfile").write_text(f"FROM {BASE_IMAGE}\n")
    try:
        found = DockerEngine.connect()
        found.ensure_base_images(tree, lambda _: None)
    except (EngineUnavailable, BaseImageUnavailable) as error:
        _without_docker(f"{error.message} {error.cause}")
    return found


@pytest.fixture(scope="session", autouse=True)
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `ops` keeps of its deployments is not mixed with what the user's own has kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _docker_where_marked(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("engine")


def _without_docker(why: str) -> NoReturn:
    if os.environ.get("REQUIRE_DOCKER") == "1":
        pytest.fail(f"REQUIRE_DOCKER=1, but: {why}", pytrace=False)
    pytest.skip(f"needs Docker: {why}")
