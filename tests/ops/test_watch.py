from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import CARD, SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.errors import BuildFailed, Conflict, OpsError, SpaceConfigError, TimedOut, Unhealthy
from ops.hub.faults import Fault
from ops.runner import CPU_BASIC
from ops.watch import Patience, wait_until_running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fakes.runner import FakeRunning
    from hub_world import World

    from ops.runner import Image, Limits, Log
    from ops.watch import Show


@dataclass
class Slow(FakeRunner):
    """Its apps take a while to start, and say so."""

    def start(
        self,
        image: Image,
        *,
        environment: Mapping[str, str],
        log: Log,
        limits: Limits = CPU_BASIC,
        app_port: int = 7860,
    ) -> FakeRunning:
        for part in range(30):
            log(f"loading {part}")
            time.sleep(0.05)
        return super().start(
            image, environment=environment, log=log, limits=limits, app_port=app_port
        )


@dataclass
class Seen:
    """A view that keeps what it is shown."""

    stages: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    is_open: bool = False

    @contextmanager
    def __call__(self) -> Iterator[Seen]:
        self.is_open = True
        try:
            yield self
        finally:
            self.is_open = False

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def log(self, line: str) -> None:
        assert self.is_open
        self.lines.append(line)


QUICK = Patience(limit=20, poll=0.05, settle=0.2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with an empty Space."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        yield world


def wait(
    world: World, commit: str, patience: Patience = QUICK, *, show: Show | None = None
) -> list[str]:
    """Wait; what was said."""
    said: list[str] = []
    hub = Hub(world.hub.endpoint, WRITE)
    wait_until_running(hub, SPACE, commit, say=said.append, patience=patience, show=show)
    return said


def followers() -> list[str]:
    """Threads that follow a log."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("log of")]


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


def test_the_log_is_seen_meanwhile(tmp_path: Path) -> None:
    """The build's while it builds, the app's while that starts; then nobody follows any more."""
    seen = Seen()
    with hub_world(tmp_path / "hub", Slow()) as world:
        world.create()
        wait(world, world.push({"SLOW_BUILD": b"30"}), show=seen)
        assert followers() == []
    assert seen.stages == [f"{SPACE} BUILDING", f"{SPACE} APP_STARTING"]
    lines = [line.split() for line in seen.lines]
    steps = [int(line[1]) for line in lines if line[0] == "step"]
    parts = [int(line[1]) for line in lines if line[0] == "loading"]
    for numbers in (steps, parts):
        assert len(numbers) > 1
        assert numbers == list(range(numbers[0], numbers[-1] + 1))


class Impatient(Seen):
    """Somebody who presses Ctrl-C at the first line of the log."""

    def log(self, line: str) -> None:
        super().log(line)
        if len(self.lines) == 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_nothing_is_seen_after_an_interruption(world: World) -> None:
    """Ctrl-C ends the view and its thread at once, whatever the build goes on to write."""
    seen = Impatient()
    commit = world.push({"SLOW_BUILD": b"200"})
    with pytest.raises(KeyboardInterrupt):
        wait(world, commit, show=seen)
    assert followers() == []
    assert not seen.is_open


def test_a_log_that_cannot_be_read_fails_nothing(world: World) -> None:
    """The wait goes on, and says in the log's place why there is none."""
    world.hub.faults.add(Fault("status", path="*/logs/*", status=403, times=None))
    seen = Seen()
    said = wait(world, world.push({"SLOW_BUILD": b"30"}), show=seen)
    assert "RUNNING" in said[-1]
    assert "403" in seen.lines[0]


def test_a_build_that_fails_ends_the_view(world: World) -> None:
    """The error comes with the log's tail, as without a view."""
    with pytest.raises(BuildFailed) as caught:
        wait(world, world.push({"FAIL_BUILD": b"x"}), show=Seen())
    assert caught.value.log_tail
    assert followers() == []


@pytest.mark.parametrize("theirs", [{"VERSION": b"2"}, {"FAIL_BUILD": b"x"}], ids=["good", "bad"])
def test_somebody_else_commits_meanwhile(world: World, theirs: dict[str, bytes]) -> None:
    """What never will run is not waited for, nor blamed for the failure of what came after it."""
    ours = world.push({"SLOW_BUILD": b"20"})
    other = world.push(theirs, delete=("SLOW_BUILD",))
    with pytest.raises(Conflict, match=f"{other[:8]} .* {ours[:8]}") as caught:
        wait(world, ours)
    assert caught.value.exit_code == 10
