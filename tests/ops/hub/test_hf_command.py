"""The real `hf` command against the local Hub: repositories, uploads, downloads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes.runner import FakeRunner
from hub_world import OTHER, WRITE, hub_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hub_world import World

    Hf = Callable[..., subprocess.CompletedProcess[str]]

HF = Path(sys.executable).with_name("hf")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for all tests here."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        yield world


@pytest.fixture
def hf(world: World, tmp_path: Path) -> Hf:
    """Run the command as the Hub's owner, or by another token; by default it must succeed."""

    def run(*arguments: str, token: str = WRITE, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_ENDPOINT": world.hub.endpoint,
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }
        done = subprocess.run(
            [str(HF), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def said(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command printed with --json."""
    return json.loads(done.stdout)


def test_a_repository_from_the_first_to_the_last_command(
    hf: Hf, world: World, tmp_path: Path
) -> None:
    """Created, filled, tagged, branched, changed, downloaded, duplicated, moved, deleted."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "text").write_text("text")
    (source / "README.md").write_text("---\nlicense: mit\n---\n")
    (source / "left.out").write_text("x")
    hf("repos", "create", "me/cli", "--type", "model", "--private")
    hf("upload", "me/cli", str(source), ".", "--exclude", "*.out", "--commit-message", "by hf")
    hf("repos", "tag", "create", "me/cli", "v1", "-m", "message")
    hf("repos", "branch", "create", "me/cli", "some/branch")
    hf("upload", "me/cli", str(source / "left.out"), "in", "--revision", "some/branch")
    assert world.api.file_exists("me/cli", "in", revision="some/branch")
    assert "v1" in hf("repos", "tag", "list", "me/cli").stdout
    hf("repos", "branch", "delete", "me/cli", "some/branch")
    hf("repos", "tag", "delete", "me/cli", "v1", "--yes")
    hf("download", "me/cli", "--local-dir", str(tmp_path / "got"))
    got = {p.name: p.read_text() for p in (tmp_path / "got").rglob("*") if p.is_file()}
    assert got["text"] == "text"
    assert "left.out" not in got
    hf("repos", "settings", "me/cli", "--public")
    assert world.client(OTHER).model_info("me/cli").private is False
    hf("repos", "duplicate", "me/cli", "me/cli-copy")
    hf("repos", "move", "me/cli", "me/cli-moved")
    assert world.api.list_repo_files("me/cli-moved") == world.api.list_repo_files("me/cli-copy")
    hf("repos", "delete", "me/cli-moved", "--yes")
    assert not world.api.repo_exists("me/cli-moved")


def test_a_space_is_created_and_shown(hf: Hf, world: World) -> None:
    """With its hardware, variables and secrets; its card and files; in the list of all."""
    hf(
        *("repos", "create", "me/app", "--type", "space", "--space-sdk", "docker", "--private"),
        *("--flavor", "cpu-upgrade", "-e", "V=1", "-s", "S=hidden"),
    )
    shown = said(hf("spaces", "info", "me/app", "--json"))
    assert (shown["id"], shown["sdk"], shown["private"]) == ("me/app", "docker", True)
    assert world.api.get_space_variables("me/app")["V"].value == "1"
    assert [space["id"] for space in said(hf("spaces", "ls", "--json"))] == ["me/app"]
    assert "README.md" in hf("spaces", "ls", "me/app").stdout
    assert "sdk: docker" in hf("spaces", "card", "me/app").stdout


def test_a_refusal_is_the_hubs_words(hf: Hf, world: World) -> None:
    """The command ends with 1, and says what the Hub said."""
    world.api.create_repo("mine")
    assert "don't have the rights" in hf(
        *("repos", "settings", "me/mine", "--private"), token=OTHER, code=1
    ).stderr.replace("\n", " ")
    assert "not found" in hf("spaces", "info", "me/none", code=1).stderr.lower()
