from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import CARD, SPACE, WRITE, World, hub_world
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ops.hub import Fault, Rules
from ops.hub.errors import HubError
from ops.hub.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from ops.hub.store import Kind, Repo

WHERE: tuple[Kind, str, str] = ("spaces", "me", "app")
OPEN = {"X-HF-Authorization": f"Bearer {WRITE}"}


def shown(world: World) -> dict[str, object]:
    """What the running app says that it was given."""
    return dict(loopback.get(world.url(), headers=OPEN).json())


def test_a_push_is_built_and_run(world: World) -> None:
    """The newest commit runs, with the documented environment, variables and secrets."""
    world.create(
        space_secrets=[{"key": "S", "value": "hidden"}],
        space_variables=[{"key": "V", "value": "seen"}],
    )
    commit = world.push({"VERSION": b"1"})
    assert world.wait_for_stage("RUNNING")["sha"] == commit
    environment = shown(world)["environment"]
    assert isinstance(environment, dict)
    assert (environment["S"], environment["V"]) == ("hidden", "seen")
    assert environment["SPACE_ID"] == SPACE
    assert environment["SPACE_HOST"] == world.url().partition("//")[2]
    assert world.runner.build_args == [{"V": "seen"}]
    assert world.runner.limits[0].memory_bytes == 16 * 1024**3


def test_the_old_version_serves_while_the_new_one_builds(world: World) -> None:
    """During a build the stage says so, and version and commit are the old ones to the end."""
    world.create()
    old = world.push({"VERSION": b"1"})
    world.wait_for_stage("RUNNING")
    new = world.push({"VERSION": b"2", "SLOW_BUILD": b"20"})
    assert world.wait_for_stage("RUNNING_BUILDING")["sha"] == old
    assert shown(world)["version"] == "1"
    world.wait(lambda raw: raw.get("sha") == new)
    assert shown(world)["version"] == "2"


def test_a_newer_push_ends_an_older_build(world: World) -> None:
    """Only the newest commit is built to the end."""
    world.create()
    world.push({"VERSION": b"1", "SLOW_BUILD": b"2000"})
    world.wait_for_stage("BUILDING")
    newest = world.push({"VERSION": b"2"}, delete=("SLOW_BUILD",))
    assert world.wait_for_stage("RUNNING")["sha"] == newest


@pytest.mark.parametrize(
    ("files", "stage", "said"),
    [
        ({"FAIL_BUILD": b"step 3 failed"}, "BUILD_ERROR", "step 3 failed"),
        ({"CRASH": b"no model"}, "RUNTIME_ERROR", "Exit code: 3"),
        (
            {"README.md": b"---\nsdk: docker\nstartup_duration_timeout: 1s\n---\n", "DEAF": b"x"},
            "RUNTIME_ERROR",
            "Launch timed out",
        ),
        ({"README.md": b"---\nsdk: docker\ncolorTo: teal\n---\n"}, "CONFIG_ERROR", "colorTo"),
        ({"README.md": b"---\nsdk: static\n---\n"}, "CONFIG_ERROR", "Docker"),
    ],
)
def test_each_failure_has_its_stage(
    world: World, files: dict[str, bytes], stage: str, said: str
) -> None:
    """What goes wrong decides the stage, and the message says what it was."""
    world.create()
    push_unchecked(world, files)
    assert said in str(world.wait_for_stage(stage)["errorMessage"])


def push_unchecked(world: World, files: dict[str, bytes]) -> None:
    """Commit without the client, which refuses a bad card before it sends anything."""
    whole = {"README.md": CARD, "Dockerfile": b"FROM x\n", **files}
    lines = [{"key": "header", "value": {"summary": "change"}}] + [
        {
            "key": "file",
            "value": {
                "path": path,
                "content": base64.b64encode(content).decode(),
                "encoding": "base64",
            },
        }
        for path, content in whole.items()
    ]
    reply = loopback.post(
        f"{world.hub.endpoint}/api/spaces/{SPACE}/commit/main",
        content="\n".join(json.dumps(line) for line in lines),
        headers={"Authorization": f"Bearer {WRITE}"},
    )
    assert reply.status_code == 200, reply.text


def test_a_space_without_a_dockerfile_has_no_app(world: World) -> None:
    """What the Hub creates by itself holds no app."""
    world.create()
    world.wait_for_stage("NO_APP_FILE")


def test_a_name_used_twice_is_a_config_error(world: World) -> None:
    """The same name as variable and as secret stops the Space, and removing one heals it."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.api.add_space_secret(SPACE, "K", "v")
    world.api.add_space_variable(SPACE, "K", "v")
    assert "K" in str(world.wait_for_stage("CONFIG_ERROR")["errorMessage"])
    world.api.delete_space_variable(SPACE, "K")
    world.wait_for_stage("RUNNING")


def test_a_crash_is_noticed(world: World) -> None:
    """An app that dies while it runs makes a runtime error with its exit code."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.runner.started[-1].die(137)
    assert world.wait_for_stage("RUNTIME_ERROR")["errorMessage"] == "Exit code: 137"


def test_settings_restart_without_a_build(world: World) -> None:
    """A changed secret reaches the app by a restart; nothing is built again."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.api.add_space_secret(SPACE, "S", "new")
    world.wait(lambda raw: raw["stage"] == "RUNNING" and len(world.runner.started) == 2)
    environment = shown(world)["environment"]
    assert isinstance(environment, dict)
    assert environment["S"] == "new"
    assert len(world.runner.build_args) == 1


def test_a_factory_restart_builds_again(world: World) -> None:
    """`factory` builds what was built already."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.api.restart_space(SPACE, factory_reboot=True)
    world.wait(lambda raw: raw["stage"] == "RUNNING" and len(world.runner.build_args) == 2)


def test_a_factory_restart_is_not_forgotten(world: World) -> None:
    """What comes between, such as a new secret, builds again too."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.hub.faults.add(Fault("slow-build", seconds=3600))
    world.api.restart_space(SPACE, factory_reboot=True)
    world.wait(lambda _: not world.hub.faults.pending)
    world.api.add_space_secret(SPACE, "S", "new")
    world.wait(lambda raw: raw["stage"] == "RUNNING" and len(world.runner.started) == 2)
    assert len(world.runner.build_args) == 2


def test_a_fault_of_the_hubs_own_ends_the_space_in_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither builds for ever nor stops obeying."""
    world.create()
    world.wait_for_stage("NO_APP_FILE")
    with monkeypatch.context() as broken:
        broken.setattr(world.runner, "build", None)
        world.push({})
        assert "TypeError" in str(world.wait_for_stage("RUNTIME_ERROR")["errorMessage"])
    world.api.restart_space(SPACE)
    world.wait_for_stage("RUNNING")


def test_paused_until_restarted(world: World) -> None:
    """A paused Space serves nothing and says so; a restart brings it back."""
    world.create()
    commit = world.push({})
    world.wait_for_stage("RUNNING")
    world.api.pause_space(SPACE)
    assert "sha" not in world.wait_for_stage("PAUSED")
    assert loopback.get(world.url(), headers=OPEN).status_code == 503
    world.api.restart_space(SPACE)
    assert world.wait_for_stage("RUNNING")["sha"] == commit


def test_a_failed_build_ends_the_old_version(world: World) -> None:
    """Nothing serves after a build that failed, as is harder on whoever deploys."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.push({"FAIL_BUILD": b"no"})
    raw = world.wait_for_stage("BUILD_ERROR")
    assert "sha" not in raw
    assert raw["replicas"] == {"current": 0, "requested": 1}
    assert loopback.get(world.url(), headers=OPEN).status_code == 503


def test_hardware_is_requested_until_it_serves(world: World) -> None:
    """While the app restarts on other hardware, the current one is still the old one."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.hub.faults.add(Fault("hang-start"))
    world.api.request_space_hardware(SPACE, "cpu-upgrade")
    raw = world.wait_for_stage("RUNNING_APP_STARTING")
    assert raw["hardware"] == {"current": "cpu-basic", "requested": "cpu-upgrade"}
    world.api.restart_space(SPACE)
    raw = world.wait_for_stage("RUNNING")
    assert raw["hardware"] == {"current": "cpu-upgrade", "requested": "cpu-upgrade"}
    assert world.runner.limits[-1].memory_bytes == 32 * 1024**3


def test_a_paused_space_stays_paused(world: World) -> None:
    """Neither changed settings nor a push start it; a restart brings the newest of both."""
    world.create()
    world.push({"VERSION": b"1"})
    world.wait_for_stage("RUNNING")
    world.api.pause_space(SPACE)
    world.api.add_space_secret(SPACE, "S", "new")
    world.api.request_space_hardware(SPACE, "cpu-upgrade")
    newest = world.push({"VERSION": b"2"})
    assert world.api.get_space_runtime(SPACE).stage == "PAUSED"
    assert len(world.runner.started) == 1
    world.api.restart_space(SPACE)
    assert world.wait_for_stage("RUNNING")["sha"] == newest
    given = shown(world)
    assert given["version"] == "2"
    assert isinstance(given["environment"], dict)
    assert given["environment"]["S"] == "new"


def sleeping(world: World, files: dict[str, bytes] | None = None) -> str:
    """Have a Space on paid hardware fall asleep; its commit."""
    world.create(space_hardware="cpu-upgrade", space_sleep_time=3600)
    commit = world.push(files or {})
    world.wait_for_stage("RUNNING")
    world.api.set_space_sleep_time(SPACE, 0)
    assert "sha" not in world.wait_for_stage("SLEEPING")
    world.api.set_space_sleep_time(SPACE, 3600)
    return commit


def test_it_sleeps_and_a_visitor_wakes_it(world: World) -> None:
    """Unvisited for long enough its app is ended; a request waits for it to come up again."""
    commit = sleeping(world)
    world.wait(lambda _: is_gone(world.runner.started[0].url))
    assert loopback.get(world.url(), headers=OPEN).status_code == 200
    assert world.wait_for_stage("RUNNING")["sha"] == commit
    assert len(world.runner.started) == 2
    assert len(world.runner.build_args) == 1, "waking builds nothing"


def is_gone(url: str) -> bool:
    """Whether nothing listens there."""
    try:
        loopback.get(url)
    except httpx2.TransportError:
        return True
    return False


def test_strangers_wake_nobody(world: World) -> None:
    """A request that a private Space does not let in leaves it asleep, as the Hub's API does."""
    sleeping(world)
    assert loopback.get(world.url()).status_code == 404
    world.api.space_info(SPACE)
    list(world.api.fetch_space_logs(SPACE))
    assert world.api.get_space_runtime(SPACE).stage == "SLEEPING"


def test_a_sleeping_space_keeps_asleep_when_settings_change(world: World) -> None:
    """A visitor meets them later; a push wakes it at once."""
    sleeping(world)
    world.api.add_space_variable(SPACE, "V", "1")
    assert world.api.get_space_runtime(SPACE).stage == "SLEEPING"
    newest = world.push({"VERSION": b"2"})
    assert world.wait_for_stage("RUNNING")["sha"] == newest
    assert world.runner.build_args[-1] == {"V": "1"}


def test_a_visit_keeps_it_awake(tmp_path: Path) -> None:
    """While a request is being answered, however long, nothing falls asleep."""
    entered, leave = threading.Event(), threading.Event()

    def app(_: object) -> ASGIApp:
        async def slow(_: Request) -> Response:
            entered.set()
            await asyncio.to_thread(leave.wait)
            return PlainTextResponse("done")

        return Starlette(routes=[Route("/slow", slow), Route("/", lambda _: Response())])

    with hub_world(tmp_path, FakeRunner(app=app)) as world, ThreadPoolExecutor() as pool:
        world.create(space_hardware="cpu-upgrade", space_sleep_time=3600)
        world.push({})
        world.wait_for_stage("RUNNING")
        reply = pool.submit(httpx2.get, f"{world.url()}/slow", headers=OPEN, timeout=60)
        try:
            assert entered.wait(20)
            world.api.set_space_sleep_time(SPACE, 0)
            time.sleep(1.2)  # the Space looks twice a second
            assert world.api.get_space_runtime(SPACE).stage == "RUNNING"
        finally:
            leave.set()
        assert reply.result().text == "done"
        world.wait_for_stage("SLEEPING")


@pytest.mark.parametrize("seconds", [-1, None])
def test_it_never_sleeps_unless_told(world: World, seconds: int | None) -> None:
    """Paid hardware without a sleep time, or with -1, stays awake."""
    world.create(space_hardware="cpu-upgrade", space_sleep_time=seconds)
    world.push({})
    world.wait_for_stage("RUNNING")
    time.sleep(0.7)  # it has looked once
    assert world.api.get_space_runtime(SPACE).stage == "RUNNING"


def test_the_hub_comes_back_as_it_was(tmp_path: Path) -> None:
    """After a restart of the Hub what ran runs, and what was paused or asleep is so."""
    with hub_world(tmp_path, FakeRunner()) as world:
        sleeping(world)
        for name in ("me/paused", "me/runs"):
            world.api.duplicate_repo(SPACE, name, repo_type="space")
        world.api.pause_space("me/paused")
        world.wait(lambda _: world.api.get_space_runtime("me/runs").stage == "RUNNING")
    runner = FakeRunner()
    with hub_world(tmp_path, runner) as world:
        world.wait(lambda _: world.api.get_space_runtime("me/runs").stage == "RUNNING")
        assert world.api.get_space_runtime("me/paused").stage == "PAUSED"
        assert world.api.get_space_runtime(SPACE).stage == "SLEEPING"
        assert len(runner.started) == 1
        assert loopback.get(world.url(), headers=OPEN).status_code == 200


def test_an_app_without_a_slot_is_stopped(tmp_path: Path) -> None:
    """What a push would start beyond the limit is built and stopped, until another one pauses."""
    with hub_world(tmp_path, FakeRunner(), rules=Rules(running_spaces=1)) as world:
        world.create()
        world.api.create_repo("me/first", repo_type="space", space_sdk="docker")
        world.push({})
        world.wait_for_stage("RUNNING")
        world.api.duplicate_repo(SPACE, "me/second", repo_type="space")
        world.wait(lambda _: world.api.get_space_runtime("me/second").stage == "STOPPED")
        raw = world.api.get_space_runtime("me/second").raw
        assert "pause your previous Spaces" in raw["errorMessage"]
        world.api.pause_space(SPACE)
        world.api.restart_space("me/second")
        world.wait(lambda _: world.api.get_space_runtime("me/second").stage == "RUNNING")


class Meddling(Slots):
    """While a Space asks for its slot, somebody pauses it."""

    def __init__(self, rules: Rules, pause: Callable[[], None]):
        super().__init__(rules)
        self._pause: Callable[[], None] | None = pause

    def claim(self, repo: Repo) -> None:
        if (pause := self._pause) is not None:
            self._pause = None
            thread = threading.Thread(target=pause)
            thread.start()
            thread.join(0.3)
        super().claim(repo)


def test_a_pause_at_the_worst_moment_gives_the_slot_back(tmp_path: Path) -> None:
    """A Space that is paused while it starts keeps no other one from starting."""
    rules = Rules(running_spaces=1)
    with hub_world(tmp_path, FakeRunner(), rules=rules) as world:
        state = world.hub._state
        slots = Meddling(rules, lambda: state.space(state.store.find(*WHERE)).pause())
        state._means = replace(state._means, slots=slots)
        world.create()
        world.push({})
        world.wait_for_stage("PAUSED")
        world.api.duplicate_repo(SPACE, "me/second", repo_type="space")
        world.wait(lambda _: world.api.get_space_runtime("me/second").stage == "RUNNING")


def test_a_crash_can_be_ordered(world: World) -> None:
    """After so many answers the app is gone, with the exit code of a kill; a restart helps."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.hub.faults.add(Fault("crash", after=2, repo_id=SPACE))
    statuses = [loopback.get(world.url(), headers=OPEN).status_code for _ in range(4)]
    assert statuses == [200, 200, 502, 503]
    assert world.api.get_space_runtime(SPACE).raw["errorMessage"] == "Exit code: 137"
    world.api.restart_space(SPACE)
    world.wait_for_stage("RUNNING")
    assert loopback.get(world.url(), headers=OPEN).status_code == 200


def test_nothing_outlives_the_hub(world: World) -> None:
    """Deleting a Space ends its app and its origin."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    app, url = world.runner.started[0].url, world.url()
    world.api.delete_repo(SPACE, repo_type="space")
    for origin in (app, url):
        with pytest.raises(httpx2.ConnectError):
            loopback.get(origin)


@pytest.mark.parametrize("goes", ["deleted", "moved"])
def test_a_late_question_revives_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, goes: str
) -> None:
    """Whoever found a repository just before it went begins no Space that nobody would end."""
    state = world.hub._state
    world.create()
    world.push({})
    repo = state.store.find(*WHERE)

    def asking(carry_out: Callable[..., Repo | None]) -> Callable[..., Repo | None]:
        def ask(*arguments: str) -> Repo | None:
            state.space(repo)
            return carry_out(*arguments)

        return ask

    with monkeypatch.context() as late:
        if goes == "deleted":
            late.setattr(state.store, "delete", asking(state.store.delete))
            world.api.delete_repo(SPACE, repo_type="space")
        else:
            late.setattr(state.store, "move", asking(state.store.move))
            world.api.move_repo(SPACE, "me/moved", repo_type="space")
    assert SPACE not in state._spaces
    with pytest.raises(HubError) as caught:
        state.space(repo)
    assert caught.value.status == 404
