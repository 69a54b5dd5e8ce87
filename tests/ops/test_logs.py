from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.errors import ConfigError, HubUnreachable
from ops.hub.faults import Fault
from ops.logs import Reconnecting, follow, logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hub_world import World

    from ops.runner import Image, Log

QUICK = Reconnecting(first_wait=0.05, longest_wait=0.1, limit=0.2)
RETRIES = Retries(tries=2, first_wait=0.05)
BURST = 40


@dataclass
class Chatty(FakeRunner):
    """Writes many lines in the same millisecond, some of them alike, then a few slowly."""

    def build(self, tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> Image:
        for number in range(BURST):
            log(f"burst {number // 2}")
        for number in range(10):
            log(f"slow {number}")
            time.sleep(0.05)
        log("the end")
        return super().build(tree, tag=tag, build_args=build_args, log=log)


WRITTEN = [f"burst {n // 2}" for n in range(BURST)] + [f"slow {n}" for n in range(10)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space that is built and runs."""
    with hub_world(tmp_path_factory.mktemp("hub"), Chatty()) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """The shared Hub, without a fault that a test left."""
    yield shared
    shared.hub.faults.clear()


def hub(world: World) -> Hub:
    """The Hub as its owner sees it."""
    return Hub(world.hub.endpoint, WRITE, retries=RETRIES)


def followed(world: World, said: list[str], last: int | None = None) -> list[str]:
    """The build's lines after its head, until the last that the runner writes."""
    lines = follow(hub(world), SPACE, say=said.append, build=True, last=last, reconnecting=QUICK)
    texts = list(takewhile(lambda text: text != "the end", (line.text for line in lines)))
    return [text for text in texts if text.startswith(("burst", "slow"))]


def test_both_logs_as_they_are_now(world: World) -> None:
    """The build's and the app's are told apart, and reading ends by itself."""
    app = [line.text for line in logs(hub(world), SPACE)]
    assert app[-1] == "Listening on 7860"
    build = [line.text for line in logs(hub(world), SPACE, build=True)]
    assert [text for text in build if text.startswith(("burst", "slow"))] == WRITTEN


def test_the_last_lines(world: World) -> None:
    """As many as asked for, the newest ones."""
    whole = [line.text for line in logs(hub(world), SPACE, build=True)]
    assert [line.text for line in logs(hub(world), SPACE, build=True, last=3)] == whole[-3:]


def test_a_log_that_grows_is_not_waited_for(tmp_path: Path) -> None:
    """Without following, a build that is still at work is read as far as it has come."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        world.push({"SLOW_BUILD": b"100"})
        world.wait_for_stage("BUILDING")
        texts = [line.text for line in logs(hub(world), SPACE, build=True)]
    assert "step 99" not in texts


def test_what_comes_is_followed(world: World) -> None:
    """Lines that are written after the connection was made arrive too."""
    lines = follow(hub(world), SPACE, say=print, build=True, last=1, reconnecting=QUICK)
    first = next(lines)
    world.api.restart_space(SPACE, factory_reboot=True)
    fresh = list(takewhile(lambda line: line.text != "the end", lines))
    assert [x.text for x in fresh if x.text.startswith(("burst", "slow"))] == WRITTEN
    assert all(line.time >= first.time for line in fresh)


@pytest.mark.parametrize("after", [200, 1500, 3300])
def test_a_lost_connection_repeats_nothing(world: World, after: int) -> None:
    """Cut at its head, within the burst and among the slow lines, twice: each line comes once."""
    world.hub.faults.add(Fault("cut", path="*/logs/build", when="body", after=after, times=2))
    world.api.restart_space(SPACE, factory_reboot=True)
    world.wait_for_stage("RUNNING_BUILDING")
    said: list[str] = []
    # The log of the build before may still be the newest at first.
    assert followed(world, said)[-len(WRITTEN) :] == WRITTEN
    assert len(said) == 2
    world.wait_for_stage("RUNNING")


def test_a_lost_connection_after_the_last_lines(world: World) -> None:
    """With -n, what was left out at first is not brought by the new connection."""
    whole = [line.text for line in logs(hub(world), SPACE, build=True)]
    world.hub.faults.add(Fault("cut", path="*/logs/build", when="body", after=500))
    said: list[str] = []
    lines = follow(hub(world), SPACE, say=said.append, build=True, last=3, reconnecting=QUICK)
    assert [next(lines).text for _ in range(3)] == whole[-3:]
    world.api.restart_space(SPACE, factory_reboot=True)
    fresh = list(takewhile(lambda text: text != "the end", (line.text for line in lines)))
    assert "Build Queued" in fresh[0]
    assert fresh[-len(WRITTEN) :] == WRITTEN
    assert sum("Build Queued" in text for text in fresh) == len(said) == 1


def test_a_hub_that_stays_away_ends_it(tmp_path: Path) -> None:
    """Who follows is told in the end; a script does not hang for ever."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        said: list[str] = []
        lines = follow(hub(world), SPACE, say=said.append, reconnecting=QUICK)
        next(lines)
    with pytest.raises(HubUnreachable):
        list(lines)
    assert said


def test_a_space_that_is_removed_ends_it(tmp_path: Path) -> None:
    """Following a Space that is deleted says that it is not there."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        lines = follow(hub(world), SPACE, say=print, reconnecting=QUICK)
        next(lines)
        world.api.delete_repo(SPACE, repo_type="space")
        with pytest.raises(ConfigError, match=f"no Space {SPACE}"):
            list(lines)


def test_no_such_space(world: World) -> None:
    """What is not there is said so, with the command that makes it."""
    with pytest.raises(ConfigError, match="no Space me/none") as caught:
        logs(hub(world), "me/none")
    assert "ops deploy" in str(caught.value.next_step)
