"""Starts what was built for a Space: what it is given, and when it counts as started."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import httpx2

from ops.hub.hardware import FLAVOURS
from ops.runner import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.hub.card import Card
    from ops.hub.store import Repo, Settings
    from ops.runner import Running

_READY_POLL = 0.1
_SERVER_ERROR = 500


class StartFailed(Exception):
    """The app ended, or never answered; in the Hub's words."""


def environment(repo: Repo, host: str, card: Card, settings: Settings) -> dict[str, str]:
    """What the Spaces documentation promises, then variables and secrets."""
    flavour = FLAVOURS[settings.hardware]
    own = settings.variables | settings.secrets
    return {
        "SYSTEM": "spaces",
        "ACCELERATOR": flavour.gpu.model if flavour.gpu is not None else "none",
        "CPU_CORES": str(flavour.vcpu),
        "MEMORY": f"{flavour.memory_gb}Gi",
        "SPACE_AUTHOR_NAME": repo.owner,
        "SPACE_REPO_NAME": repo.name,
        "SPACE_ID": repo.id,
        "SPACE_TITLE": card.title,
        "SPACE_HOST": host.partition("//")[2],
        "SPACE_CREATOR_USER_ID": "0" * 24,
        **{name: setting.value.get_secret_value() for name, setting in own.items()},
    }


def limits(hardware: str) -> Limits:
    """The flavour's, as far as this machine goes."""
    flavour = FLAVOURS[hardware]
    return Limits(min(flavour.vcpu, os.cpu_count() or 1), flavour.memory_gb * 1024**3)


def wait_until_answering(
    running: Running, limit: float, check: Callable[[], None], *, hangs: bool
) -> None:
    """Return when the app answers; `check` raises to give up, `hangs` never lets it be seen.

    Which path and method the Hub asks is not documented; an app that answers `HEAD /` is taken
    for started by either.

    Raises:
        StartFailed: it ended, or `limit` seconds are over.
    """
    until = time.monotonic() + limit
    with httpx2.Client(timeout=5, trust_env=False) as http:
        while time.monotonic() < until:
            check()
            if (code := running.exit_code()) is not None:
                raise StartFailed(f"Exit code: {code}")
            if not hangs and _answers(http, running.url):
                return
            time.sleep(_READY_POLL)
    raise StartFailed(f"Launch timed out, workload was not healthy after {limit:.0f} s")


def _answers(http: httpx2.Client, url: str) -> bool:
    try:
        return http.head(url).status_code < _SERVER_ERROR
    except httpx2.TransportError:
        return False  # it does not listen yet
