from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.embedding_server import Fault, embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.answering import wait_until_answering
from ops.errors import TimedOut, Unhealthy
from ops.find_space import find_space
from ops.hub.faults import Fault as HubFault
from ops.watch import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hub_world import World
    from starlette.types import ASGIApp

QUICK = Patience(limit=20, poll=0.05, settle=0.2)


def app(files: Mapping[str, str]) -> ASGIApp:
    """A server that is sound, or that loads for ever."""
    return embedding_app(Fault.STILL_LOADING if "LOADING" in files else None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with an empty private Space."""
    with hub_world(tmp_path / "hub", FakeRunner(app)) as world:
        world.create()
        yield world


def wait(world: World, limit: float = 20) -> float:
    """Wait for the Space."""
    hub = Hub(world.hub.endpoint, WRITE)
    space = find_space(hub, SPACE)
    return wait_until_answering(hub, space, say=print, patience=QUICK, limit=limit)


def test_a_private_space_that_answers(world: World) -> None:
    """The token opens it."""
    world.push({})
    assert wait(world) > 0


def test_running_is_not_answering(world: World) -> None:
    """A server that the Hub takes for running and that is not healthy is waited for in vain."""
    world.push({"LOADING": b"x"})
    with pytest.raises(TimedOut, match="503"):
        wait(world, limit=0.5)


def test_one_that_dies_meanwhile_is_not_waited_for(world: World) -> None:
    """The Hub's word that it ended comes before the limit."""
    world.push({"LOADING": b"x"})
    world.wait_for_stage("RUNNING")
    world.hub.faults.add(HubFault("crash", repo_id=SPACE, after=3))
    with pytest.raises(Unhealthy, match="137"):
        wait(world)
