"""`ops rehearse`: the whole of `ops deploy`, against a local Hub.

What is rehearsed is what ships: same templates, same bytes, same client library, same checks.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ops import files
from ops.adapters.git_checkout import source_commit
from ops.adapters.hf_environment import default_endpoint
from ops.adapters.hf_hub import Hub
from ops.app_keys import first_key
from ops.build import build
from ops.deploy import Request, deploy
from ops.errors import ConfigError, PortTaken
from ops.hub import LocalHub
from ops.pin import pinned
from ops.smoke_test import smoke_test_image
from ops.watch import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.apply import Applied
    from ops.config import Config
    from ops.output import Output
    from ops.runner import Runner
    from ops.secret_values import SecretReader

HUB_PORT = 7850
"""Where a rehearsal's Hub listens when it can: a build that downloads from the same address again
is found in Docker's cache."""


@dataclass(frozen=True)
class Rehearsed:
    """A proven Space on loopback, up as long as its Hub is.

    `token_file` holds the Hub's token, `key_file` a key of the app's own where it wants one.
    """

    deployed: Applied
    token_file: Path
    key_file: Path | None
    seconds: float


@contextmanager
def rehearse(
    config: Config,
    runner: Runner,
    reader: SecretReader,
    *,
    mirrors: Mapping[str, Path],
    output: Output,
) -> Iterator[Rehearsed]:
    """Build and prove the Space here, then deploy it to a Hub of its own; up inside the context.

    Secrets that have no value here are made up for the rehearsal.
    """
    started = time.monotonic()
    with (
        TemporaryDirectory(prefix="embedding-space-hub-") as data,
        _hub(Path(data), runner, mirrors) as local,
    ):
        output.say(f"A local Hub at {local.endpoint}, Spaces run by {runner.name}")
        hub = Hub(local.endpoint, local.token)
        # The build has no token, so whether a stranger can get the model is what counts.
        config = pinned(
            config, hub if config.model.id in mirrors else Hub(default_endpoint(), None)
        )
        _prove_here(config, runner, local.build_args, output)
        request = Request(
            config,
            _secrets(config, reader, output),
            source_commit=source_commit(),
            patience=Patience(poll=0.5),
            state_file=Path(data) / "written.json",
        )
        deployed = deploy(hub, request, say=output.say, show=output.waiting, on_check=output.check)
        key_file = _key_file(Path(data), first_key(request.secrets))
        yield Rehearsed(deployed, local.token_file, key_file, time.monotonic() - started)


def _prove_here(
    config: Config, runner: Runner, build_args: Mapping[str, str], output: Output
) -> None:
    """Build the Space and prove it before anything is pushed."""
    with output.working(f"Building by {runner.name}") as log:
        image = build(runner, config, build_args=build_args, log=log)
    output.say(f"Built: {image.size_bytes / 1e6:.0f} MB. Proving it here before anything is pushed")
    with output.working("Smoke test") as log:
        smoke_test_image(
            runner,
            image,
            environment=config.variables,
            log=log,
            on_check=output.check,
            app_port=config.space.app_port,
        ).require_passed()


def _key_file(folder: Path, key: str | None) -> Path | None:
    """The key in a file that its owner alone may read, so that no command needs to show it."""
    if key is None:
        return None
    path = folder / "app-key"
    files.write(path, key.encode(), mode=0o600)
    return path


def _hub(data: Path, runner: Runner, mirrors: Mapping[str, Path]) -> LocalHub:
    try:
        return LocalHub(data, runner, mirrors=mirrors, port=HUB_PORT)
    except PortTaken:
        return LocalHub(data, runner, mirrors=mirrors)


def _secrets(config: Config, reader: SecretReader, output: Output) -> dict[str, str]:
    try:
        return reader.read(config.secrets)
    except ConfigError as error:
        output.say(f"{error.message} Made-up values stand in for [secrets] in this rehearsal.")
        return {name: secrets.token_urlsafe(24) for name in config.secrets}
