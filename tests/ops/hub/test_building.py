from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import CARD, SPACE, hub_world
from huggingface_hub import CommitOperationAdd

from ops.hub import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hub_world import World

    from ops.runner import Image, Log


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


@dataclass
class SilentRunner(FakeRunner):
    """Its first build says nothing until it may go on."""

    goes_on: threading.Event = field(default_factory=threading.Event)

    def build(self, tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> Image:
        if (tree / "SILENT").exists():
            self.goes_on.wait(60)
        return super().build(tree, tag=tag, build_args=build_args, log=log)


def test_nobody_waits_for_a_silent_build(tmp_path: Path) -> None:
    """What is newer is built at once, and a Hub ends at once; the old build ends when it speaks."""
    runner = SilentRunner()
    with hub_world(tmp_path, runner) as world:
        world.create()
        world.push({"SILENT": b"x"})
        world.wait_for_stage("BUILDING")
        newest = world.push({}, delete=("SILENT",))
        assert world.wait_for_stage("RUNNING")["sha"] == newest
        world.push({"SILENT": b"x"})
        world.wait_for_stage("RUNNING_BUILDING")
    assert not runner.goes_on.is_set()
    runner.goes_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("build of "):
            thread.join(20)
    assert len(runner.started) == 1


@pytest.mark.parametrize("name", ["A_._b__", "a-_-b", "___"])
def test_every_name_has_a_tag(world: World, name: str) -> None:
    """The Hub knows names that are none to an engine (distribution/reference, regexp.go)."""
    world.create()
    world.api.create_repo(f"me/{name}", repo_type="space", space_sdk="docker")
    world.api.create_commit(
        f"me/{name}",
        [CommitOperationAdd("README.md", CARD), CommitOperationAdd("Dockerfile", b"FROM x\n")],
        commit_message="change",
        repo_type="space",
    )
    world.wait(lambda _: world.api.get_space_runtime(f"me/{name}").stage == "RUNNING")
    part = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
    said = list(world.api.fetch_space_logs(f"me/{name}", build=True))[-1]
    assert re.fullmatch(f"Building {part}/{part}/{part}:latest\n", said)


def test_another_spaces_fault_is_not_its_own(world: World) -> None:
    """A fault that names a repository leaves others alone."""
    world.hub.faults.add(Fault("fail-build", repo_id="me/other"))
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
