from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest
from fakes.runner import FakeRunner
from hub_world import WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.errors import ConfigError
from ops.open_space import addresses

if TYPE_CHECKING:
    from pathlib import Path


def test_both_addresses_lead_there(tmp_path: Path) -> None:
    """The page is the Hub's own, the app another origin; a Space that is missing is said so."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        hub = Hub(world.hub.endpoint, WRITE)
        world.api.update_repo_settings("me/app", repo_type="space", visibility="public")
        found = addresses(hub, "app")
        assert found.page == f"{world.hub.endpoint}/spaces/me/app"
        assert found.app == world.url()
        for url in (found.page, found.app):
            assert httpx2.get(url).status_code == 200
        with pytest.raises(ConfigError, match="no Space me/none"):
            addresses(hub, "me/none")
