from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.embedding_server import embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.errors import ConfigError, Unhealthy
from ops.wake import wake
from ops.watch import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

    from ops.wake import Woken

QUICK = Patience(limit=20, poll=0.05, settle=0.2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with a Space that runs."""
    with hub_world(tmp_path / "hub", FakeRunner(lambda _: embedding_app())) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world


def woken(world: World, *, dry_run: bool = False) -> tuple[Woken, list[str]]:
    """Wake it; what was said."""
    said: list[str] = []
    hub = Hub(world.hub.endpoint, WRITE)
    return wake(hub, "app", say=said.append, dry_run=dry_run, patience=QUICK), said


def test_a_paused_space_runs_and_answers(world: World) -> None:
    """It runs the newest commit, also one that was pushed while it was paused."""
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    commit = world.push({"VERSION": b"2"})
    done, said = woken(world)
    assert (done.repo_id, done.stage, done.started, done.commit) == (SPACE, "PAUSED", True, commit)
    runtime = world.api.get_space_runtime(SPACE).raw
    assert (runtime["stage"], runtime["sha"]) == ("RUNNING", commit)
    assert any("starting it" in line for line in said)


def test_one_that_runs_is_left_alone(world: World) -> None:
    """Nothing is written; the wait still proves that it answers."""
    world.hub.faults.mark()
    done, _ = woken(world)
    assert (done.started, done.seconds is None) == (False, False)
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}


def test_a_dry_run_starts_nothing(world: World) -> None:
    """It says what it is, and leaves it so."""
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    done, said = woken(world, dry_run=True)
    assert (done.started, done.seconds) == (False, None)
    assert "PAUSED" in said[0]
    assert world.api.get_space_runtime(SPACE).stage == "PAUSED"


def test_one_that_fails_is_an_error(world: World) -> None:
    """A version that dies when it is started is exit code 6, with its log."""
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    world.push({"CRASH": b"no memory"})
    with pytest.raises(Unhealthy) as caught:
        woken(world)
    assert caught.value.exit_code == 6
    assert "no memory" in caught.value.log_tail


def test_no_such_space(world: World) -> None:
    """What is not there is said so."""
    with pytest.raises(ConfigError, match="no Space me/none"):
        wake(Hub(world.hub.endpoint, WRITE), "me/none", say=print)
