"""`ops clone`: a git working copy of the Space, for people who want one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.adapters import git_space
from ops.errors import ConfigError
from ops.find_space import find_space

if TYPE_CHECKING:
    from pathlib import Path

    from ops.adapters.hf_hub import Hub
    from ops.runner import Log


@dataclass(frozen=True)
class Cloned:
    """A working copy, or what it would be.

    `remote` is what git pulls from and pushes to; there is no token in it. `pointers` are large
    files whose content is missing, because git-lfs is.
    """

    repo_id: str
    folder: str
    remote: str
    commit: str
    tags: tuple[str, ...]
    pointers: tuple[str, ...]


def clone(hub: Hub, repo_id: str, folder: Path, *, say: Log, dry_run: bool = False) -> Cloned:
    """Clone the Space into a folder that is empty or not there.

    Raises:
        ConfigError: there is no such Space, or the folder is something else.
    """
    _require_free(folder)
    space = find_space(hub, repo_id)
    name = space.repo_id
    remote = git_space.address(hub.endpoint, name)
    say(f"{remote} at {space.commit[:8]} into {folder}")
    if dry_run:
        tags = tuple(hub.tags(name))
        return Cloned(name, str(folder), remote, space.commit, tags, pointers=())
    copy = git_space.clone(hub.endpoint, hub.token, name, folder)
    if copy.pointers:
        say(
            f"git-lfs is not installed, so these are pointers only: {', '.join(copy.pointers)}. "
            f"Install it (https://git-lfs.com), then, in {folder}: "
            "git lfs install --local && git lfs pull"
        )
    say(
        "No token is kept there. git asks for one, with any user name, when you pull or push; "
        "`hf auth login --add-to-git-credential` gives it one for good."
    )
    return Cloned(name, str(folder), remote, copy.commit, copy.tags, copy.pointers)


def _require_free(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise ConfigError(
            f"Nothing was touched: {folder} is there, and not an empty folder.",
            next_step="Name another one. In a working copy, git pull gets what is new.",
        )
