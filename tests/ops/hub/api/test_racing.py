from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from git_user import git_environment
from hub_world import SPACE, WRITE
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError

from ops.hub.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from hub_world import World

ROUNDS, STEP = 8, 0.05
CONFLICT = 412


class Racers:
    """A push by git and a commit by the API, both on top of what main was."""

    def __init__(self, world: World, folder: Path):
        self._world = world
        self._environment = git_environment(folder, WRITE)
        self._tree = folder / "clone"
        self._git("clone", "--quiet", f"{world.hub.endpoint}/spaces/{SPACE}", str(self._tree))
        self._start = threading.Barrier(2, timeout=60)

    def prepare(self, number: int) -> str:
        """Make a commit on top of main, to be pushed; returns main."""
        self._git("-C", str(self._tree), "fetch", "--quiet")
        self._git("-C", str(self._tree), "reset", "--quiet", "--hard", "origin/main")
        parent = self._git("-C", str(self._tree), "rev-parse", "HEAD").stdout.strip()
        (self._tree / f"git-{number}").write_text("by git")
        self._git("-C", str(self._tree), "add", "--all")
        self._git("-C", str(self._tree), "commit", "--quiet", "--message", "by git")
        return parent

    def push(self) -> str | None:
        """The commit that was pushed, if it was."""
        self._start.wait()
        done = self._git("-C", str(self._tree), "push", "--quiet", check=False)
        head = self._git("-C", str(self._tree), "rev-parse", "HEAD").stdout.strip()
        return head if done.returncode == 0 else None

    def commit(self, number: int, parent: str | None) -> str | None:
        """The commit that the API made, if it did."""
        self._start.wait()
        try:
            info = self._world.api.create_commit(
                SPACE,
                [CommitOperationAdd(f"api-{number}", b"by the API")],
                commit_message="by the API",
                repo_type="space",
                parent_commit=parent,
            )
        except HfHubHTTPError as error:
            if error.response.status_code == CONFLICT:
                return None
            raise
        return str(info.oid)

    def _git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=check,
        )


def test_a_push_and_a_commit_race(world: World, tmp_path: Path) -> None:
    """Whatever was said to have arrived is in main's history, one after the other.

    With a parent exactly one of the two arrives; without, a commit may come on top of a push.
    """
    world.create()
    acknowledged = [world.push({})]
    racers = Racers(world, tmp_path)
    with ThreadPoolExecutor(2) as pool:
        for number in range(ROUNDS):
            parent = racers.prepare(number)
            with_parent = number % 2 == 0
            # A push takes longer than a commit: the later rounds are those that it wins.
            world.hub.faults.add(Fault("delay", path="*/commit/main", seconds=number * STEP))
            pushing = pool.submit(racers.push)
            committing = pool.submit(racers.commit, number, parent if with_parent else None)
            arrived = [oid for oid in (pushing.result(), committing.result()) if oid]
            assert len(arrived) == 1 if with_parent else arrived
            acknowledged += arrived
    history = [c.commit_id for c in world.api.list_repo_commits(SPACE, repo_type="space")]
    assert history[:-1] == acknowledged[::-1]
