from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from fakes.embedding_server import embedding_app
from fakes.runner import FakeRunner
from hub_world import READ, SPACE, WRITE, hub_world
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ops.adapters.hf_hub import Hub
from ops.canaries import Canaries
from ops.errors import ConfigError, Exit
from ops.logs import logs
from ops.releases import Record, Settings, keep
from ops.status import Status, hours_this_month, status, statuses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World
    from starlette.requests import Request

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub whose Spaces are small embedding servers."""
    with hub_world(tmp_path / "hub", FakeRunner(lambda _: embedding_app())) as world:
        yield world


def look(world: World, name: str = SPACE) -> Status:
    """The status as the owner sees it."""
    return status(Hub(world.hub.endpoint, WRITE), name)


def test_a_running_space_is_asked_itself(world: World) -> None:
    """It is fine when the newest commit runs and answers; a name without an owner is enough."""
    world.create()
    commit = world.push({})
    world.wait_for_stage("RUNNING")
    found = look(world, "app")
    assert (found.stage, found.healthy, found.exit_code) == ("RUNNING", True, Exit.DONE)
    assert found.running_commit == found.newest_commit == commit


def test_each_state_has_its_exit_code(world: World) -> None:
    """Paused, failed and unfinished Spaces are told apart by scripts."""
    world.create()
    world.wait_for_stage("NO_APP_FILE")
    assert look(world).exit_code == Exit.SPACE_CONFIG
    world.push({"FAIL_BUILD": b"x"})
    world.wait_for_stage("BUILD_ERROR")
    assert look(world).exit_code == Exit.BUILD
    world.push({}, delete=("FAIL_BUILD",))
    world.wait_for_stage("RUNNING")
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    assert look(world).exit_code == Exit.NOT_RUNNING


def test_it_says_what_it_costs_and_when_it_sleeps(world: World) -> None:
    """The price is that of its hardware, by the Hub's own list; an idle Space shows that it is."""
    world.create(space_hardware="cpu-upgrade", space_sleep_time=3600)
    world.push({})
    world.wait_for_stage("RUNNING")
    found = look(world)
    assert (found.hardware, found.sleep_time, found.idle) == ("cpu-upgrade", 3600, False)
    assert found.cost_per_hour == pytest.approx(0.03)
    assert found.cost_per_month == pytest.approx(0.03 * 730)
    first = next(iter(logs(Hub(world.hub.endpoint, WRITE), SPACE)))
    assert found.running_since == first.time.isoformat()
    assert found.cost_this_month == pytest.approx(0, abs=0.03)
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    found = look(world)
    assert found.idle
    assert (found.healthy, found.latency_ms) == (None, None)
    assert (found.running_since, found.cost_this_month) == (None, None)


@pytest.mark.parametrize(
    ("since", "hours"),
    [
        (datetime(2026, 11, 28, 4, 30, tzinfo=UTC), 1.5),
        (datetime(2026, 11, 1, tzinfo=UTC), 27 * 24 + 6),
        (datetime(2026, 10, 9, tzinfo=UTC), 27 * 24 + 6),
        (datetime(2026, 11, 1, 1, tzinfo=timezone(timedelta(hours=2))), 27 * 24 + 6),
        (datetime(2026, 11, 28, 6, 5, tzinfo=UTC), 0),
    ],
    ids=["today", "all month", "since last month", "in another zone", "its clock is ahead"],
)
def test_hours_of_this_month(since: datetime, hours: float) -> None:
    """What ran before the month, in UTC, is not this month's; time never runs backwards."""
    assert hours_this_month(since, NOW) == hours


def test_a_start_is_looked_up_once(world: World) -> None:
    """The log is read once for each time that it starts, and never where nothing is paid."""
    world.create(space_hardware="cpu-upgrade")
    world.push({})
    world.wait_for_stage("RUNNING")
    found = statuses(Hub(world.hub.endpoint, WRITE), SPACE, every=0.01)
    first = next(found).running_since
    assert first is not None
    world.hub.faults.mark()
    assert next(found).running_since == first
    assert not asked_for_logs(world)
    world.api.pause_space(SPACE)
    assert next(found).running_since is None
    world.api.restart_space(SPACE)
    world.wait_for_stage("RUNNING")
    second = next(found).running_since
    assert second is not None
    assert second > first
    commit = world.push({"VERSION": b"2"})
    world.wait(lambda raw: raw["stage"] == "RUNNING" and raw["sha"] == commit)
    assert (next(found).running_since or "") > second
    world.api.request_space_hardware(SPACE, "cpu-basic")
    world.wait(lambda raw: raw["stage"] == "RUNNING" and raw["hardware"]["current"] == "cpu-basic")
    world.hub.faults.mark()
    assert next(found).running_since is None
    assert not asked_for_logs(world)


def test_a_token_that_may_only_read(world: World) -> None:
    """It sees the status, but no log, so not since when it costs."""
    world.create(space_hardware="cpu-upgrade")
    world.push({})
    world.wait_for_stage("RUNNING")
    found = status(Hub(world.hub.endpoint, READ), SPACE)
    assert (found.exit_code, found.cost_per_hour) == (Exit.DONE, pytest.approx(0.03))
    assert (found.running_since, found.cost_this_month) == (None, None)


def asked_for_logs(world: World) -> bool:
    """Whether any was read."""
    return any("/logs/" in seen.path for seen in world.hub.faults.seen)


def test_the_last_release_is_not_always_what_is_wanted(world: World) -> None:
    """The release of the highest number, with its commit, beside the newest commit."""
    world.create()
    world.wait_for_stage("NO_APP_FILE")
    assert (look(world).release, look(world).cost_per_hour) == (None, 0)
    first = world.push({})
    for name in ("release-9", "release-10", "v2"):
        world.api.create_tag(SPACE, tag=name, revision=first, repo_type="space")
    second = world.push({"VERSION": b"2"})
    found = look(world)
    assert (found.release, found.release_commit) == ("release-10", first)
    assert (found.newest_commit, found.release_time) == (second, None)


def test_a_release_has_its_time(world: World) -> None:
    """That of its record, which whoever watches reads once for each release."""
    world.create()
    commit = world.push({})
    hub = Hub(world.hub.endpoint, WRITE)
    found = statuses(hub, SPACE, every=0.01)
    assert next(found).release is None
    for number in (1, 2):
        record = Record(
            number=number,
            commit=commit,
            time=NOW + timedelta(days=number),
            toolkit="0",
            toolkit_commit=None,
            model="some/model",
            revision="main",
            fingerprint="f",
            p50_ms=None,
            settings=Settings(
                visibility="private", hardware=None, sleep_time=None, variables={}, secrets={}
            ),
        )
        keep(hub, SPACE, record, Canaries(fingerprint="f", vectors=()))
        assert next(found).release_time == record.time.isoformat()
        world.hub.faults.mark()
        assert next(found).release_time == record.time.isoformat()
        assert not any("releases.jsonl" in seen.path for seen in world.hub.faults.seen)


def test_a_probe_is_timed(world: World) -> None:
    """What answers has a latency, be it healthy or not; what does not answer has none."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    assert (look(world).latency_ms or 0) > 0
    world.runner.started[-1].stop()
    gone = look(world)
    assert not gone.healthy


def test_a_public_space_is_asked_without_the_token(tmp_path: Path) -> None:
    """Its app may be anybody's, and one without /livez would have got it in Authorization."""
    given: list[str | None] = []

    async def refuse(request: Request) -> Response:
        given.append(request.headers.get("authorization"))
        return Response(status_code=404)

    app = Starlette(routes=[Route("/{path:path}", refuse)])
    with hub_world(tmp_path / "hub", FakeRunner(lambda _: app)) as world:
        world.create()
        world.api.update_repo_settings(SPACE, repo_type="space", visibility="public")
        world.push({})
        world.wait_for_stage("RUNNING")
        assert look(world).healthy is False
    assert set(given) == {None}


def test_looking_again_asks_for_less(world: World) -> None:
    """Prices and the owner's name are asked for once, however long somebody watches."""
    world.create()
    world.wait_for_stage("NO_APP_FILE")
    found = statuses(Hub(world.hub.endpoint, WRITE), "app", every=0.01)
    assert next(found).stage == "NO_APP_FILE"
    world.hub.faults.mark()
    assert next(found).repo_id == SPACE
    asked = {seen.path for seen in world.hub.faults.seen}
    assert not asked & {"/api/whoami-v2", "/api/spaces/hardware"}
    world.api.delete_repo(SPACE, repo_type="space")
    with pytest.raises(ConfigError, match="no Space"):
        next(found)


def test_no_such_space(world: World) -> None:
    """What is not there is said so, with the command that makes it."""
    with pytest.raises(ConfigError, match="no Space me/none") as caught:
        look(world, "me/none")
    assert "ops deploy" in str(caught.value.next_step)
