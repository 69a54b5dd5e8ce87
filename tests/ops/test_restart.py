from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.embedding_server import embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.errors import ConfigError, NotAllowed
from ops.restart import restart
from ops.watch import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

    from ops.restart import Restarted

QUICK = Patience(limit=20, poll=0.05, settle=0.2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with a Space that runs."""
    with hub_world(tmp_path / "hub", FakeRunner(lambda _: embedding_app())) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world


def restarted(world: World, **options: bool) -> Restarted:
    """Restart it as its owner."""
    hub = Hub(world.hub.endpoint, WRITE)
    return restart(hub, SPACE, say=print, patience=QUICK, **options)


def test_it_is_waited_for(world: World) -> None:
    """When it returns, another process answers than before; nothing was built again."""
    done = restarted(world)
    assert done.restarted
    assert done.seconds is not None
    assert len(world.runner.started) == 2
    assert len(world.runner.build_args) == 1
    assert world.api.get_space_runtime(SPACE).stage == "RUNNING"


def test_factory_builds_again(world: World) -> None:
    """What was built before is not used."""
    restarted(world, factory=True)
    assert len(world.runner.build_args) == 2


def test_it_need_not_be_waited_for(world: World) -> None:
    """The restart is ordered, and that is all."""
    world.push({"SLOW_BUILD": b"40"})
    done = restarted(world, wait=False)
    assert (done.restarted, done.seconds) == (True, None)
    assert world.api.get_space_runtime(SPACE).stage == "RUNNING_BUILDING"


def test_a_paused_space_is_started(world: World) -> None:
    """As the Hub has it, a restart is what ends a pause."""
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    assert restarted(world).stage == "PAUSED"
    assert world.api.get_space_runtime(SPACE).stage == "RUNNING"


def test_a_dry_run_touches_nothing(world: World) -> None:
    """Only looks."""
    world.hub.faults.mark()
    assert not restarted(world, factory=True, dry_run=True).restarted
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}
    assert len(world.runner.started) == 1


def test_somebody_elses_space(world: World) -> None:
    """One that is not there is exit code 2; one that is not theirs to restart, 9."""
    with pytest.raises(ConfigError, match="no Space me/none"):
        restart(Hub(world.hub.endpoint, WRITE), "me/none", say=print)
    world.api.update_repo_settings(SPACE, repo_type="space", visibility="public")
    with pytest.raises(NotAllowed):
        restart(Hub(world.hub.endpoint, "hf_other"), SPACE, say=print, patience=QUICK)
