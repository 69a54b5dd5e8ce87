from __future__ import annotations

from typing import TYPE_CHECKING

import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.hub import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World

OPEN = {"X-HF-Authorization": f"Bearer {WRITE}"}
BROWSER = OPEN | {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space that has built once."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world


def bring_to(world: World, stage: str) -> None:
    """Have the Space in that stage for a while."""
    world.hub.faults.clear()
    world.api.pause_space(SPACE)
    if stage == "PAUSED":
        return
    faults = {
        "BUILDING": Fault("slow-build", seconds=60),
        "APP_STARTING": Fault("hang-start"),
        "BUILD_ERROR": Fault("fail-build"),
    }
    world.hub.faults.add(faults[stage])
    world.api.restart_space(SPACE, factory_reboot=True)
    world.wait_for_stage(stage)


@pytest.mark.parametrize(
    ("stage", "reloads"),
    [("PAUSED", False), ("BUILDING", True), ("APP_STARTING", True), ("BUILD_ERROR", False)],
)
def test_a_space_that_does_not_serve(world: World, stage: str, *, reloads: bool) -> None:
    """It is a 503 with its stage, a page for browsers, which come again while it passes."""
    bring_to(world, stage)
    plain = loopback.get(world.url(), headers=OPEN)
    page = loopback.get(f"{world.url()}/any/path", headers=BROWSER)
    for reply, kind in ((plain, "text/plain"), (page, "text/html")):
        assert reply.status_code == 503
        assert reply.headers["x-space-stage"] == stage
        assert reply.headers["content-type"].startswith(kind)
        assert stage in reply.text
    assert ("refresh" in page.text) == reloads
    assert loopback.head(world.url(), headers=OPEN).status_code == 503


def test_a_stage_is_not_for_strangers(world: World) -> None:
    """A private Space that does not serve is a 404 as before."""
    bring_to(world, "PAUSED")
    reply = loopback.get(world.url(), headers={"Accept": "text/html"})
    assert reply.status_code == 404
    assert "PAUSED" not in reply.text
    assert "x-space-stage" not in reply.headers


def test_no_websockets(world: World) -> None:
    """A connection that is to become another one is a 501, which says what is missing."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    reply = loopback.get(world.url(), headers=OPEN | upgrade | {"Sec-WebSocket-Key": "x" * 24})
    assert reply.status_code == 501
    assert "WebSockets" in reply.text
