from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hang_up import HangUp
from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.errors import ConfigError, HubUnreachable
from ops.hub.faults import Fault
from ops.logs import Reconnecting, follow, logs, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hub_world import World

    from ops.adapters.hf_log import LogLine
    from ops.runner import Image, Log

QUICK = Reconnecting(first_wait=0.05, longest_wait=0.1, limit=0.2)
RETRIES = Retries(tries=2, first_wait=0.05)
BURST = 40
NOW = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


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


def test_since_a_moment(world: World) -> None:
    """What is older is left out, followed or not; what was written at that moment is not."""
    whole = logs(hub(world), SPACE, build=True)
    middle = next(n for n, line in enumerate(whole) if line.text == "slow 5")
    since = whole[middle].time
    assert logs(hub(world), SPACE, build=True, since=since) == whole[middle:]
    assert logs(hub(world), SPACE, build=True, since=since, last=2) == whole[-2:]
    after = since + timedelta(days=1)
    assert logs(hub(world), SPACE, build=True, since=after) == []
    lines = follow(hub(world), SPACE, say=print, build=True, since=since)
    assert list(islice(lines, 3)) == whole[middle : middle + 3]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("1d", NOW - timedelta(days=1)),
        ("2026-11-28T05:40Z", datetime(2026, 11, 28, 5, 40, tzinfo=UTC)),
        ("2026-11-28T05:40:30+02:00", datetime(2026, 11, 28, 3, 40, 30, tzinfo=UTC)),
        ("2026-07-01 05:40", datetime(2026, 7, 1, 5, 40).astimezone()),
    ],
)
def test_moments(text: str, wanted: datetime) -> None:
    """How long ago, or ISO 8601; without a zone it is this machine's time of that day."""
    assert moment(text, NOW) == wanted
    assert moment(text, NOW).tzinfo is not None


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "1.5h", "1w", "yesterday", "9" * 20 + "d"])
def test_no_moment(text: str) -> None:
    """Anything else is refused, never guessed."""
    with pytest.raises((ValueError, OverflowError)):
        moment(text, NOW)


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


def test_another_thread_hangs_up(world: World) -> None:
    """Following ends at once, though no line comes, and without an error."""
    hang_up = HangUp()
    lines = follow(hub(world), SPACE, say=print, build=True, last=1, hang_up=hang_up)
    next(lines)
    more: list[LogLine] = []
    reader = Thread(target=lambda: more.extend(lines), daemon=True)
    reader.start()
    reader.join(0.3)
    assert reader.is_alive()
    hang_up()
    reader.join(5)
    assert not reader.is_alive()
    assert more == []


def test_hung_up_before_it_began(world: World) -> None:
    """Whoever had enough before the connection was made is not called back."""
    hang_up = HangUp()
    hang_up()
    assert list(follow(hub(world), SPACE, say=print, hang_up=hang_up)) == []


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
