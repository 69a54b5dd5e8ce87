from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes.runner import FakeRunner

from ops.build import build, choose_runner, tag
from ops.config import Config
from ops.errors import BaseImageUnavailable, EngineUnavailable

if TYPE_CHECKING:
    from pathlib import Path


def config(**image: Any) -> Config:
    """A Space called me/App."""
    return Config.model_validate({"space": {"repo_id": "me/App"}, "image": image})


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine answers where Docker is told to look for one."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_auto_says_so_and_goes_on() -> None:
    """A rehearsal does not need Docker; whoever runs it is told what it does instead."""
    said: list[str] = []
    runner = choose_runner("auto", config(), say=said.append, log=print)
    assert runner.name == "process"
    assert said == [
        "No Docker engine answers. Going on without Docker: the server runs as a local process."
    ]


@pytest.mark.usefixtures("no_engine")
def test_docker_by_name_is_an_error_without_an_engine() -> None:
    """Who asks for Docker gets Docker or exit code 4, with what to do."""
    with pytest.raises(EngineUnavailable) as caught:
        choose_runner("docker", config(), say=print, log=print)
    assert caught.value.exit_code == 4
    assert "--runner process" in str(caught.value.next_step)


@pytest.mark.docker
def test_a_base_image_that_cannot_be_had_counts_as_no_docker() -> None:
    """Auto goes on without Docker and names the image; docker by name fails."""
    missing = config(base="no-such-host.invalid/base:none")
    said: list[str] = []
    assert choose_runner("auto", missing, say=said.append, log=print).name == "process"
    assert "no-such-host.invalid/base:none" in said[0]
    with pytest.raises(BaseImageUnavailable):
        choose_runner("docker", missing, say=print, log=print)


@pytest.mark.docker
def test_auto_takes_docker_where_it_works() -> None:
    """An engine with the base image is used."""
    assert choose_runner("auto", config(), say=print, log=print).name == "docker"


def test_what_is_rendered_is_what_is_built() -> None:
    """The runner gets the whole tree and the build arguments, under a name that Docker allows."""
    runner = FakeRunner()
    image = build(runner, config(), build_args={"HF_ENDPOINT": "http://hub"}, log=print)
    assert "FROM python:3.11-slim" in image.reference
    assert runner.build_args == [{"HF_ENDPOINT": "http://hub"}]
    assert tag(config()) == "embedding-space/app:latest"
