from __future__ import annotations

import base64
import json

import httpx2
import pytest
from hub_world import CARD, SPACE, WRITE, World

OPEN = {"X-HF-Authorization": f"Bearer {WRITE}"}


def shown(world: World) -> dict[str, object]:
    """What the running app says that it was given."""
    return dict(httpx2.get(world.url(), headers=OPEN).json())


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
    reply = httpx2.post(
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


def test_paused_until_restarted(world: World) -> None:
    """A paused Space serves nothing and says so; a restart brings it back."""
    world.create()
    commit = world.push({})
    world.wait_for_stage("RUNNING")
    world.api.pause_space(SPACE)
    assert "sha" not in world.wait_for_stage("PAUSED")
    assert httpx2.get(world.url(), headers=OPEN).status_code == 503
    world.api.restart_space(SPACE)
    assert world.wait_for_stage("RUNNING")["sha"] == commit


def test_logs_are_streamed(world: World) -> None:
    """Build log and run log each hold their lines, through the real client."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    assert "Building" in "".join(world.api.fetch_space_logs(SPACE, build=True))
    assert "Listening on 7860\n" in list(world.api.fetch_space_logs(SPACE))


def test_nothing_outlives_the_hub(world: World) -> None:
    """Deleting a Space ends its app and its origin."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    app, url = world.runner.started[0].url, world.url()
    world.api.delete_repo(SPACE, repo_type="space")
    for origin in (app, url):
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(origin)
