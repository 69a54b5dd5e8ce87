"""The images: how large they are above their base, and how a container of each is started.

Only where a Docker engine answers. This project's image is one that `ops build` or a rehearsal
made; the original's is built here, from the guide's Dockerfile.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from prepare import HERE, Place, Unavailable
from servers import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE = "python:3.11-slim"
ORIGINAL = "embedding-space-bench/original:latest"
_LIMIT = 60


def size_above_base(reference: str) -> int:
    """Bytes of an image that are not its base's; raises Unavailable."""
    return _size(reference) - _size(BASE)


def build_original(place: Place) -> None:
    """Unless it is there; raises Unavailable."""
    if _docker("image", "ls", "--quiet", ORIGINAL):
        return
    command = ["docker", "build", "--network", "host", "--tag", ORIGINAL]
    arguments = ["--build-arg", f"BASE={BASE}"]
    if index := os.environ.get("TORCH_INDEX"):
        arguments += ["--build-arg", f"TORCH_INDEX={index}"]
    place.run(
        "building the original image",
        [*command, *arguments, "--file", HERE / "original.Dockerfile", HERE],
    )


def ours(place: Place, reference: str) -> Recipe:
    """A container of this project's image, with the benchmark's model in the place of its own."""
    return Recipe(
        name="ours-container",
        title="ours",
        command=(
            *_run(f"{place.artefact}:/artefact:ro"),
            *("--env", "EMBED_MODEL_DIR=/artefact", "--env", "PORT={port}"),
            *("--env", "HOST=127.0.0.1", reference),
        ),
        environment={},
    )


def original(place: Place) -> Recipe:
    """A container of the original's image; its model is beside it, not downloaded."""
    return Recipe(
        name="original-container",
        title="original app",
        command=(
            *_run(f"{place.model}:/model:ro"),
            *("--env", "MODEL=/model", "--env", "HF_HUB_OFFLINE=1", ORIGINAL),
            *("uvicorn", "app:app", "--host", "127.0.0.1", "--port", "{port}"),
        ),
        environment={},
    )


def _run(volume: str) -> Sequence[str]:
    """As on a Space's smallest hardware; the host's network, so that no proxy is measured."""
    limits = ("--cpus", "2", "--memory", "16g")
    return ("docker", "run", "--rm", "--init", "--network", "host", *limits, "--volume", volume)


def _size(reference: str) -> int:
    return int(_docker("image", "inspect", "--format", "{{.Size}}", reference))


def _docker(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"docker does not answer: {error}") from error
    if done.returncode:
        raise Unavailable(f"docker {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
