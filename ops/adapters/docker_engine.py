"""Builds and runs Spaces by a Docker engine.

Containers get what a Space gives them: user 1000, its hardware's CPUs and memory, no new
privileges. They are published on loopback, so the engine must run on this machine.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from ops.adapters.docker_build import build_image, pull_image
from ops.adapters.docker_errors import (
    START_ENGINE,
    TRANSPORT,
    close_forgotten_socket,
    engine_errors,
    explanation,
    why_no_engine,
)
from ops.adapters.docker_server import DockerServer
from ops.adapters.docker_stream import REQUEST_LIMIT
from ops.adapters.dockerfile import read_dockerfile
from ops.adapters.free_port import LOOPBACK, free_port
from ops.adapters.watchdog import WATCHDOG
from ops.errors import EngineUnavailable, Unhealthy
from ops.runner import CPU_BASIC, Image, Limits, Log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docker.models.containers import Container

LABEL = "embedding-space"
"""Every container made here has it, with the value 1: `docker ps -aq --filter label=…=1`."""
OWNER_LABEL = f"{LABEL}.owner"
"""On those that belong to somebody by name; see `Runner.for_owner`."""

_HELLO_LIMIT = 5
_START_TRIES = 3


class DockerEngine:
    """A Docker engine that answers; see `ops.runner.Runner`."""

    name = "docker"

    def __init__(self, client: docker.DockerClient, *, owner: str | None = None):
        self._client = client
        self._labels = {LABEL: "1"} | ({OWNER_LABEL: owner} if owner is not None else {})

    @classmethod
    def connect(cls) -> DockerEngine:
        """The engine of `DOCKER_HOST`, or of this machine.

        Raises:
            EngineUnavailable: none answers within a few seconds.
        """
        try:
            docker.from_env(timeout=_HELLO_LIMIT).close()
            return cls(docker.from_env(timeout=REQUEST_LIMIT))
        except (DockerException, *TRANSPORT) as error:
            close_forgotten_socket(error)
            raise EngineUnavailable(
                "No Docker engine answers.", cause=why_no_engine(error), next_step=START_ENGINE
            ) from error

    def for_owner(self, owner: str) -> DockerEngine:
        """See `Runner.for_owner`."""
        with engine_errors():
            left = self._client.containers.list(
                all=True, filters={"label": f"{OWNER_LABEL}={owner}"}, ignore_removed=True
            )
            for container in left:
                with suppress(NotFound):
                    container.remove(v=True, force=True)
        return DockerEngine(self._client, owner=owner)

    def ensure_base_images(self, tree: Path, log: Log) -> None:
        """Have every image that the Dockerfile starts from, pulled where it is not here.

        Raises:
            BaseImageUnavailable: one is neither here nor can it be pulled.
        """
        for reference in read_dockerfile(tree / "Dockerfile").base_images:
            with engine_errors():
                try:
                    self._client.images.get(reference)
                except ImageNotFound:
                    pull_image(reference, log)

    def digest(self, reference: str) -> str | None:
        """By what a registry knows an image that is here; None for one made on this machine."""
        with engine_errors():
            try:
                names = self._client.images.get(reference).attrs.get("RepoDigests") or []
            except ImageNotFound:
                return None
        return next((name.partition("@")[2] for name in names), None)

    def build(self, tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> Image:
        """See `Runner.build`."""
        image_id = build_image(tree, tag=tag, build_args=build_args, log=log)
        with engine_errors():
            image = self._client.images.get(image_id)
        return Image(
            reference=image.short_id.removeprefix("sha256:"), size_bytes=image.attrs["Size"]
        )

    def start(
        self,
        image: Image,
        *,
        environment: Mapping[str, str],
        log: Log,
        limits: Limits = CPU_BASIC,
        app_port: int = 7860,
    ) -> DockerServer:
        """See `Runner.start`. Where this machine has fewer CPUs than `limits`, it gives all."""
        _require_sound(environment)
        with engine_errors():
            cpus = min(limits.cpus, self._client.info()["NCPU"])
        options = {
            "user": "1000",
            "environment": dict(environment),
            "nano_cpus": int(cpus * 1e9),
            "mem_limit": limits.memory_bytes,
            "memswap_limit": limits.memory_bytes,
            "security_opt": ["no-new-privileges"],
            "labels": self._labels,
        }
        for tries_left in reversed(range(_START_TRIES)):
            port = free_port()
            ports = {f"{app_port}/tcp": (LOOPBACK, port)}
            try:
                container = self._started(image.reference, ports=ports, **options)
            except APIError as error:
                # A server error may mean that somebody took the port meanwhile: try another one.
                if error.is_server_error() and tries_left:
                    continue
                raise Unhealthy(
                    f"The container of {image.reference} could not be started.",
                    cause=explanation(error),
                    next_step="Build the image again: ops build.",
                ) from error
            return DockerServer(container, f"http://{LOOPBACK}:{port}", log)
        raise AssertionError  # the last try returns or raises

    def _started(self, reference: str, **options: Any) -> Container:
        """A container that runs; none is left behind when it does not, whatever the reason."""
        name = f"{LABEL}-{secrets.token_hex(6)}"
        WATCHDOG.watch("container", name)  # now, as we may be gone before the engine has answered
        try:
            with engine_errors(but=APIError):
                container = self._client.containers.create(reference, name=name, **options)
                container.start()
                return container
        except BaseException:
            with suppress(DockerException, *TRANSPORT):
                self._client.containers.get(name).remove(v=True, force=True)
            WATCHDOG.forget("container", name)
            raise


def _require_sound(environment: Mapping[str, str]) -> None:
    """Refuse what the engine would refuse with the variable's value in its message."""
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise Unhealthy(
                f"The variable {name!r} cannot be in an environment.",
                next_step="Names have no =, and neither names nor values a NUL character.",
            )
