from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hub_world import SPACE

from ops.hub import Fault

if TYPE_CHECKING:
    from hub_world import World


@pytest.mark.parametrize(("step", "lines"), [(0, 0), (2, 2), (99, 4)])
def test_a_build_can_be_failed(world: World, step: int, lines: int) -> None:
    """It fails after so many lines, at its end where there are fewer, and once."""
    world.hub.faults.add(Fault("fail-build", step=step, repo_id=SPACE))
    world.create()
    world.push({"SLOW_BUILD": b"3"})
    raw = world.wait_for_stage("BUILD_ERROR")
    assert "fail-build" in str(raw["errorMessage"])
    told = list(world.api.fetch_space_logs(SPACE, build=True))
    assert len(told) == 1 + lines + 1  # between "queued" and the error
    assert "ERROR" in told[-1]
    world.api.restart_space(SPACE)
    world.wait_for_stage("RUNNING")


def test_a_slow_build_gives_way(world: World) -> None:
    """It takes its time before anything is built, and ends when something newer is pushed."""
    world.create()
    world.hub.faults.add(Fault("slow-build", seconds=3600))
    world.push({"VERSION": b"1"})
    world.wait_for_stage("BUILDING")
    newest = world.push({"VERSION": b"2"})
    assert world.wait_for_stage("RUNNING")["sha"] == newest
    assert len(world.runner.build_args) == 1


def test_another_spaces_fault_is_not_its_own(world: World) -> None:
    """A fault that names a repository leaves others alone."""
    world.hub.faults.add(Fault("fail-build", repo_id="me/other"))
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
