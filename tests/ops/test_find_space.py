from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import OTHER, SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.errors import ConfigError
from ops.find_space import find_space

if TYPE_CHECKING:
    from pathlib import Path


def test_a_name_alone_is_ones_own(tmp_path: Path) -> None:
    """The owner is the token's; what the token may not see is not there, and says what to do."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        assert find_space(Hub(world.hub.endpoint, WRITE), "app").repo_id == SPACE
        stranger = Hub(world.hub.endpoint, OTHER)
        for name, shown in (("app", "other/app"), (SPACE, SPACE)):
            with pytest.raises(ConfigError, match=f"no Space {shown}") as caught:
                find_space(stranger, name)
            assert "ops deploy" in str(caught.value.next_step)
