"""`ops build`: space.toml -> something that can be started here, by Docker or as a process."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from ops.adapters.docker_engine import DockerEngine
from ops.adapters.process import ProcessRunner
from ops.errors import BaseImageUnavailable, EngineUnavailable
from ops.render import render, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.config import Config
    from ops.runner import Image, Log, Runner

RunnerName = Literal["auto", "docker", "process"]


def build(runner: Runner, config: Config, *, build_args: Mapping[str, str], log: Log) -> Image:
    """Render the Space and build it; raises BuildFailed with the log's tail."""
    with rendered(config) as tree:
        return runner.build(tree, tag=tag(config), build_args=build_args, log=log)


def tag(config: Config) -> str:
    """The image's name: `embedding-space/NAME`, lower case as Docker wants it."""
    return f"embedding-space/{config.space.repo_id.rpartition('/')[2].lower()}:latest"


@contextmanager
def rendered(config: Config) -> Iterator[Path]:
    """The Space's files in a folder that is removed afterwards."""
    with TemporaryDirectory(prefix="embedding-space-") as folder:
        write(render(config), Path(folder))
        yield Path(folder)


def choose_runner(name: RunnerName, config: Config | None, *, say: Log, log: Log) -> Runner:
    """The runner of that name; `auto` is Docker where it works, else the process runner.

    With a config, Docker works only where its base image can be had.

    Raises:
        EngineUnavailable, BaseImageUnavailable: Docker was asked for by name and cannot be used.
    """
    if name == "process":
        return ProcessRunner()
    try:
        engine = DockerEngine.connect()
        if config is not None:
            with rendered(config) as tree:
                engine.ensure_base_images(tree, log)
    except (EngineUnavailable, BaseImageUnavailable) as error:
        if name == "docker":
            raise
        say(f"{error.message} Going on without Docker: the server runs as a local process.")
        return ProcessRunner()
    return engine
