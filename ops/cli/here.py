"""Options and steps that the commands share which build and run a Space here."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.cli.context import needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.cli.context import Globals
    from ops.config import Config
    from ops.runner import Image, Runner


def _parse_mirrors(values: tuple[str, ...]) -> dict[str, Path]:
    return {name: Path(folder) for name, folder in (_pair(v, "--mirror") for v in values)}


def _pair(value: str, option: str) -> tuple[str, str]:
    name, separator, rest = value.partition("=")
    if not (name and separator and rest):
        raise click.BadParameter(f"{value!r} is not of the form NAME=VALUE.", param_hint=option)
    return name, rest


runner = click.option(
    "--runner",
    "runner_name",
    type=click.Choice(["auto", "docker", "process"]),
    default="auto",
    show_default=True,
    help="Docker, or local processes; auto takes Docker where it works.",
)
mirrors = click.option(
    "--mirror",
    "mirrors",
    metavar="ID=DIR",
    multiple=True,
    callback=lambda _context, _option, values: _parse_mirrors(values),
    help="Serve a local folder as this model of the Hub, instead of downloading it.",
)
models = click.option(
    "--model",
    "models",
    metavar="ID=DIR",
    multiple=True,
    callback=lambda _context, _option, values: _parse_mirrors(values),
    help="Another name of --mirror.",
)
build_args = click.option(
    "--build-arg",
    "build_args",
    metavar="NAME=VALUE",
    multiple=True,
    callback=lambda _context, _option, values: dict(_pair(v, "--build-arg") for v in values),
    help="An ARG of the Dockerfile, such as TORCH_INDEX.",
)


def choose_runner(options: Globals, name: Any, config: Config | None) -> Runner:
    """What builds and runs; says so when it is not what was hoped for."""
    from ops import build as verb

    with options.output.working("Looking for Docker") as log:
        return verb.choose_runner(name, config, say=options.output.say, log=log)


def build_space(
    options: Globals,
    runner: Runner,
    config: Config,
    mirrors: dict[str, Path],
    build_args: dict[str, str],
) -> Image:
    """Pin the model and build, with whatever models are mirrored."""
    from ops.adapters.hf_environment import default_endpoint
    from ops.adapters.hf_hub import Hub
    from ops.build import build as build_image
    from ops.pin import pinned

    with _mirror_endpoint(runner, mirrors) as endpoint:
        config = pinned(config, Hub(endpoint or default_endpoint(), None))
        own = {"HF_ENDPOINT": endpoint} if endpoint else {}
        with options.output.working(f"Building by {runner.name}") as log:
            return build_image(runner, config, build_args={**own, **build_args}, log=log)


@contextmanager
def _mirror_endpoint(runner: Runner, mirrors: dict[str, Path]) -> Iterator[str | None]:
    """A local Hub that serves the mirrors while something is built; None without any."""
    if not mirrors:
        yield None
        return
    from tempfile import TemporaryDirectory

    with needs_extra("hub"):
        from ops.hub import LocalHub

    with (
        TemporaryDirectory(prefix="embedding-space-hub-") as data,
        LocalHub(Path(data), runner, mirrors=mirrors) as local,
    ):
        yield local.endpoint


def wait_for_interrupt() -> None:
    """Return at Ctrl-C, so that whatever is up is taken down in order."""
    try:
        while True:
            signal.pause()  # it returns at any signal that is handled, such as a child's end
    except KeyboardInterrupt:
        click.echo("", err=True)
