from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from git_user import git_environment
from hub_world import READ, SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.clone import clone
from ops.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space that has a release."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        commit = world.push({"file": b"1"})
        world.api.create_tag(SPACE, tag="release-1", revision=commit, repo_type="space")
        world.push({"file": b"2"})
        yield world


@pytest.fixture(name="hub")
def _hub(world: World) -> Hub:
    """The Hub as its owner sees it."""
    return Hub(world.hub.endpoint, WRITE)


def git(
    folder: Path, *arguments: str, token: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Git as its user has it, who is asked for a token."""
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=git_environment(folder.parent, token),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_working_copy(world: World, hub: Hub, tmp_path: Path) -> None:
    """Files, history and releases are there; what is not, a token, is said."""
    said: list[str] = []
    done = clone(hub, "app", tmp_path / "copy", say=said.append)
    remote = f"{world.hub.endpoint}/spaces/{SPACE}"
    assert (done.repo_id, done.remote, done.tags) == (SPACE, remote, ("release-1",))
    assert done.commit == world.api.space_info(SPACE).sha
    assert (tmp_path / "copy" / "file").read_bytes() == b"2"
    assert git(tmp_path / "copy", "show", "release-1:file").stdout == "1"
    assert git(tmp_path / "copy", "remote", "get-url", "origin").stdout == f"{remote}\n"
    assert "hf auth login --add-to-git-credential" in said[-1]
    assert git(tmp_path / "copy", "fetch").returncode != 0
    assert git(tmp_path / "copy", "fetch", token=READ).returncode == 0


def test_a_diverged_copy_is_not_pushed(world: World, hub: Hub, tmp_path: Path) -> None:
    """Git refuses by itself what would take somebody's commit away."""
    copy = tmp_path / "copy"
    clone(hub, SPACE, copy, say=print)
    newest = world.push({"theirs": b"1"})
    (copy / "ours").write_text("1")
    git(copy, "add", "ours")
    git(copy, "commit", "--message", "ours")
    refused = git(copy, "push", token=WRITE)
    assert refused.returncode != 0
    assert "git pull" in refused.stderr
    assert world.api.space_info(SPACE).sha == newest


def test_a_dry_run_touches_nothing(world: World, hub: Hub, tmp_path: Path) -> None:
    """It says what would be cloned, and no folder is made."""
    said: list[str] = []
    world.hub.faults.mark()
    done = clone(hub, SPACE, tmp_path / "copy", say=said.append, dry_run=True)
    assert done.tags == ("release-1",)
    assert f"at {done.commit[:8]} into {tmp_path / 'copy'}" in said[0]
    assert list(tmp_path.iterdir()) == []
    assert not any("info/refs" in seen.path for seen in world.hub.faults.seen)


@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_nothing_is_overwritten(hub: Hub, tmp_path: Path, what: str) -> None:
    """Only a folder that is empty, or not there, is taken, and the Hub is not even asked."""
    place = tmp_path / "place"
    match what:
        case "file":
            place.touch()
        case "link":
            place.symlink_to(tmp_path / "nothing")
        case "folder":
            place.mkdir()
            (place / ".hidden").touch()
    with pytest.raises(ConfigError, match="not an empty folder") as raised:
        clone(hub, "me/none", place, say=print)
    assert "git pull" in (raised.value.next_step or "")


def test_no_such_space(hub: Hub, tmp_path: Path) -> None:
    """What is not there is said so, and no folder is made."""
    with pytest.raises(ConfigError, match="no Space me/none"):
        clone(hub, "me/none", tmp_path / "copy", say=print)
    assert list(tmp_path.iterdir()) == []


def ops(
    world: World, folder: Path, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """The command line, with a token for the Hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own = {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": WRITE, "HF_HOME": str(folder / "hf")}
    done = subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=folder,
        env=kept | own | {"PYTHONPATH": str(PROJECT)} | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert WRITE not in done.stdout + done.stderr
    return done


def test_the_command(world: World, tmp_path: Path) -> None:
    """For people and for machines; a second time is exit code 2."""
    (tmp_path / "space.toml").write_text(f'[space]\nrepo_id = "{SPACE}"\n')
    dry = ops(world, tmp_path, "clone", "copy", "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, "Nothing was touched: --dry-run.\n"), dry.stderr
    assert not (tmp_path / "copy").exists()
    done = ops(world, tmp_path, "--json", "clone", "copy")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "repo_id": SPACE,
        "folder": "copy",
        "remote": f"{world.hub.endpoint}/spaces/{SPACE}",
        "commit": world.api.space_info(SPACE).sha,
        "tags": ["release-1"],
        "pointers": [],
        "dry_run": False,
    }
    assert (tmp_path / "copy" / "README.md").is_file()
    again = ops(world, tmp_path, "clone", "copy")
    assert again.returncode == 2
    assert "not an empty folder" in again.stderr


def test_without_git(world: World, tmp_path: Path) -> None:
    """That it has to be installed is said, with exit code 2."""
    (tmp_path / "space.toml").write_text(f'[space]\nrepo_id = "{SPACE}"\n')
    done = ops(world, tmp_path, "clone", "copy", PATH="/nowhere")
    assert done.returncode == 2, done.stderr
    assert "git is not installed" in done.stderr
    assert not (tmp_path / "copy").exists()
