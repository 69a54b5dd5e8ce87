"""Finds the Space that space.toml names, or says that it is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.errors import ConfigError

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub, SpaceState


def find_space(hub: Hub, repo_id: str) -> SpaceState:
    """The Space; a name without an owner is one of the token's own.

    Raises:
        ConfigError: there is no such Space.
    """
    name = hub.full_name(repo_id)
    space = hub.space(name)
    if space is None:
        raise ConfigError(
            f"There is no Space {name} on {hub.endpoint}, or this token may not see it.",
            next_step="ops deploy creates it.",
        )
    return space
