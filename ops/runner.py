"""The seam between whoever wants a Space built and run here and whatever does it.

The Docker engine and the process runner (`ops.adapters`) implement it; `ops build`, the smoke test
and the local Hub use it. A *tree* is a folder with the files of a Space repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

Log = Callable[[str], None]
"""Takes one line of output, without its newline. Raising from it cancels a build."""


@dataclass(frozen=True)
class Image:
    """Something that can be started: a Docker image, or a folder made by the process runner."""

    reference: str
    size_bytes: int


@dataclass(frozen=True)
class Limits:
    """What a Space's hardware gives its container; the defaults are cpu-basic's."""

    cpus: float = 2
    memory_bytes: int = 16 * 1024**3


CPU_BASIC = Limits()


class Running(Protocol):
    """A started server."""

    @property
    def url(self) -> str:
        """Its origin on loopback, without a trailing slash."""

    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""

    def resident_bytes(self) -> int | None:
        """Resident memory of all its processes, None when it is gone."""

    def stop(self) -> None:
        """End it and remove what it left behind; may be called again."""


class Runner(Protocol):
    """Builds trees and starts what was built."""

    @property
    def name(self) -> str:
        """How people call it: "docker" or "process"."""

    def for_owner(self, owner: str) -> Runner:
        """The same for somebody of that name, whose servers are told from others by it.

        Ends those that an owner of the name left when this machine went down.
        """

    def build(self, tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> Image:
        """Build a Space's files; raises BuildFailed with the log's tail.

        `build_args` without an ARG of that name in the Dockerfile are ignored, as on the Hub.
        """

    def start(
        self,
        image: Image,
        *,
        environment: Mapping[str, str],
        log: Log,
        limits: Limits = CPU_BASIC,
        app_port: int = 7860,
    ) -> Running:
        """Start what was built, reachable on a free loopback port.

        `app_port` is the port that the server listens on inside a container. `log` is called from
        another thread, once for each line the server prints.

        Returns as soon as the server was started, not when it is healthy. Raises Unhealthy when it
        could not be started at all.
        """
