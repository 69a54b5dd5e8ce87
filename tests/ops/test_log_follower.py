from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.log_follower import LogFollower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


def follower(world: World, shown: list[str]) -> LogFollower:
    """One that adds what it shows to a list."""
    return LogFollower(Hub(world.hub.endpoint, WRITE), SPACE, shown.append)


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_listening(world: World, log: str) -> bool:
    """Whether the Hub was asked for this log, so that what is written from now on is told."""
    return any(seen.path.endswith(f"/logs/{log}") for seen in world.hub.faults.seen)


def test_what_comes_is_shown(world: World) -> None:
    """Of the log that it was turned to last; what that said already is not."""
    shown: list[str] = []
    with closing(follower(world, shown)) as log:
        log.turn_to(build=False)
        wait_for(lambda: is_listening(world, "run"))
        log.turn_to(build=True)
        wait_for(lambda: is_listening(world, "build"))
        commit = world.push({"SLOW_BUILD": b"5"})
        wait_for(lambda: "step 4" in shown)
    assert shown[0] == f"===== Build Queued =====  Commit SHA: {commit[:7]}"
    assert not any("Listening" in line for line in shown)


def test_turned_to_the_same_log_it_goes_on(world: World) -> None:
    """No line is lost by another connection."""
    shown: list[str] = []
    with closing(follower(world, shown)) as log:
        log.turn_to(build=True)
        thread = threading.enumerate()[-1]
        log.turn_to(build=True)
        assert threading.enumerate()[-1] is thread


def test_closed_it_shows_nothing(world: World) -> None:
    """Its thread has ended, though the log goes on."""
    shown: list[str] = []
    with closing(follower(world, shown)) as log:
        log.turn_to(build=True)
        wait_for(lambda: is_listening(world, "build"))
        world.push({"SLOW_BUILD": b"200"})
        wait_for(lambda: "step 1" in shown)
    known = len(shown)
    assert not any(thread.name == f"log of {SPACE}" for thread in threading.enumerate())
    time.sleep(0.3)
    assert len(shown) == known


def test_what_is_not_there_is_said(world: World) -> None:
    """As a line in the log's place; it raises nothing."""
    shown: list[str] = []
    with closing(LogFollower(Hub(world.hub.endpoint, WRITE), "me/none", shown.append)) as log:
        log.turn_to(build=True)
        wait_for(lambda: bool(shown))
    assert "no Space me/none" in shown[0]
