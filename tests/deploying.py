"""A Space called me/app on a local Hub, and what deploys it in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes.embedding_server import APP_KEY, Fault, embedding_app
from hub_world import SPACE, WRITE

from ops import deploy as verb
from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.config import Config
from ops.watch import Patience

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hub_world import World
    from starlette.types import ASGIApp

    from ops.apply import Applied

SECRETS = {"EMBED_API_KEYS": f"mem0={APP_KEY}"}
BROKEN = "unnormalised"
"""A title that makes the app go wrong."""

REFUSES_ITS_KEY = "refuses its key"
"""A title that makes the app take another key than the Space was given."""

OTHER_VECTORS = "other vectors"
"""A title that makes the app compute others."""

PATIENCE = Patience(limit=30, poll=0.05)


def app(files: Mapping[str, str]) -> ASGIApp:
    """A sound server, unless the Space's title says otherwise."""
    card = files["README.md"]
    if REFUSES_ITS_KEY in card:
        return embedding_app(key="another")
    if OTHER_VECTORS in card:
        return embedding_app(weights="others")
    return embedding_app(Fault.UNNORMALISED if BROKEN in card else None)


def config(
    *,
    variables: Mapping[str, str] | None = None,
    model: Mapping[str, Any] | None = None,
    **space: Any,
) -> Config:
    """me/app with a key of its own, and one variable unless others are given."""
    return Config.model_validate(
        {
            "space": {"repo_id": SPACE, **space},
            "secrets": {name: {"env": name} for name in SECRETS},
            "variables": {"V": "1"} if variables is None else variables,
            "model": model or {},
        }
    )


def hub_of(world: World) -> Hub:
    """The Hub as its owner sees it, without losing time between tries."""
    return Hub(world.hub.endpoint, WRITE, retries=Retries(first_wait=0))


def state_file(world: World) -> Path:
    """Where this machine keeps what the Hub does not tell."""
    return world.hub.data / "written.json"


def deploy(world: World, wanted: Config, *, token: str = WRITE, **options: Any) -> Applied:
    """Deploy with little patience; what is said goes to the test's output."""
    options.setdefault("secrets", SECRETS)
    options.setdefault("patience", PATIENCE)
    say = options.pop("say", print)
    approve = options.pop("approve", lambda _: None)
    request = verb.Request(wanted, state_file=state_file(world), **options)
    hub = Hub(world.hub.endpoint, token, retries=Retries(first_wait=0))
    return verb.deploy(hub, request, say=say, on_check=print, approve=approve)
