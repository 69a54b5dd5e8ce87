from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import CARD, SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.errors import BuildFailed, OpsError, SpaceConfigError, TimedOut, Unhealthy
from ops.watch import Patience, wait_until_running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

QUICK = Patience(limit=20, poll=0.05, settle=0.2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with an empty Space."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        yield world


def wait(world: World, commit: str, patience: Patience = QUICK) -> list[str]:
    """Wait; what was said."""
    said: list[str] = []
    wait_until_running(
        Hub(world.hub.endpoint, WRITE), SPACE, commit, say=said.append, patience=patience
    )
    return said


def test_ready_is_the_commit_not_the_stage(world: World) -> None:
    """While the version before runs it is not ready, whatever the stage says."""
    world.push({"VERSION": b"1"})
    world.wait_for_stage("RUNNING")
    commit = world.push({"VERSION": b"2", "SLOW_BUILD": b"10"})
    said = wait(world, commit)
    assert any("RUNNING_BUILDING" in line for line in said)
    assert said[-1].endswith(f"RUNNING {commit[:8]}")


def test_each_stage_is_said_once(world: World) -> None:
    """Progress is a line for each change, not for each look."""
    said = wait(world, world.push({"SLOW_BUILD": b"20"}))
    assert len(said) == len({line.split("s  ")[1] for line in said})


@pytest.mark.parametrize(
    ("files", "error", "exit_code"),
    [
        ({"FAIL_BUILD": b"x"}, BuildFailed, 4),
        ({"CRASH": b"x"}, Unhealthy, 6),
        ({"README.md": CARD.replace(b"docker", b"static")}, SpaceConfigError, 5),
    ],
)
def test_an_error_stage_ends_the_wait(
    world: World, files: dict[str, bytes], error: type[OpsError], exit_code: int
) -> None:
    """What cannot get better by waiting is reported at once, each with its exit code."""
    with pytest.raises(error) as caught:
        wait(world, world.push(files))
    assert caught.value.exit_code == exit_code


def test_a_paused_space_is_started(world: World) -> None:
    """A deploy to a paused Space wakes it."""
    commit = world.push({})
    world.wait_for_stage("RUNNING")
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    assert any("starting it" in line for line in wait(world, commit))


def test_patience_ends(world: World) -> None:
    """A build that takes for ever is exit code 7, with the stage it was in."""
    commit = world.push({"SLOW_BUILD": b"2000"})
    with pytest.raises(TimedOut, match="BUILDING") as caught:
        wait(world, commit, Patience(limit=0.5, poll=0.05))
    assert caught.value.exit_code == 7
