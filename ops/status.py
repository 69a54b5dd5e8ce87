"""`ops status`: what the Space is doing now, and whether it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from ops.errors import ConfigError, Exit
from ops.probe import Probe

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub
    from ops.probe import Access

_IDLE = ("PAUSED", "SLEEPING", "STOPPED")


@dataclass(frozen=True)
class Status:
    """A Space at one moment. `healthy` is None when it does not run, so was not asked."""

    repo_id: str
    url: str
    private: bool
    stage: str
    hardware: str | None
    running_commit: str | None
    newest_commit: str
    error_message: str | None
    healthy: bool | None

    @property
    def exit_code(self) -> Exit:
        """0 only when it runs the newest commit and answers."""
        if self.stage in ("CONFIG_ERROR", "NO_APP_FILE"):
            return Exit.SPACE_CONFIG
        if self.stage == "BUILD_ERROR":
            return Exit.BUILD
        if self.stage in _IDLE:
            return Exit.NOT_RUNNING
        return Exit.DONE if self.healthy else Exit.UNHEALTHY


def status(hub: Hub, repo_id: str, access: Access) -> Status:
    """Ask the Hub and, when it runs, the Space itself.

    Raises:
        ConfigError: there is no such Space.
    """
    name = repo_id if "/" in repo_id else f"{hub.account().name}/{repo_id}"
    space = hub.space(name)
    if space is None:
        raise ConfigError(
            f"There is no Space {name} on {hub.endpoint}, or this token may not see it.",
            next_step="ops deploy creates it.",
        )
    runtime = hub.runtime(name)
    return Status(
        repo_id=name,
        url=space.url,
        private=space.private,
        stage=runtime.stage,
        hardware=runtime.hardware,
        running_commit=runtime.commit,
        newest_commit=space.commit,
        error_message=runtime.error_message,
        healthy=_healthy(space.url, access) if runtime.stage.startswith("RUNNING") else None,
    )


def _healthy(url: str, access: Access) -> bool:
    try:
        with Probe(url, access, timeout=10) as probe:
            probe.choose_header()
            return probe.request("GET", "/health").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False
