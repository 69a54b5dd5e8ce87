from __future__ import annotations

import json
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import httpx2
import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import READ, SPACE, WRITE, hub_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World

BUILD = "===== Build Queued =====", "Building embedding-space-hub/me/app:latest"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space that runs."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world


@contextmanager
def stream(world: World, path: str, token: str = WRITE) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a stream."""
    url = f"{world.hub.endpoint}/api/spaces/{SPACE}/{path}"
    headers = {"Authorization": f"Bearer {token}"}
    with loopback.stream("GET", url, headers=headers, timeout=20) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in reply.iter_lines() if line.startswith("data: {"))
        yield (json.loads(line.removeprefix("data: ")) for line in lines)


def told(events: Iterator[dict[str, Any]], count: int) -> list[str]:
    """The next lines of a log, without the marker of its end so far."""
    texts = (event["data"].rstrip("\n") for event in events)
    return list(islice((text for text in texts if text), count))


def test_who_does_not_follow_waits_for_nothing(world: World) -> None:
    """The client has all lines so far at once, rather than when its read times out."""
    before = time.monotonic()
    lines = list(world.api.fetch_space_logs(SPACE))
    assert lines == ["===== Application Startup =====\n", "Listening on 7860\n"]
    assert "Building" in "".join(world.api.fetch_space_logs(SPACE, build=True))
    assert time.monotonic() - before < 5, "the client's read timed out"


def test_a_clock_that_was_put_back_hides_no_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines from before, dated an hour ahead by now, are part of the log so far."""
    world.api.create_repo("me/late", repo_type="space", space_sdk="docker")
    state = world.hub._state
    log = state.space(state.store.find("spaces", "me", "late")).run_log
    assert list(world.api.fetch_space_logs("me/late")) == []
    ahead = time.time() + 3600
    with monkeypatch.context() as clock:
        clock.setattr("time.time", lambda: ahead)
        log.write("before")
    log.write("after")
    assert list(world.api.fetch_space_logs("me/late")) == ["before\n", "after\n"]
    world.api.delete_repo("me/late", repo_type="space")


@pytest.mark.parametrize(("tail", "expected"), [(0, 0), (1, 1), (2, 2), (99, 2)])
def test_a_tail_is_so_many_lines(world: World, tail: int, expected: int) -> None:
    """Only the newest lines come, and then what is new."""
    with stream(world, f"logs/run?tail={tail}") as events:
        lines = []
        for event in events:
            if not event["data"]:
                break
            lines.append(event["data"])
    assert len(lines) == expected
    assert not lines or lines[-1] == "Listening on 7860\n"


@pytest.mark.parametrize("path", ["logs/run", "logs/build", "events"])
def test_a_head_request_ends(world: World, path: str) -> None:
    """It has the stream's headers, and the next request on its connection is answered."""
    headers = {"Authorization": f"Bearer {WRITE}"}
    url = f"{world.hub.endpoint}/api/spaces/{SPACE}"
    limits = httpx2.Limits(max_connections=1)
    with httpx2.Client(headers=headers, limits=limits, timeout=20) as http:
        reply = http.head(f"{url}/{path}")
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert "content-length" not in reply.headers
        assert http.get(f"{url}/runtime").status_code == 200


@pytest.mark.parametrize("tail", ["-1", "x", "1.5", "²", ""])
def test_a_tail_that_is_none(world: World, tail: str) -> None:
    """It is refused (400)."""
    reply = loopback.get(
        f"{world.hub.endpoint}/api/spaces/{SPACE}/logs/run?tail={tail}",
        headers={"Authorization": f"Bearer {WRITE}"},
    )
    assert reply.status_code == 400


def test_following_goes_on_with_the_next_build(world: World) -> None:
    """Whoever follows sees the lines of a build that begins later."""
    with stream(world, "logs/build") as events:
        first = told(events, 2)
        assert [first[0][:24], first[1]] == list(BUILD)
        world.api.restart_space(SPACE, factory_reboot=True)
        again = told(events, 2)
        assert [again[0][:24], again[1]] == list(BUILD)
    world.wait_for_stage("RUNNING")


def test_events_tell_each_change(world: World) -> None:
    """The runtime comes at once and whenever it changes, also to who may only read."""
    with stream(world, "events", READ) as events:
        assert next(events) == world.api.get_space_runtime(SPACE).raw
        world.api.pause_space(SPACE)
        assert next(event for event in events if event["stage"] == "PAUSED")
        world.api.restart_space(SPACE)
        assert next(event for event in events if event["stage"] == "RUNNING")["sha"]


def test_events_end_with_the_repository(world: World) -> None:
    """The stream is closed as one that is over, not broken off, whoever deleted it."""
    world.api.create_repo("me/gone", repo_type="space", space_sdk="docker")
    folder = world.hub.data / "spaces" / "me" / "gone"
    url = f"{world.hub.endpoint}/api/spaces/me/gone/events"
    with loopback.stream("GET", url, headers={"Authorization": f"Bearer {WRITE}"}) as reply:
        lines = reply.iter_lines()
        assert next(lines).startswith("data: {")
        folder.rename(folder.with_name("elsewhere"))
        assert all(line.startswith("data:") or not line for line in lines)
    folder.with_name("elsewhere").rename(folder)
    world.api.delete_repo("me/gone", repo_type="space")
