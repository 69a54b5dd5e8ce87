from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import httpx2
import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, hub_world
from starlette.responses import PlainTextResponse

from ops.hub.server import Served

if TYPE_CHECKING:
    from pathlib import Path


def test_it_ends_however_often_it_is_told() -> None:
    """Its port is free then; one that never began ends too."""
    served = Served()
    served.start(PlainTextResponse("here"))
    assert loopback.get(served.origin).text == "here"
    for tell in (served.end, served.end, served.stop, served.stop, served.end):
        tell()
    with pytest.raises(httpx2.ConnectError):
        loopback.get(served.origin)
    Served(int(served.origin.rpartition(":")[2])).stop()


def test_who_asks_for_a_websocket_is_answered_by_the_app(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As anybody else is, also where a library for WebSockets is installed; nothing is logged."""
    # What uvicorn takes when it finds such a library; nobody is to call it.
    monkeypatch.setattr("uvicorn.protocols.websockets.auto.AutoWebSocketsProtocol", object)
    served = Served()
    served.start(PlainTextResponse("here"))
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    try:
        assert loopback.get(served.origin, headers=upgrade).text == "here"
    finally:
        served.stop()
    assert not caplog.records


def test_all_spaces_end_at_the_same_time(tmp_path: Path) -> None:
    """Each app here waits in its end for the other one."""
    together = threading.Barrier(2)
    with hub_world(tmp_path, FakeRunner()) as world:
        world.create()
        world.push({})
        world.api.duplicate_repo(SPACE, "me/second", repo_type="space")
        world.wait(lambda _: world.api.get_space_runtime("me/second").stage == "RUNNING")
        world.wait_for_stage("RUNNING")
        for running in world.runner.started:
            running._stack.callback(together.wait, 20)
    assert not together.broken
