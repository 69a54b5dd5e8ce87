"""Images, built and pulled by a Docker engine."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from docker.utils import parse_repository_tag

from ops.adapters.docker_stream import Lines, streaming, text_of
from ops.adapters.dockerfile import read_dockerfile
from ops.errors import BaseImageUnavailable, BuildFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ops.runner import Log

_TAIL_LINES = 30


def build_image(tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> str:
    """Build a tree; returns the image's id, because its tag may be another build's a moment later.

    The build has the host's network, because a rehearsal's Hub listens on loopback.

    Raises:
        BuildFailed: the engine refuses it, or a step fails; with the log's tail.
    """
    dockerfile = read_dockerfile(tree / "Dockerfile")
    if dockerfile.mounts_secrets:
        raise BuildFailed(
            "The Dockerfile mounts a secret, which cannot be given to a build here.",
            cause="RUN --mount=type=secret needs BuildKit, and secrets reach that over a session "
            "which the engine's Python client does not have (docker-py). A Space on "
            "huggingface.co has it.",
            next_step="Read the secret at run time, from the environment.",
        )
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    lines = Lines(tail.append, log)
    image_id, failure = None, None
    with streaming(
        lambda api: api.build(
            path=str(tree),
            tag=tag,
            buildargs=dockerfile.declared(build_args),
            network_mode="host",
            rm=True,
            forcerm=True,
            decode=True,
        )
    ) as events:
        for event in events:
            lines.feed(text_of(event))
            image_id = event.get("aux", {}).get("ID", image_id)
            failure = event.get("error", failure)
        lines.end()
    if failure is not None or image_id is None:
        raise BuildFailed(
            "The image could not be built.",
            cause=(failure or "the engine named no image at the end").strip(),
            next_step="The lines below say why: correct it, then build again.",
            log_tail=tuple(tail),
        )
    return str(image_id)


def pull_image(reference: str, log: Log) -> None:
    """Get an image; raises BaseImageUnavailable."""
    repository, tag = parse_repository_tag(reference)
    failure: str | None = None
    log(f"Pulling {reference}")
    with streaming(
        lambda api: api.pull(repository, tag=tag or "latest", stream=True, decode=True)
    ) as events:
        for event in events:
            for line in text_of(event).splitlines():
                log(line)
            failure = event.get("error", failure)
    if failure is not None:
        raise BaseImageUnavailable(
            f"The engine cannot get the image {reference}.",
            cause=failure,
            next_step=f"Try docker pull {reference}; or go without Docker: --runner process.",
        )
