"""Pins the model to the commit that its revision names now, so that a build can be repeated.

What is rendered then decides the image: a cache of builds cannot serve a model of yesterday.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub
    from ops.config import Config


def pinned(config: Config, hub: Hub) -> Config:
    """The config with its model's commit; raises ConfigError when the Hub has no such model."""
    commit = hub.model_commit(config.model.id, config.model.revision)
    return config.model_copy(update={"model": config.model.model_copy(update={"revision": commit})})
