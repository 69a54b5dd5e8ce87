from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.embedding_server import embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.errors import ConfigError, Exit
from ops.probe import Access
from ops.status import Status, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub whose Spaces are small embedding servers."""
    with hub_world(tmp_path / "hub", FakeRunner(lambda _: embedding_app())) as world:
        yield world


def look(world: World, name: str = SPACE) -> Status:
    """The status as the owner sees it."""
    return status(Hub(world.hub.endpoint, WRITE), name, Access(hub_token=WRITE))


def test_a_running_space_is_asked_itself(world: World) -> None:
    """It is fine when the newest commit runs and answers; a name without an owner is enough."""
    world.create()
    commit = world.push({})
    world.wait_for_stage("RUNNING")
    found = look(world, "app")
    assert (found.stage, found.healthy, found.exit_code) == ("RUNNING", True, Exit.DONE)
    assert found.running_commit == found.newest_commit == commit


def test_each_state_has_its_exit_code(world: World) -> None:
    """Paused, failed and unfinished Spaces are told apart by scripts."""
    world.create()
    world.wait_for_stage("NO_APP_FILE")
    assert look(world).exit_code == Exit.SPACE_CONFIG
    world.push({"FAIL_BUILD": b"x"})
    world.wait_for_stage("BUILD_ERROR")
    assert look(world).exit_code == Exit.BUILD
    world.push({}, delete=("FAIL_BUILD",))
    world.wait_for_stage("RUNNING")
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    assert look(world).exit_code == Exit.NOT_RUNNING


def test_no_such_space(world: World) -> None:
    """What is not there is said so, with the command that makes it."""
    with pytest.raises(ConfigError, match="no Space me/none") as caught:
        look(world, "me/none")
    assert "ops deploy" in str(caught.value.next_step)
