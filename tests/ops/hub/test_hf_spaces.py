"""The real `hf` command against the local Hub: what it does with Spaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.hub import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hub_world import World

    Hf = Callable[..., subprocess.CompletedProcess[str]]

HF = Path(sys.executable).with_name("hf")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for all tests here, with a Space that runs."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world


@pytest.fixture
def hf(world: World, tmp_path: Path) -> Hf:
    """Run `hf spaces` as the Space's owner; by default it must succeed."""

    def run(*arguments: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_ENDPOINT": world.hub.endpoint,
            "HF_TOKEN": WRITE,
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }
        done = subprocess.run(
            [str(HF), "spaces", *arguments],
            env=environment | more,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def said(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command printed with --json."""
    return json.loads(done.stdout)


def test_info_and_hardware(world: World, hf: Hf) -> None:
    """They show what runs where, and what else there is to run on."""
    runtime = said(hf("info", SPACE, "--json"))["runtime"]
    assert runtime["stage"] == "RUNNING"
    assert runtime["raw"]["sha"] == world.api.space_info(SPACE).sha
    assert "cpu-upgrade" in hf("hardware").stdout


def test_logs(world: World, hf: Hf) -> None:
    """They come to their end at once, in whole or in part, and can be followed until it ends."""
    assert hf("logs", SPACE).stdout.splitlines()[0] == "===== Application Startup ====="
    assert hf("logs", SPACE, "-n", "1").stdout == "Listening on 7860\n"
    assert "Building" in hf("logs", SPACE, "--build").stdout
    world.api.duplicate_repo(SPACE, "me/short", repo_type="space", visibility="private")
    world.wait(lambda _: world.api.get_space_runtime("me/short").stage == "RUNNING")
    environment = {
        "PATH": os.environ["PATH"],
        "HF_ENDPOINT": world.hub.endpoint,
        "HF_TOKEN": WRITE,
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(
        [str(HF), "spaces", "logs", "me/short", "-f"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "===== Application Startup =====\n"
        world.api.delete_repo("me/short", repo_type="space")
        assert "Listening on 7860" in following.stdout.read()
        assert following.wait(30) == 0


def test_secrets_and_variables(world: World, hf: Hf) -> None:
    """They are added from the command line and the environment, listed, and deleted."""
    hf("secrets", "add", SPACE, "-s", "TAKEN", TAKEN="from-the-environment")
    hf("variables", "add", SPACE, "-e", "SHOWN=1", "-e", "OTHER=2")
    listed = hf("secrets", "ls", SPACE).stdout
    assert "TAKEN" in listed
    assert "from-the-environment" not in listed
    assert {"SHOWN", "OTHER"} <= set(world.api.get_space_variables(SPACE))
    assert "SHOWN" in hf("variables", "ls", SPACE).stdout
    hf("secrets", "delete", SPACE, "TAKEN", "--yes")
    hf("variables", "delete", SPACE, "OTHER", "--yes")
    assert world.api.get_space_secrets(SPACE) == {}
    assert list(world.api.get_space_variables(SPACE)) == ["SHOWN"]
    world.wait_for_stage("RUNNING")


def test_volumes(world: World, hf: Hf) -> None:
    """They are set, listed as they were given, and deleted."""
    hf("volumes", "set", SPACE, "-v", "hf://models/me/m:/models")
    assert "/models" in hf("volumes", "ls", SPACE).stdout
    hf("volumes", "delete", SPACE, "--yes")
    assert world.api.get_space_runtime(SPACE).volumes is None


def test_settings(world: World, hf: Hf) -> None:
    """Hardware and sleep time are set in one command."""
    hf("settings", SPACE, "--hardware", "cpu-upgrade", "--sleep-time", "3600")
    raw = world.wait(lambda raw: raw["stage"] == "RUNNING" and raw["gcTimeout"] == 3600)
    assert raw["hardware"] == {"current": "cpu-upgrade", "requested": "cpu-upgrade"}


def test_pause_restart_and_wait(world: World, hf: Hf) -> None:
    """A paused Space is not waited for; a restarted one is, until it runs or cannot."""
    assert "PAUSED" in hf("pause", SPACE).stdout
    assert "PAUSED" in hf("wait", SPACE, code=1).stderr
    hf("restart", SPACE)
    assert "RUNNING" in hf("wait", SPACE).stdout
    world.hub.faults.add(Fault("fail-build"))
    hf("restart", SPACE, "--factory-reboot")
    assert "BUILD_ERROR" in hf("wait", SPACE, code=1).stderr
    hf("restart", SPACE)
    hf("wait", SPACE)


def test_what_is_not_there(hf: Hf) -> None:
    """Dev mode and Spaces that nobody made are refused in words."""
    assert "no dev mode" in hf("dev-mode", SPACE, code=1).stderr
    assert "not found" in hf("info", "me/none", code=1).stderr.lower()
