from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.errors import ConfigError
from ops.pause import pause

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with a Space that runs."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world


def test_it_stops_once(world: World) -> None:
    """It is paused, and a second time has nothing to do."""
    hub = Hub(world.hub.endpoint, WRITE)
    done = pause(hub, "app", say=print)
    assert (done.stage, done.stage_after, done.paused) == ("RUNNING", "PAUSED", True)
    world.hub.faults.mark()
    assert not pause(hub, SPACE, say=print).paused
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}


def test_a_dry_run_touches_nothing(world: World) -> None:
    """It says what a pause means, and the Space goes on."""
    said: list[str] = []
    done = pause(Hub(world.hub.endpoint, WRITE), SPACE, say=said.append, dry_run=True)
    assert not done.paused
    assert "answers nobody" in said[0]
    assert world.api.get_space_runtime(SPACE).stage == "RUNNING"


def test_no_such_space(world: World) -> None:
    """What is not there is said so."""
    with pytest.raises(ConfigError, match="no Space me/none"):
        pause(Hub(world.hub.endpoint, WRITE), "me/none", say=print)
