"""What the Hub tells of a Space that it runs: its stage, its commit, its hardware.

Stages and fields are those of the Hub's published OpenAPI description (where it shows a Space in a
collection), and what its client reads beside them (`storage`, `volumes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from ops.hub.store import Settings

Stage = Literal[
    "NO_APP_FILE",
    "CONFIG_ERROR",
    "BUILDING",
    "BUILD_ERROR",
    "APP_STARTING",
    "RUNNING",
    "RUNNING_BUILDING",
    "RUNNING_APP_STARTING",
    "RUNTIME_ERROR",
    "DELETING",
    "STOPPED",
    "PAUSED",
    "SLEEPING",
]
"""STOPPED is here a Space that may not start because too many others of its owner run."""

FREE_HARDWARE = "cpu-basic"
FREE_SLEEP = 48 * 3600
"""Seconds without a visitor after which a Space on free hardware sleeps, whatever was asked for."""


_NEVER = -1
_MOST_SECONDS = 2**53 - 1


def can_be_sleep_time(value: object) -> bool:
    """Whether it is a sleep time, as the Hub's OpenAPI description has it of a new Space."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value == _NEVER or 0 < value <= _MOST_SECONDS


@dataclass(frozen=True)
class State:
    """What a Space is doing; `commit` is the one that serves, on `hardware`, None without one."""

    stage: Stage
    commit: str | None = None
    hardware: str | None = None
    error_message: str | None = None


class Shown(Protocol):
    """A Space as it is told of."""

    @property
    def host(self) -> str:
        """Its origin."""

    @property
    def state(self) -> State:
        """What it is doing."""


def sleep_time(settings: Settings) -> int | None:
    """Seconds without a visitor until it sleeps; None and -1 for never."""
    return FREE_SLEEP if settings.hardware == FREE_HARDWARE else settings.sleep_time


def runtime(space: Shown, settings: Settings) -> dict[str, Any]:
    """The body of GET S/runtime."""
    state = space.state
    body: dict[str, Any] = {
        "stage": state.stage,
        "hardware": {"current": state.hardware, "requested": settings.hardware},
        "storage": None,
        "gcTimeout": sleep_time(settings),
        "replicas": {"current": int(state.hardware is not None), "requested": 1},
        "devMode": False,
        "domains": [{"domain": space.host.partition("//")[2], "stage": "READY"}],
    }
    if state.commit is not None:
        body["sha"] = state.commit
    if state.error_message is not None:
        body["errorMessage"] = state.error_message
    if settings.volumes:
        body["volumes"] = [volume.shown() for volume in settings.volumes]
    return body
