from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.runner import FakeRunner
from hub_world import WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.config import Config
from ops.pin import pinned
from ops.render import render

if TYPE_CHECKING:
    from pathlib import Path


def test_the_revision_becomes_the_commit_it_names(tmp_path: Path) -> None:
    """What is rendered names a commit, so a changed model is a changed tree; nothing else moves."""
    model = tmp_path / "model"
    model.mkdir()
    config = Config.model_validate({"space": {"repo_id": "app"}, "model": {"id": "org/model"}})
    trees = []
    for version in ("1", "2"):
        (model / "config.json").write_text(version)
        with hub_world(tmp_path / version, FakeRunner(), mirrors={"org/model": model}) as world:
            hub = Hub(world.hub.endpoint, WRITE)
            fixed = pinned(config, hub)
            assert fixed.model.revision == world.api.model_info("org/model").sha
        trees.append(render(fixed))
    changed = {path for path in trees[0] if trees[0][path] != trees[1][path]}
    assert changed == {"model.toml"}
